"""Handwritten digits, read row by row, pixel by pixel, or pixel by pixel in a fixed random order."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.content import open_content
from training.data.series import Batch, Indices, Parts, drawn, tenth_by_seed

SIDE = 28
# One order for everybody who permutes, so that figures can be compared.
PERMUTATION_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Images UINT8 `[batch, 28, 28]`, and the digit of each, INT64 `[batch]`; views have FP32 inputs from 0 to 1."""

    images: NDArray[np.uint8]
    labels: Indices

    def __len__(self) -> int:
        return len(self.images)

    def rows(self) -> Batch:
        """A step for each row: inputs `[batch, 28, 28]`."""
        return Batch(self.images.astype(np.float32) / np.float32(255), self.labels)

    def pixels(self) -> Batch:
        """A step for each pixel, row after row: inputs `[batch, 784, 1]`."""
        return Batch(self.rows().inputs.reshape(len(self), SIDE * SIDE, 1), self.labels)

    def permuted(self) -> Batch:
        """The same with the pixels in one random order: inputs `[batch, 784, 1]`."""
        order = np.random.default_rng(PERMUTATION_SEED).permutation(SIDE * SIDE)
        return Batch(self.pixels().inputs[:, order], self.labels)


def load_mnist(folder: Path, seed: int = 0) -> Parts[Digits]:
    """Read both released parts; a tenth of training validates."""
    known, test = (Digits(_images(folder, part), _labels(folder, part)) for part in ("train", "t10k"))
    validation, train = (Digits(known.images[rows], known.labels[rows]) for rows in tenth_by_seed(len(known), seed))
    return Parts(train, validation, test, f"as released; {drawn(seed)}")


def _images(folder: Path, part: str) -> NDArray[np.uint8]:
    return _idx(folder / f"{part}-images-idx3-ubyte.gz", header_bytes=16).reshape(-1, SIDE, SIDE)


def _labels(folder: Path, part: str) -> Indices:
    return _idx(folder / f"{part}-labels-idx1-ubyte.gz", header_bytes=8).astype(np.int64)


def _idx(path: Path, *, header_bytes: int) -> NDArray[np.uint8]:
    with open_content(path) as content:
        return np.frombuffer(content.read(), dtype=np.uint8)[header_bytes:]

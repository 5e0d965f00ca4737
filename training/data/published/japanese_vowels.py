"""Nine men saying /ae/, 12 coefficients a step: the speaker is told from the series."""

from pathlib import Path

import numpy as np

from training.data.series import Parts, Series, validate_by_seed


def load_japanese_vowels(folder: Path, seed: int = 0) -> Parts[list[Series]]:
    """Read both released parts: inputs FP32 `[time, 12]`, the target the speaker from 0, INT64 `[]`."""
    known, test = (_read(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    return validate_by_seed(known, test, seed)


def _read(path: Path) -> list[Series]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_series(line) for line in lines if line and line[0] not in "#@"]


def _series(line: str) -> Series:
    *channels, label = line.split(":")
    values = np.array([[float(value) for value in channel.split(",")] for channel in channels], dtype=np.float32)
    return Series(values.T, np.array(int(label) - 1))

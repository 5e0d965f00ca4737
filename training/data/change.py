"""How a file of a set is made of what was downloaded, where its source has it in another form."""

import gzip
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.sets import File

SIDE = 28
# The idx format's number for three axes of bytes.
IDX_IMAGES = 0x803


def change(file: File, pieces: Sequence[Path], to: Path) -> None:
    """Make a file of its pieces, which may be used up; raises OSError where they are not what they should be."""
    match file.change:
        case "pack":
            with pieces[0].open("rb") as plain, gzip.open(to, "wb") as packed:
                shutil.copyfileobj(plain, packed)
        case "images to idx":
            _write_idx([np.asarray(Image.open(piece), dtype=np.uint8) for piece in pieces], to)
        case "first bytes":
            os.truncate(pieces[0], file.bytes)
            pieces[0].replace(to)
        case "":
            pieces[0].replace(to)


def _write_idx(pictures: Sequence[np.ndarray], to: Path) -> None:
    """Write digits, a row of 784 pixels each in every picture, after the header that says how many they are."""
    header = np.array([IDX_IMAGES, sum(map(len, pictures)), SIDE, SIDE], dtype=">u4")
    with gzip.open(to, "wb") as packed:
        packed.write(header.tobytes())
        for picture in pictures:
            packed.write(picture.tobytes())

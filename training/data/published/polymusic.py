"""Polyphonic music as piano rolls, four collections: the next step is predicted from those before."""

from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import loadmat

from training.data.series import Parts, Series, next_step

Collection = Literal["JSB_Chorales", "Nottingham", "Piano_midi", "MuseData"]
KEYS = 88


def load_polymusic(folder: Path, collection: Collection = "JSB_Chorales") -> Parts[list[Series]]:
    """Read a collection as released: of a piece of `time + 1` steps inputs and targets FP32 `[time, 88]`, 0 or 1."""
    rolls = loadmat(folder / f"{collection}.mat")
    train, validation, test = (
        [next_step(np.asarray(roll, dtype=np.float32)) for roll in rolls[part][0]]
        for part in ("traindata", "validdata", "testdata")
    )
    return Parts(train, validation, test, "as released")

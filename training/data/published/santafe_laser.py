"""The intensity of a chaotic far-infrared laser, series A of the Santa Fe competition: the next value is forecast."""

from pathlib import Path

import numpy as np

from training.data.series import Floats, Parts, part_in_order

# The competition gave the first thousand values and asked for the next hundred.
GIVEN, ASKED = 1000, 100


def load_santafe_laser(folder: Path, *, competition: bool = False) -> Parts[Floats]:
    """Read the values, FP32 `[time, 1]`, whole numbers from 0 to 255.

    Args:
        folder: the set's.
        competition: test on the values 1001 to 1100 and know only those before; the last tenth of them validates.
    """
    values = np.load(folder / "santafe_laser.npy", allow_pickle=False).astype(np.float32)
    if not competition:
        return part_in_order(values)
    known = GIVEN * 9 // 10
    rule = f"the competition's: {known} values, {GIVEN - known}, and the {ASKED} that were asked for"
    return Parts(values[:known], values[known:GIVEN], values[GIVEN : GIVEN + ASKED], rule)

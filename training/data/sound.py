"""Sound from wav files, as numbers from -1 to 1."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.series import Floats

_WIDTHS = {1: "u1", 2: "<i2", 4: "<i4"}


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Samples FP32 `[time, channels]` from -1 to 1, and how many there are a second."""

    samples: Floats
    rate: int


def read_wav(path: Path) -> Sound:
    """Read a wav of whole numbers, 8, 16 or 32 bits wide; raises ValueError with what is wrong, or OSError."""
    try:
        with wave.open(str(path)) as file:
            width, channels, rate, frames = (
                file.getsampwidth(),
                file.getnchannels(),
                file.getframerate(),
                file.getnframes(),
            )
            data = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"'{path}' is no wav file that can be read: {str(error) or 'it ends too early'}") from error
    if width not in _WIDTHS:
        raise ValueError(f"'{path}' has samples of {8 * width} bits; 8, 16 and 32 can be read")
    if len(data) != frames * channels * width:
        raise ValueError(f"'{path}' is cut: {len(data) // (channels * width)} of {frames} samples are there")
    samples = np.frombuffer(data, dtype=_WIDTHS[width]).astype(np.float64).reshape(-1, channels)
    # Samples of 8 bits have their zero in the middle, wider ones are signed.
    samples = samples / 128 - 1 if width == 1 else samples / 2 ** (8 * width - 1)
    return Sound(samples.astype(np.float32), rate)

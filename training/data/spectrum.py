"""Sound as frames of what the ear hears: the logarithm of the energy in bands that grow wider with their pitch."""

import numpy as np

from training.data.series import Floats
from training.data.sound import Sound

BANDS = 26
WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010
# Silence has no logarithm.
LEAST = 1e-6


def log_mel(sound: Sound, *, bands: int = BANDS) -> Floats:
    """Give frames `[frames, bands]`, one each 10 ms of the first channel, from windows of 25 ms.

    The bands are triangles of equal width on the mel scale, 2595 log10(1 + f / 700), from 0 Hz to half the rate. Davis
    and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", 1980.
    """
    size, hop = round(WINDOW_SECONDS * sound.rate), round(HOP_SECONDS * sound.rate)
    samples = np.pad(sound.samples[:, 0], (0, max(0, size - len(sound.samples))))
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(size), axis=1)) ** 2
    frames: Floats = np.log(power @ _triangles(size, sound.rate, bands) + LEAST).astype(np.float32)
    return frames


def _triangles(size: int, rate: int, bands: int) -> Floats:
    """Weights of each of the spectrum's frequencies in each band, `[size // 2 + 1, bands]`."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), bands + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    pitch = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising, falling = (pitch - low) / (middle - low), (high - pitch) / (high - middle)
    weights: Floats = np.maximum(0, np.minimum(rising, falling))
    return weights

import numpy as np
import pytest

from training.data.sound import Sound
from training.data.spectrum import BANDS, LEAST, log_mel

RATE = 8000


def tone(pitch: float, seconds: float = 0.5) -> Sound:
    times = np.arange(round(seconds * RATE)) / RATE
    return Sound(np.sin(2 * np.pi * pitch * times, dtype=np.float64).astype(np.float32)[:, None], RATE)


def test_there_is_a_frame_each_ten_milliseconds():
    frames = log_mel(tone(440, 1.0))
    assert frames.shape == (98, BANDS)
    assert frames.dtype == np.float32


@pytest.mark.parametrize("pitch", [200, 440, 1000, 2500, 3500])
def test_a_tone_is_loudest_in_the_band_that_its_pitch_lies_in(pitch):
    frames = log_mel(tone(pitch))
    mel = 2595 * np.log10(1 + np.array([pitch, RATE / 2]) / 700)
    assert abs(frames.mean(0).argmax() - (mel[0] / mel[1] * (BANDS + 1) - 1)) <= 1


def test_a_higher_tone_is_in_a_higher_band():
    loudest = [log_mel(tone(pitch)).mean(0).argmax() for pitch in (200, 600, 1200, 2400)]
    assert loudest == sorted(set(loudest))


def test_silence_and_what_is_shorter_than_a_window_have_numbers_too():
    np.testing.assert_allclose(log_mel(Sound(np.zeros((300, 1), np.float32), RATE)), np.log(LEAST), rtol=1e-6)
    assert log_mel(Sound(np.ones((3, 1), np.float32), RATE)).shape == (1, BANDS)

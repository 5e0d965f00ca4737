import wave
from pathlib import Path

import numpy as np
import pytest

from training.data.sound import read_wav


def write_wav(path: Path, data: bytes, *, width: int = 2, channels: int = 1, rate: int = 8000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(width)
        file.setnchannels(channels)
        file.setframerate(rate)
        file.writeframes(data)
    return path


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, bytes([0, 128, 192])),
        (2, np.array([-(2**15), 0, 2**14], "<i2").tobytes()),
        (4, np.array([-(2**31), 0, 2**30], "<i4").tobytes()),
    ],
)
def test_samples_are_from_minus_one_to_one_whatever_their_width(tmp_path, width, data):
    sound = read_wav(write_wav(tmp_path / "a.wav", data, width=width))
    assert sound.samples.tolist() == [[-1], [0], [0.5]]
    assert sound.samples.dtype == np.float32
    assert sound.rate == 8000


def test_channels_are_side_by_side(tmp_path):
    data = np.array([16384, -16384, 0, 8192], "<i2").tobytes()
    assert read_wav(write_wav(tmp_path / "a.wav", data, channels=2)).samples.tolist() == [[0.5, -0.5], [0, 0.25]]


def test_a_width_that_is_not_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"a\.wav' has samples of 24 bits; 8, 16 and 32 can be read"):
        read_wav(write_wav(tmp_path / "a.wav", bytes(6), width=3))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all", b"RIFF\x04\0\0\0AVI "])
def test_what_is_no_wav_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.wav' is no wav file that can be read: \S"):
        read_wav(tmp_path / "a.wav")


def test_a_wav_that_was_cut_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.wav", bytes(200))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"a\.wav' is cut: 75 of 100 samples are there"):
        read_wav(path)

import numpy as np
import pytest

from tests.training.data.test_sound import write_wav
from training.data.own.settings import WavData
from training.data.own.wavs import open_wavs
from training.errors import DataInvalid


def sound(path, samples: int = 4, **more: int):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_wav(path, np.arange(samples * more.get("channels", 1), dtype="<i2").tobytes(), **more)


def test_a_files_class_is_its_folder_and_its_part_is_drawn_by_the_seed(tmp_path):
    for i in range(30):
        sound(tmp_path / ("yes" if i % 2 else "no") / f"{i}.wav", samples=i + 1)
    wavs = open_wavs(WavData(path=str(tmp_path), seed=2))
    parts = [wavs.parts.train, wavs.parts.validation, wavs.parts.test]
    assert sum(map(len, parts)) == 30
    assert wavs.classes == ("no", "yes")
    found = {len(one.inputs): int(one.targets) for part in parts for one in part}
    assert found == {i + 1: i % 2 for i in range(30)}
    assert wavs.parts.rule == "drawn by seed 2"
    assert (wavs.rate, wavs.channels, wavs.note) == (8000, 1, "")


def test_folders_may_be_the_parts_and_names_the_classes(tmp_path):
    for part, name in (("train", "yes_1"), ("train", "no_2"), ("validation", "no_3"), ("test", "yes_4")):
        sound(tmp_path / part / f"{name}.WAV")
    wavs = open_wavs(WavData(path=str(tmp_path), label="name", split="folder"))
    assert [
        [int(one.targets) for one in part] for part in (wavs.parts.train, wavs.parts.validation, wavs.parts.test)
    ] == [
        [0, 1],
        [0],
        [1],
    ]


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("b/cut.wav", None, r"b/cut\.wav' is no wav file that can be read"),
        ("b/empty.wav", {"samples": 0}, r"b/empty\.wav' has no samples"),
        (
            "b/fast.wav",
            {"rate": 16000},
            r"b/fast\.wav' has 16000 samples a second in 1 channels, the first has \(8000, 1\)",
        ),
        ("b/wide.wav", {"channels": 2}, r"b/wide\.wav' has 8000 samples a second in 2 channels"),
    ],
)
def test_a_bad_file_is_named_or_skipped_and_counted(tmp_path, name, more, reason):
    for i in range(20):
        sound(tmp_path / "a" / f"{i:02}.wav")
    sound(tmp_path / name, **(more or {}))
    if more is None:
        (tmp_path / name).write_bytes(b"RIFF")
    with pytest.raises(DataInvalid, match=rf"{reason}.*; 1 of 21 files cannot be used: mend them"):
        open_wavs(WavData(path=str(tmp_path)))
    wavs = open_wavs(WavData(path=str(tmp_path), skip_bad_files=True))
    assert sum(map(len, (wavs.parts.train, wavs.parts.validation, wavs.parts.test))) == 20
    assert wavs.note.startswith("1 files were skipped, the first because ")
    assert wavs.classes == ("a",)


def test_a_file_in_no_part_is_named(tmp_path):
    sound(tmp_path / "train" / "a.wav")
    sound(tmp_path / "other" / "a.wav")
    with pytest.raises(DataInvalid, match=r"other/a\.wav' is in none of the folders train, validation, test"):
        open_wavs(WavData(path=str(tmp_path), split="folder"))


def test_a_folder_without_sound_is_a_line(tmp_path):
    with pytest.raises(DataInvalid, match=r"has no wav files to train on$"):
        open_wavs(WavData(path=str(tmp_path / "gone")))


def test_the_spoken_digits_are_a_folder_of_sound(data_folder):
    wavs = open_wavs(WavData(path=str(data_folder("fsdd") / "recordings"), label="name"))
    assert wavs.classes == tuple("0123456789")
    assert sum(map(len, (wavs.parts.train, wavs.parts.validation, wavs.parts.test))) == 3000

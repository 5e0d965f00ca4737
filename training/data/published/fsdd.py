"""Spoken digits of six speakers, 8000 samples a second: a digit is told from its recording."""

from dataclasses import dataclass
from pathlib import Path

from training.data.series import Parts, validate_by_seed
from training.data.sound import Sound, read_wav
from training.errors import WrongUse

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
# Of each speaker's fifty recordings of a digit the first five are for test.
TEST_BELOW = 5


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: samples FP32 `[time, 1]` from -1 to 1, and its digit."""

    sound: Sound
    digit: int
    speaker: str
    number: int


def load_fsdd(folder: Path, *, left_out: str = "", seed: int = 0) -> Parts[list[Recording]]:
    """Read every recording.

    Args:
        folder: the set's.
        left_out: a speaker who is all of the test part; empty: the official split, whose parts share their speakers.
        seed: draws the tenth of training that validates.
    """
    if left_out and left_out not in SPEAKERS:
        raise WrongUse(f"speaker '{left_out}' is not one of {', '.join(SPEAKERS)}")
    recordings = [_read(path) for path in sorted((folder / "recordings").glob("*.wav"))]
    test = [one for one in recordings if (one.speaker == left_out if left_out else one.number < TEST_BELOW)]
    known = [one for one in recordings if (one.speaker != left_out if left_out else one.number >= TEST_BELOW)]
    rule = f"speaker {left_out} is left out" if left_out else "as released, speakers shared"
    return validate_by_seed(known, test, seed, rule)


def _read(path: Path) -> Recording:
    digit, speaker, number = path.stem.split("_")
    return Recording(read_wav(path), int(digit), speaker, int(number))

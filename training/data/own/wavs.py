"""A folder of sound: every wav file a sequence, its class from its folder or its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.own.parting import part_by_hash
from training.data.own.settings import WavData
from training.data.series import PARTS, Parts, Series
from training.data.sound import read_wav
from training.errors import DataInvalid


@dataclass(frozen=True, slots=True)
class WavPart:
    """The files of one part; each iteration reads them anew: inputs FP32 `[time, channels]`, the target INT64 `[]`."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Series]:
        for path, label in zip(self.paths, self.labels, strict=True):
            yield Series(read_wav(path).samples, np.array(label))


@dataclass(frozen=True, slots=True)
class Wavs:
    """The parts of a folder; `classes` in the order of their indices, `rate` in samples a second."""

    parts: Parts[WavPart]
    classes: tuple[str, ...]
    rate: int
    channels: int
    note: str


def open_wavs(data: WavData) -> Wavs:
    """Read every file once, to see that it can be used; all have the rate and the channels of the first that can.

    Raises:
        DataInvalid: there is none to train on, or one cannot be used and is not to be skipped.
    """
    root = Path(data.path)
    paths = [path for path in sorted(root.rglob("*")) if path.suffix.lower() == ".wav"]
    kinds: dict[Path, tuple[int, int]] = {}
    wrong: list[str] = []
    for path in paths:
        try:
            kinds[path] = _check(path, next(iter(kinds.values()), None))
            _part(path, data)
        except (ValueError, OSError) as error:
            kinds.pop(path, None)
            wrong.append(str(error))
    if wrong and not data.skip_bad_files:
        raise DataInvalid(
            f"{wrong[0]}; {len(wrong)} of {len(paths)} files cannot be used: mend them, or leave them out with "
            "`skip_bad_files = true`"
        )
    note = f"{len(wrong)} files were skipped, the first because {wrong[0]}" if wrong else ""
    return _part_files(tuple(kinds), data, next(iter(kinds.values()), (0, 0)), note)


def _check(path: Path, first: tuple[int, int] | None) -> tuple[int, int]:
    sound = read_wav(path)
    kind = (sound.rate, sound.samples.shape[1])
    if not len(sound.samples):
        raise ValueError(f"'{path}' has no samples")
    if first and kind != first:
        raise ValueError(f"'{path}' has {kind[0]} samples a second in {kind[1]} channels, the first has {first}")
    return kind


def _part_files(paths: tuple[Path, ...], data: WavData, kind: tuple[int, int], note: str) -> Wavs:
    classes = tuple(sorted({_label(path, data) for path in paths}))
    chosen = {part: tuple(path for path in paths if _part(path, data) == part) for part in PARTS}
    if not chosen["train"]:
        raise DataInvalid(f"'{data.path}' has no wav files to train on" + (f"; {note}" if note else ""))
    train, validation, test = (
        WavPart(chosen[part], tuple(classes.index(_label(path, data)) for path in chosen[part])) for part in PARTS
    )
    rule = "by the folders train, validation and test" if data.split == "folder" else f"drawn by seed {data.seed}"
    return Wavs(Parts(train, validation, test, rule), classes, *kind, note)


def _label(path: Path, data: WavData) -> str:
    return path.parent.name if data.label == "folder" else path.stem.partition("_")[0]


def _part(path: Path, data: WavData) -> str:
    inside = path.relative_to(data.path)
    if data.split == "seed":
        return part_by_hash(inside.as_posix(), data.seed)
    if inside.parts[0] not in PARTS:
        raise ValueError(f"'{path}' is in none of the folders {', '.join(PARTS)}")
    return inside.parts[0]

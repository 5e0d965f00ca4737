"""The `[data]` table of a recipe for the user's own data: which file, and what its columns are."""

from typing import Annotated, Literal

import msgspec

Names = tuple[str, ...]
AtLeastOne = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
NoLess = Annotated[int, msgspec.Meta(ge=0)]


class TableData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="table"):
    """A CSV, JSONL or Parquet file, a row for each step; the rows of a sequence stand together, in the order of time.

    Attributes:
        path: a file whose name ends in .csv, .jsonl, .ndjson or .parquet.
        inputs: columns of numbers.
        targets: columns of numbers, or with `classes` one of labels; none: the inputs of the next row are the targets.
        classes: the labels, in the order of their indices.
        per_sequence: a sequence has one target, that of its last row.
        sequence: columns that tell sequences apart; none: the file is one sequence.
        time: a column that grows from row to row of a sequence: numbers, or text that sorts as it stands (ISO 8601).
        split: a column that says train, validation or test; none: whole sequences are drawn by the seed, eight tenths,
            one and one, and a file that is one sequence is cut in that order.
        longest: rows after which a sequence is cut, so that each piece fits into memory; 0: never.
        skip_bad_rows: leave out rows that cannot be used, and say how many, rather than end with an error.
        separator: of a CSV file.
    """

    path: str
    inputs: AtLeastOne
    targets: Names = ()
    classes: Names = ()
    per_sequence: bool = False
    sequence: Names = ()
    time: str = ""
    split: str = ""
    seed: int = 0
    longest: NoLess = 0
    skip_bad_rows: bool = False
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    licence: str = ""

    def __post_init__(self) -> None:
        """Check what no type says."""
        if self.classes and len(self.targets) != 1:
            raise ValueError("classes are of one column of targets; name that one")
        if self.per_sequence and not self.targets:
            raise ValueError("per_sequence needs targets: name the columns")
        if self.longest == 1:
            raise ValueError("longest is 0 or at least 2")

    @property
    def columns(self) -> list[str]:
        """Every column that is read, once."""
        named = (*self.inputs, *self.targets, *self.sequence, self.time, self.split)
        return list(dict.fromkeys(filter(None, named)))

    @property
    def numbers(self) -> list[str]:
        """The columns that hold numbers."""
        return list(dict.fromkeys((*self.inputs, *(() if self.classes else self.targets))))


class WavData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="wav"):
    """A folder of wav files, each a sequence with one class.

    Attributes:
        path: the folder; with `split = "folder"` it has the folders train, validation and test, and those the files.
        label: where a file's class is: the folder it is in, or its name up to the first `_`.
        split: by those folders, or by the seed: eight tenths, one and one.
        skip_bad_files: leave out files that cannot be read, and say how many, rather than end with an error.
    """

    path: str
    label: Literal["folder", "name"] = "folder"
    split: Literal["folder", "seed"] = "seed"
    seed: int = 0
    skip_bad_files: bool = False
    licence: str = ""

"""A model's symbols as text: the vocabulary that its manifest names, a JSON string a line."""

from collections.abc import Sequence
from typing import final

import msgspec
import numpy as np

from models.errors import ModelDamaged
from models.manifest import Manifest
from server.errors import InvalidRequest
from server.types import Array, Ints

# A vocabulary that has this symbol reads every text that it does not know as it.
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


@final
class Vocabulary:
    """Texts by index, and indices by text.

    Args:
        lines: of the file, as models carry it.

    Raises:
        ModelDamaged: a line is no JSON string, or two are the same.
    """

    def __init__(self, lines: str) -> None:
        try:
            self._texts = [msgspec.json.decode(line, type=str).encode() for line in lines.splitlines()]
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise ModelDamaged("the vocabulary is not a JSON string a line, each of Unicode text") from error
        self._indices = {text: index for index, text in enumerate(self._texts)}
        if len(self._indices) < len(self._texts):
            raise ModelDamaged("the vocabulary has a symbol twice")
        self._unknown = self._indices.get(UNKNOWN.encode())

    def __len__(self) -> int:
        return len(self._texts)

    def indices(self, name: str, texts: Sequence[bytes]) -> Ints:
        """Give the symbols' indices; raises InvalidRequest for one that the model does not know."""
        found = [self._indices.get(text, self._unknown) for text in texts]
        if None in found:
            text = texts[found.index(None)].decode(errors="replace")
            raise InvalidRequest(f"input '{name}' has {text!r}, which is no symbol of the model's vocabulary")
        return np.array(found, np.int64)

    def check(self, name: str, indices: Array) -> None:
        """Raise InvalidRequest for an index that is no symbol's; a graph would count negative ones from the end."""
        found = np.asarray(indices, np.int64)
        if (wrong := (found < 0) | (found >= len(self._texts))).any():
            raise InvalidRequest(
                f"input '{name}' has {found[wrong][0]}, which is no symbol's: they count from 0 to {len(self) - 1}"
            )

    def text(self, index: int) -> bytes:
        """Give a symbol's text."""
        return self._texts[index]


def vocabulary_of(manifest: Manifest, lines: str | None) -> Vocabulary | None:
    """Read the vocabulary of a model that reads symbols; None where there is none, or no use of it.

    Raises:
        ModelDamaged: it cannot be read, or has not as many symbols as the model answers with and is fed back.
    """
    decode = manifest.decode
    if lines is None or told_input(manifest) is None:
        return None
    found = Vocabulary(lines)
    if decode is not None:
        symbols = next(spec.shape[-1] for spec in manifest.outputs if spec.name == decode.output)
        if len(found) != symbols:
            raise ModelDamaged(f"the vocabulary has {len(found)} symbols, and '{decode.output}' is of {symbols}")
    return found


def told_input(manifest: Manifest) -> str | None:
    """Name the input whose symbols a vocabulary tells: the one that is fed back, or the only one of whole numbers.

    None too where it tells some of an input's numbers: what is none of a symbol the graph finds out.
    """
    decode = manifest.decode
    if manifest.spelled is not None:
        return None
    if decode is not None:
        return decode.input if decode.sampling in ("categorical", "argmax") else None
    whole = [spec.name for spec in manifest.inputs if spec.dtype in ("INT32", "INT64")]
    return whole[0] if len(whole) == len(manifest.inputs) == 1 else None

"""The `[data]` table of a recipe for what is not the user's own table or sound: a text, or a named set."""

from typing import Any

import msgspec


class TextData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="text"):
    """A text, symbol by symbol; without a path the documentation topics that ship with Python."""

    path: str = ""
    licence: str = ""


class SetData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="set"):
    """A set of `python -m training data list`.

    Attributes:
        name: the set's.
        options: which of its forms, and of one that is made from a seed how much.
    """

    name: str
    options: dict[str, Any] = {}

"""What a recipe may set of a cell: the keyword arguments of what builds it, by their types and defaults."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
# JSON, in which a run keeps its recipe, has no infinity.
Positive = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def options_of(build: Callable[..., object]) -> dict[str, Any]:
    """Give the options of what `build` builds, with their defaults."""
    return msgspec.structs.asdict(_table(build)())


def check_options(build: Callable[..., object], options: Mapping[str, Any]) -> dict[str, Any]:
    """Give all options, the given ones checked; raises ValueError that names the key and what is wrong."""
    table = _table(build)
    try:
        return msgspec.structs.asdict(msgspec.convert(options, table))
    except msgspec.ValidationError as error:
        raise ValueError(_as_sentence(str(error), table.__struct_fields__, options)) from error


def _table(build: Callable[..., object]) -> type[msgspec.Struct]:
    hints = get_type_hints(build.__init__ if inspect.isclass(build) else build, include_extras=True)
    keywords = [p for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    fields = [(keyword.name, hints[keyword.name], keyword.default) for keyword in keywords]
    return msgspec.defstruct("Options", fields, forbid_unknown_fields=True, kw_only=True, frozen=True)


def _as_sentence(text: str, names: tuple[str, ...], options: Mapping[str, Any]) -> str:
    if unknown := _UNKNOWN.search(text):
        return f"cell: there is no key '{unknown[1]}'; there is {', '.join(names) or 'none'}"
    place = _PLACE.search(text)
    key = place[1] if place else ""
    came = f", got {options[key]!r}" if key in options and text.startswith("Expected") and "got" not in text else ""
    return f"cell.{key}: {text[: place.start()] if place else text}{came}"

"""The table of sets that a recipe can name: each as sequences in three parts."""

from collections.abc import Callable, Mapping
from typing import Any

from training.data import store
from training.data.data import Data, digest_of_parts
from training.data.forms.form import MADE, Form
from training.data.forms.language import babi, sst, ud_english_ewt
from training.data.forms.numbers import (
    adding,
    associative_recall,
    copy_bits,
    fsdd,
    japanese_vowels,
    mackey_glass,
    mnist,
    narma,
    polymusic,
    santafe_laser,
    sines,
)
from training.data.forms.pairs import multi30k, reversal, sorting
from training.data.forms.strings import spoken_strings
from training.data.forms.symbols import copy_memory, key_value_recall, names, temporal_order
from training.data.settings import SetData
from training.errors import WrongUse
from training.options import check_options

NO_LICENCE = "none needed"

FORMS: Mapping[str, Callable[..., Form]] = {
    form.__name__: form
    for form in (
        adding,
        associative_recall,
        babi,
        copy_bits,
        copy_memory,
        fsdd,
        japanese_vowels,
        key_value_recall,
        mackey_glass,
        mnist,
        multi30k,
        names,
        narma,
        polymusic,
        reversal,
        santafe_laser,
        sines,
        sorting,
        spoken_strings,
        sst,
        temporal_order,
        ud_english_ewt,
    )
}

MADE_HERE = frozenset(
    {
        "adding",
        "associative_recall",
        "copy_bits",
        "copy_memory",
        "key_value_recall",
        "mackey_glass",
        "narma",
        "reversal",
        "sines",
        "sorting",
        "temporal_order",
    }
)


# Sets that are made of the recordings of another.
MADE_OF = {"spoken_strings": "fsdd"}


def check_set(data: SetData) -> dict[str, Any]:
    """Give all options of a named set, the given ones checked; raises ValueError that names the key."""
    if data.name not in FORMS:
        raise ValueError(f"data.name: '{data.name}' is not one of {', '.join(FORMS)}")
    try:
        return check_options(FORMS[data.name], data.options)
    except ValueError as error:
        raise ValueError(str(error).replace("cell", "data.options", 1)) from error


def open_set(data: SetData) -> Data:
    """Read or make a named set; raises DataInvalid where it is not here, with the command that brings it."""
    try:
        form = FORMS[data.name](**check_set(data))
    except ValueError as error:
        raise WrongUse(f"data set '{data.name}': {error}") from error
    is_free = form.parts.rule == MADE or data.name in MADE_HERE
    licence = NO_LICENCE if is_free else store.find(MADE_OF.get(data.name, data.name)).licence
    digest = digest_of_parts(form.parts)
    return Data(
        form.parts,
        form.symbols,
        form.classes,
        licence,
        digest,
        vocabulary=form.vocabulary,
        edge=form.edge,
        ends=form.ends,
        about=form.about,
        labels=form.labels,
        source_symbols=form.source_symbols,
        source_vocabulary=form.source_vocabulary,
    )

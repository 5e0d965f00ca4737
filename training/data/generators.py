"""The table of sets that are made here: each with its task, who proposed it, and the function that makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.data.generated.adding import make_adding
from training.data.generated.associative_recall import make_associative_recall
from training.data.generated.copy_bits import make_copy_bits
from training.data.generated.copy_memory import make_copy_memory
from training.data.generated.key_value_recall import make_key_value_recall
from training.data.generated.mackey_glass import make_mackey_glass
from training.data.generated.narma import make_narma
from training.data.generated.reversal import make_reversal
from training.data.generated.sines import make_sines
from training.data.generated.temporal_order import make_temporal_order


@dataclass(frozen=True, slots=True)
class Generated:
    """A set that is made: `make` takes a seed first, then how much."""

    make: Callable[..., object]
    task: str
    citation: str


GENERATED: Mapping[str, Generated] = {
    "adding": Generated(
        make_adding, "the sum of two marked numbers", "Hochreiter and Schmidhuber 1997; Le, Jaitly and Hinton 2015"
    ),
    "associative_recall": Generated(
        make_associative_recall, "the item of a list that came after the one shown", "Graves, Wayne and Danihelka 2014"
    ),
    "copy_bits": Generated(make_copy_bits, "vectors of bits given back in order", "Graves, Wayne and Danihelka 2014"),
    "copy_memory": Generated(
        make_copy_memory,
        "ten symbols given back after a long blank",
        "Hochreiter and Schmidhuber 1997; Arjovsky, Shah and Bengio 2016",
    ),
    "key_value_recall": Generated(
        make_key_value_recall, "the values of keys that were shown once", "Arora et al. 2023"
    ),
    "temporal_order": Generated(
        make_temporal_order,
        "the order of two symbols among others",
        "Hochreiter and Schmidhuber 1997; Pascanu, Mikolov and Bengio 2013",
    ),
    "mackey_glass": Generated(make_mackey_glass, "forecasting of a chaotic series", "Mackey and Glass 1977"),
    "narma": Generated(make_narma, "a nonlinear system of order ten", "Atiya and Parlos 2000"),
    "sines": Generated(make_sines, "forecasting of sums of sines", "Jaeger 2001"),
    "reversal": Generated(make_reversal, "a row of symbols from its end", "Sutskever, Vinyals and Le 2014"),
}

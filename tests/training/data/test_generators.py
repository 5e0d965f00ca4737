import dataclasses
import inspect

import numpy as np
import pytest

from training.data.generators import GENERATED

AMOUNTS = {"count": 4, "steps": 30, "blank": 12, "pairs": 3, "kinds": 5}


def arrays(name: str, seed: int) -> list[np.ndarray]:
    make = GENERATED[name].make
    amounts = {key: AMOUNTS[key] for key in inspect.signature(make).parameters if key in AMOUNTS}
    made = make(seed, **amounts)
    if isinstance(made, np.ndarray):
        return [made]
    if isinstance(made, list):
        return [array for one in made for array in (one.inputs, one.targets)]
    return [getattr(made, field.name) for field in dataclasses.fields(made)]


@pytest.mark.parametrize("name", GENERATED)
def test_the_same_seed_makes_the_same_and_another_seed_another(name):
    first, again, other = arrays(name, 1), arrays(name, 1), arrays(name, 2)
    assert all(np.asarray(one).tobytes() == np.asarray(same).tobytes() for one, same in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", GENERATED)
def test_a_set_cites_who_proposed_it_with_the_equation_in_its_file(name):
    module = inspect.getmodule(GENERATED[name].make)
    author = GENERATED[name].citation.split()[0].strip(",")
    assert author in module.__doc__
    assert GENERATED[name].task

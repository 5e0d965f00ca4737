import numpy as np
import pytest

from training.data.forms import FORMS, MADE_HERE, open_set
from training.data.series import Series
from training.data.settings import SetData
from training.errors import WrongUse

LITTLE = {
    "adding": {"steps": 10, "count": 20},
    "associative_recall": {"count": 20},
    "copy_bits": {"longest": 4, "count": 20},
    "copy_memory": {"blank": 3, "count": 20},
    "mackey_glass": {"steps": 300},
    "narma": {"steps": 300},
    "sines": {"steps": 20, "count": 20},
    "temporal_order": {"steps": 12, "count": 20},
    "mnist": {"limit": 50},
}


def every(data) -> list[Series]:
    return [*data.parts.train, *data.parts.validation, *data.parts.test]


@pytest.mark.parametrize("name", FORMS)
def test_every_set_gives_what_it_says_it_gives(name, data_folder):
    if name not in MADE_HERE:
        data_folder(name)
    data = open_set(SetData(name=name, options=LITTLE.get(name, {})))
    for one in every(data)[:200]:
        assert len(one.inputs) >= 1
        assert one.inputs.dtype == (np.int64 if data.symbols else np.float32)
        assert one.targets.dtype.kind == ("i" if data.classes else "f")
        if data.symbols:
            assert one.inputs.max() < data.symbols
        if data.classes:
            assert one.targets.max() < data.classes
        if one.is_stepwise:
            assert len(one.targets) == len(one.inputs)
    assert data.licence
    assert data.digest.startswith("sha256:")


def test_the_parts_of_a_made_set_share_nothing():
    data = open_set(SetData(name="adding", options=LITTLE["adding"]))
    seen = {one.inputs.tobytes() for one in every(data)}
    assert len(seen) == len(every(data)) == 20 + 100 + 100


def test_the_same_options_give_the_same_digest_and_another_seed_another():
    digests = [open_set(SetData(name="sines", options={**LITTLE["sines"], "seed": seed})).digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_sequences_of_the_test_part_may_be_longer_than_those_trained_on():
    data = open_set(SetData(name="copy_bits", options={"longest": 4, "count": 50, "tested": [4, 9]}))
    lengths = [{one.asked for one in part} for part in (data.parts.train, data.parts.validation, data.parts.test)]
    assert lengths == [{1, 2, 3, 4}, {1, 2, 3, 4}, {4, 9}]
    assert (data.features, data.outputs) == (9, 8)


def test_lists_of_the_test_part_may_be_longer_too_and_have_two_items_at_least():
    data = open_set(SetData(name="associative_recall", options={"longest": 3, "count": 50, "tested": [9]}))
    lengths = [{len(one.inputs) for one in part} for part in (data.parts.train, data.parts.validation, data.parts.test)]
    assert lengths == [{16, 20}, {16, 20}, {44}]
    with pytest.raises(WrongUse, match="longest: Expected `int` >= 2"):
        open_set(SetData(name="associative_recall", options={"longest": 1}))


def test_the_laser_is_forecast_a_value_ahead(data_folder):
    data_folder("santafe_laser")
    (series,) = open_set(SetData(name="santafe_laser")).parts.train
    assert np.array_equal(series.inputs[1:], series.targets[:-1])


def test_names_begin_and_end_at_their_edge_or_have_their_length_said(data_folder):
    data_folder("names")
    marked = open_set(SetData(name="names", options={"languages": False}))
    counted = open_set(SetData(name="names", options={"ends": "length", "languages": True}))
    for one, other in zip(marked.parts.test, counted.parts.test, strict=True):
        assert one.inputs[0] == one.targets[-1] == other.inputs[0] == marked.edge
        assert np.array_equal(one.targets[:-1], other.targets)
        assert other.context[-1] == len(other.targets)
        assert other.context[:-1].sum() == 1
    assert (marked.context, counted.context, len(counted.about)) == (0, 19, 18)
    known = "".join(marked.vocabulary[symbol] for symbol in marked.parts.train[0].targets[:-1])
    assert known.isprintable()


def test_options_that_a_set_cannot_have_are_wrong_use():
    with pytest.raises(WrongUse, match="waves: Expected `int` >= 1"):
        open_set(SetData(name="sines", options={"waves": 0}))

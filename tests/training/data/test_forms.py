from dataclasses import replace

import numpy as np
import pytest

from training.data import store
from training.data.data import digest_of_parts
from training.data.forms import FORMS, MADE_HERE, MADE_OF, open_set
from training.data.series import Parts, Series
from training.data.settings import SetData
from training.errors import WrongUse

LITTLE = {
    "adding": {"steps": 10, "count": 20},
    "associative_recall": {"count": 20},
    "copy_bits": {"longest": 4, "count": 20},
    "copy_memory": {"blank": 3, "count": 20},
    "key_value_recall": {"pairs": 3, "kinds": 5, "count": 20},
    "mackey_glass": {"steps": 300},
    "narma": {"steps": 300},
    "sines": {"steps": 20, "count": 20},
    "temporal_order": {"steps": 12, "count": 20},
    "mnist": {"limit": 50},
    "spoken_strings": {"count": 20},
}


def every(data) -> list[Series]:
    return [*data.parts.train, *data.parts.validation, *data.parts.test]


@pytest.mark.parametrize("name", FORMS)
def test_every_set_gives_what_it_says_it_gives(name, data_folder):
    if name not in MADE_HERE:
        data_folder(MADE_OF.get(name, name))
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


def test_a_row_is_written_from_its_end():
    form = FORMS["reversal"](shortest=2, longest=5, count=200, kinds=4)
    for one in form.parts.train[:50]:
        assert one.inputs.tolist() == [4, *one.context[::-1]]
        assert one.targets.tolist() == [*one.context[::-1], 4]
    assert {len(one.context) for one in form.parts.train} == {2, 3, 4, 5}


def test_the_places_of_a_row_put_it_in_order():
    form = FORMS["sorting"](shortest=2, longest=5, count=200, kinds=9)
    for one in form.parts.train[:50]:
        *places, end = one.targets.tolist()
        assert (end, one.inputs.tolist()) == (5, [5, *places])
        assert one.context[places].tolist() == sorted({*one.context.tolist()})
    assert {len(one.context) for one in form.parts.train} == {2, 3, 4, 5}


def test_a_story_is_its_sentences_and_its_question_last(data_folder):
    data_folder("babi")
    form = FORMS["babi"](task=1)
    one = form.parts.train[0]
    told = [" ".join(form.vocabulary[word] for word in sentence if word) for sentence in one.inputs]
    assert told[-1].startswith("where is ")
    assert form.vocabulary[int(one.targets)] in " ".join(told[:-1])
    assert form.vocabulary[0] == ""


def test_a_storys_facts_are_the_sentences_that_its_file_names_in_order(tmp_path, monkeypatch):
    folder = tmp_path / "babi" / "en"
    folder.mkdir(parents=True)
    lines = [
        "1 Mary moved to the bathroom.",
        "2 Sandra took the apple.",
        "3 Where is Mary? \tbathroom\t1",
        "4 Sandra went to the hall.",
        "5 Sandra left the apple.",
        "6 Where is the apple? \thall\t5 4",
    ]
    for part in ("train", "test"):
        (folder / f"qa2_two-supporting-facts_{part}.txt").write_text("".join(f"{line}\n" for line in lines * 10))
    monkeypatch.setattr(store, "read", lambda name, load: load(tmp_path / name))
    form = FORMS["babi"](task=2)
    first, second = form.parts.test[:2]
    assert first.facts.tolist() == [0]
    named = [" ".join(form.vocabulary[word] for word in second.inputs[fact] if word) for fact in second.facts]
    assert named == ["sandra left the apple", "sandra went to the hall"]


def test_other_facts_are_other_data():
    one = Series(np.zeros((3, 2), np.int64), np.array(1), facts=np.array([0]))
    digests = [
        digest_of_parts(Parts([some], [one], [one], "")) for some in (one, replace(one, facts=np.array([1])), one)
    ]
    assert digests[0] == digests[2] != digests[1]


def test_a_trees_nodes_come_after_their_children_and_neutral_ones_are_not_asked(data_folder):
    data_folder("sst")
    binary, five = FORMS["sst"](classes="binary"), FORMS["sst"](classes="five")
    reduce = binary.symbols - 1
    for one in binary.parts.test[:50]:
        height = np.cumsum(np.where(one.inputs == reduce, -1, 1))
        assert height[-1] == 1
        assert (height >= 1).all()
        assert set(one.targets.tolist()) <= {-1, 0, 1}
        assert one.targets[-1] >= 0
    assert [len(part) for part in (five.parts.train, five.parts.validation, five.parts.test)] == [8544, 1101, 2210]
    assert len(binary.parts.test) == 1821
    balanced = FORMS["sst"](parsed=False).parts.test[0]
    assert sorted(balanced.inputs) == sorted(binary.parts.test[0].inputs)
    assert (balanced.targets[:-1] == -1).all()


def test_a_tree_may_come_with_the_places_of_its_nodes_children(data_folder):
    data_folder("sst")
    stream, whole = FORMS["sst"](), FORMS["sst"](children=True)
    assert whole.vocabulary == stream.vocabulary
    for one, other in zip(stream.parts.test[:50], whole.parts.test[:50], strict=True):
        assert other.inputs[:, 0].tolist() == one.inputs.tolist()
        joined = one.inputs == stream.symbols - 1
        assert (other.inputs[~joined, 1:] == -1).all()
        assert sorted(other.inputs[joined, 1:].ravel().tolist()) == [*range(len(one.inputs) - 1)]
        assert (other.inputs[joined, 1] < other.inputs[joined, 2]).all()
        assert (other.inputs[joined, 2] < np.flatnonzero(joined)).all()


def test_a_translation_begins_and_ends_at_its_edge(data_folder):
    data_folder("multi30k")
    form = FORMS["multi30k"]()
    one = form.parts.train[0]
    assert one.inputs[0] == one.targets[-1] == form.edge
    assert one.inputs[1:].tolist() == one.targets[:-1].tolist()
    assert one.context.max() < form.source_symbols == len(form.source_vocabulary)
    assert len(form.vocabulary) == form.symbols == form.classes


def test_a_spoken_string_is_its_speakers_recordings_with_silence_between_and_its_digits_in_order(data_folder):
    data_folder("fsdd")
    data = open_set(SetData(name="spoken_strings", options={"shortest": 2, "longest": 4, "count": 30, "frames": 1}))
    again = open_set(SetData(name="spoken_strings", options={"shortest": 2, "longest": 4, "count": 30, "frames": 1}))
    assert (data.digest, data.classes, data.labels[-1]) == (again.digest, 11, "")
    silence = np.log(1e-6)
    for one in every(data):
        digits = one.targets[one.targets >= 0]
        assert 2 <= len(digits) <= 4
        assert (one.targets[: len(digits)] == digits).all()
        loud = (one.inputs > silence + 1e-3).any(1)
        assert not loud[:5].any()
        assert not loud[-5:].any()
    four = open_set(SetData(name="spoken_strings", options={"shortest": 2, "longest": 4, "count": 30}))
    assert four.parts.train[0].inputs.shape == (len(data.parts.train[0].inputs) // 4, 4 * 26)
    left = {"left_out": "theo", "count": 10}
    assert open_set(SetData(name="spoken_strings", options=left)).digest != data.digest


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"shortest": 4, "longest": 3}, "shortest is 4, more than longest, 3"), ({"frames": 500}, "frames is 500")],
)
def test_strings_that_cannot_be_are_wrong_use(options, sentence, data_folder):
    data_folder("fsdd")
    with pytest.raises(WrongUse, match=sentence):
        open_set(SetData(name="spoken_strings", options=options))

import json

import msgspec
import numpy as np
import pytest

from models.errors import ModelDamaged
from models.manifest import Decode, TensorSpec
from server.errors import InvalidRequest
from server.vocabulary import UNKNOWN, Vocabulary, vocabulary_of
from tests.server.fakes import manifest


def lines(*symbols):
    return "".join(f"{json.dumps(symbol)}\n" for symbol in symbols)


def test_texts_are_indices_in_the_order_of_the_lines_and_back():
    known = Vocabulary(lines("\n", "ä", "<end>", '"'))
    assert known.indices("x", [b'"', "ä".encode(), b"\n", b"<end>"]).tolist() == [3, 1, 0, 2]
    assert [known.text(index) for index in range(len(known))] == [b"\n", "ä".encode(), b"<end>", b'"']


def test_a_text_that_the_model_does_not_know_is_refused_by_its_name():
    with pytest.raises(InvalidRequest, match=r"input 'x' has 'q', which is no symbol of the model's vocabulary"):
        Vocabulary(lines("a", "b")).indices("x", [b"a", b"q"])


def test_a_text_that_the_model_does_not_know_is_its_symbol_for_the_unknown_where_it_has_one():
    assert Vocabulary(lines("a", UNKNOWN)).indices("x", [b"q", b"a", b"\xff"]).tolist() == [1, 0, 1]


@pytest.mark.parametrize("wrong", [-1, 2, -(2**63)])
def test_an_index_that_is_no_symbols_is_refused_by_its_name(wrong):
    known = Vocabulary(lines("a", "b"))
    known.check("x", np.array([[0, 1]]))
    with pytest.raises(InvalidRequest, match=f"input 'x' has {wrong}, which is no symbol's: they count from 0 to 1"):
        known.check("x", np.array([[0, wrong]]))


@pytest.mark.parametrize("text", ["a\nb\n", "1\n", '"a"\n\n"b"', lines("a", "a"), '"\\ud800"\n'])
def test_what_is_no_vocabulary_is_refused(text):
    with pytest.raises(ModelDamaged, match="the vocabulary"):
        Vocabulary(text)


def generates(sampling="categorical", symbols=2):
    shape = ("time", symbols)
    return manifest(
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "FP32", shape),),
        decode=Decode("y", "x", sampling),
    )


def test_the_vocabulary_is_read_of_models_that_generate_symbols_alone():
    assert vocabulary_of(generates(), None) is None
    assert vocabulary_of(manifest(), "no vocabulary of ours") is None
    assert vocabulary_of(generates("bernoulli"), "no vocabulary of ours") is None
    assert len(vocabulary_of(generates(), lines("a", "b"))) == 2


def test_a_vocabulary_of_another_size_than_the_models_is_refused():
    with pytest.raises(ModelDamaged, match=r"the vocabulary has 2 symbols, and 'y' is of 3"):
        vocabulary_of(generates(symbols=3), lines("a", "b"))


def test_a_vocabulary_of_some_of_a_steps_numbers_neither_takes_text_nor_refuses_the_others():
    told = manifest(inputs=(TensorSpec("x", "INT64", ("time", 3)),))
    assert vocabulary_of(told, lines("a", "b")) is not None
    assert vocabulary_of(msgspec.structs.replace(told, spelled=1), lines("a", "b")) is None

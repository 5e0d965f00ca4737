import numpy as np
import pytest

from server import past
from server.exactly_once import Ended
from server.past import Past
from server.types import Record, Scope, Stored
from tests.server.fakes import ADDER

SCOPE = Scope("", "adder")
STORED = Stored({"y": np.zeros((2, 5), np.float32)}, position=7)
RECORD = Record(position=7, length=2, digest=1, life=0)


def ended(how="has ended", until=60.0, stored=STORED):
    return Ended(how, until, ADDER, RECORD if stored else None, stored)


def test_what_went_is_remembered_with_its_answer_for_a_while():
    memory = Past()
    memory.add(SCOPE, 5, ended())
    assert memory.get(SCOPE, 5, 59.9) == ended()
    assert memory.stored(SCOPE, 5) is STORED
    late = memory.get(SCOPE, 5, 60.0)
    assert late == Ended("has ended", 60.0, ADDER), "how it went is remembered for longer than what it answered"
    assert memory.get(SCOPE, "5", 0.0) is None


def test_an_answer_that_was_not_kept_is_not_given():
    memory = Past()
    memory.add(SCOPE, 5, ended(stored=None))
    with pytest.raises(KeyError):
        memory.stored(SCOPE, 5)


@pytest.mark.parametrize(
    ("position", "start", "found"), [(7, False, ADDER), (7, True, None), (2, True, ADDER), (2, False, ADDER)]
)
def test_the_version_is_that_of_an_answer_that_may_come_again(position, start, found):
    memory = Past()
    memory.add(SCOPE, 5, ended()._replace(record=RECORD._replace(position=position)))
    assert memory.version(SCOPE, 5, 59.0, start=start) == found
    assert memory.version(SCOPE, 5, 60.0, start=start) is None
    assert memory.version(SCOPE, 6, 59.0, start=start) is None


def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(past, "REMEMBERED", 3)
    memory = Past()
    for number in range(5):
        memory.add(SCOPE, number, ended())
    assert [memory.get(SCOPE, number, 0.0) is not None for number in range(5)] == [False, False, True, True, True]
    assert memory.used_bytes == 3 * 40


def test_answers_are_kept_within_so_many_bytes(monkeypatch):
    monkeypatch.setattr(past, "ANSWER_BYTES", 100)
    memory = Past()
    for number in range(4):
        memory.add(SCOPE, number, ended())
    assert [memory.get(SCOPE, number, 0.0) is not None for number in range(4)] == [False, False, True, True]
    assert memory.used_bytes == 80


def test_a_sequence_that_goes_again_is_remembered_once_and_as_the_latest(monkeypatch):
    monkeypatch.setattr(past, "REMEMBERED", 2)
    memory = Past()
    for number in (1, 2, 1, 3):
        memory.add(SCOPE, number, ended(f"went for {number}"))
    assert [memory.get(SCOPE, number, 0.0) is not None for number in (1, 2, 3)] == [True, False, True]
    assert memory.used_bytes == 2 * 40


def test_a_sequence_that_lives_again_is_forgotten():
    memory = Past()
    memory.add(SCOPE, 5, ended())
    memory.forget(SCOPE, 5)
    memory.forget(SCOPE, 6)
    assert (memory.get(SCOPE, 5, 0.0), memory.used_bytes) == (None, 0)

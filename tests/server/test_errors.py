import re

import grpc
import pytest

from server import errors
from server.errors import RecurError, StepRefused

ALL = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, RecurError)]


def test_the_text_form():
    error = errors.SequenceGone("sequence 5 has ended")
    assert error.text() == "NOT_FOUND SEQUENCE_GONE: sequence 5 has ended"
    assert error.text("r7") == "[request id: r7] NOT_FOUND SEQUENCE_GONE: sequence 5 has ended"


def test_what_a_client_made_long_is_cut_so_that_its_call_can_carry_the_error():
    text = errors.InvalidRequest("input 'x' has " + "a" * 10**6).text("r" * 10**6)
    assert text.startswith("[request id: rrr")
    assert "] INVALID_ARGUMENT INVALID_REQUEST: input 'x' has aaa" in text
    assert text.endswith("a…")
    assert len(text.encode()) < 1500


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_and_a_reason(kind):
    assert isinstance(kind.code, grpc.StatusCode)
    assert kind.code is not grpc.StatusCode.OK
    assert re.fullmatch(r"[A-Z][A-Z_]+", kind.reason)


def test_the_tree_that_is_drawn_is_the_tree():
    drawn = re.findall(r"(│   )?[├└]── (\w+) +([A-Z_]{2,})?", errors.__doc__)
    expected = [kind for kind in ALL if kind is not RecurError]
    assert [name for _, name, _ in drawn] == [kind.__name__ for kind in expected]
    for (below, name, code), kind in zip(drawn, expected, strict=True):
        parent = StepRefused if below else RecurError
        assert kind.__base__ is parent, name
        assert kind.code.name == (code or parent.code.name), name


def test_reasons_tell_errors_apart():
    reasons = [kind.reason for kind in ALL if kind not in (RecurError, StepRefused)]
    assert len(set(reasons)) == len(reasons)

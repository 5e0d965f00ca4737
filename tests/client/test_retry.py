"""When a request is sent again, with the clock and the dice held by the test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ClientError, Full, InvalidRequest, Timeout, Unavailable, error_of
from client.retry import Attempts, Retry, may_retry


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("code", "reason", "retried"),
    [
        ("UNAVAILABLE", "", True),
        ("UNAVAILABLE", "STORE_UNREACHABLE", True),
        ("DEADLINE_EXCEEDED", "", True),
        ("DEADLINE_EXCEEDED", "QUEUE_TIMEOUT", True),
        ("CANCELLED", "", True),
        ("UNKNOWN", "", True),
        ("INTERNAL", "", True),
        ("INTERNAL", "INTERNAL", False),
        ("UNKNOWN", "SOMETHING", False),
        ("RESOURCE_EXHAUSTED", "", False),
        ("INVALID_ARGUMENT", "INVALID_REQUEST", False),
        ("NOT_FOUND", "SEQUENCE_GONE", False),
        ("ALREADY_EXISTS", "", False),
        ("FAILED_PRECONDITION", "STEP_CONFLICT", False),
        ("UNAUTHENTICATED", "", False),
        ("UNIMPLEMENTED", "", False),
        ("DATA_LOSS", "", False),
    ],
)
def test_a_numbered_request_is_sent_again_where_that_may_help(code, reason, retried):
    assert may_retry(error_of(code, reason, "why"), safe=True) is retried


@given(code=st.sampled_from(["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", "NOT_FOUND"]))
def test_a_request_that_is_not_numbered_is_never_sent_again_after_a_lost_answer(code):
    assert not may_retry(error_of(code, "", "why"), safe=False)


def test_a_refusal_with_a_hint_is_asked_again_numbered_or_not():
    refused = Full("no room", retry_after_seconds=1.0)
    assert may_retry(refused, safe=True)
    assert may_retry(refused, safe=False)


def test_pauses_double_up_to_the_longest():
    retry = Retry(deadline_seconds=1e9, first_pause_seconds=1, longest_pause_seconds=8)
    attempts = Attempts(retry, clock=Clock(), dice=lambda: 1.0)
    assert [attempts.pause() for _ in range(6)] == [1, 2, 4, 8, 8, 8]


@given(dice=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 2000), hint=st.none() | st.floats(0, 100))
def test_a_pause_is_between_half_and_the_whole_and_never_shorter_than_the_hint(dice, failures, hint):
    attempts = Attempts(Retry(deadline_seconds=1e9), clock=Clock(), dice=lambda: dice)
    attempts._failures = failures
    seconds = attempts.pause(hint)
    assert (hint or 0) + 0.0249 <= seconds <= (hint or 0) + 2.0001


def test_a_try_is_as_long_as_its_own_deadline_or_what_is_left_of_the_whole():
    clock = Clock()
    attempts = Attempts(Retry(deadline_seconds=12, try_seconds=5), clock=clock)
    lengths = []
    for _ in range(4):
        lengths.append(attempts.try_seconds())
        clock.now += 5
    assert lengths == [5, 5, 2, 0]


def test_past_the_deadline_a_lost_answer_is_a_timeout_that_names_the_last_error():
    clock = Clock()
    attempts = Attempts(Retry(deadline_seconds=1), clock=clock)
    lost = Unavailable("Socket closed")
    assert attempts.pause_after(lost, safe=True) > 0
    clock.now += 1
    with pytest.raises(
        Timeout, match="within 1 seconds and 2 tries; the last ended with UNAVAILABLE: Socket"
    ) as caught:
        attempts.pause_after(lost, safe=True)
    assert caught.value.__cause__ is lost


def test_what_is_not_sent_again_is_raised_as_it_is():
    refused = InvalidRequest("no")
    with pytest.raises(ClientError) as caught:
        Attempts(Retry()).pause_after(refused, safe=True)
    assert caught.value is refused


def test_a_request_with_many_answers_has_the_whole_deadline_for_each():
    clock = Clock()
    attempts = Attempts(Retry(deadline_seconds=10, try_seconds=10), clock=clock)
    clock.now += 9
    attempts.begin_anew()
    clock.now += 9
    assert attempts.try_seconds() == 1

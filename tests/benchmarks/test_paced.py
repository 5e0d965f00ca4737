import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.answers import Refused
from benchmarks.paced import Latencies, Pace, drive, percentile
from tests.benchmarks.fakes import Fake, error_answer, serving, step_answer


def test_a_percentile_is_one_of_the_values_by_nearest_rank():
    assert percentile([float(value) for value in range(1, 101)], 99) == 99.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=50), st.integers(1, 100))
def test_the_share_of_values_up_to_a_percentile_is_at_least_its_percent(values, percent):
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(percent * len(values) / 100)


def test_sends_are_due_one_by_one_at_even_spaces():
    pace = Pace(rate=4.0)
    assert [list(pace.due(elapsed)) for elapsed in (0.0, 0.1, 0.25, 0.3)] == [[0], [], [1], []]
    assert pace.time_of(pace.sent) == 0.5


def test_what_a_pause_has_missed_is_sent_at_once_and_counted_from_when_it_was_due():
    pace = Pace(rate=4.0)
    late = list(pace.due(1.0))
    assert late == [0, 1, 2, 3, 4]
    assert [pace.time_of(send) for send in late] == [0.0, 0.25, 0.5, 0.75, 1.0]


@given(st.lists(st.floats(0, 1), max_size=30).map(sorted), st.floats(0.1, 1e3))
def test_whenever_the_clock_is_read_every_send_is_made_once_and_none_early(times, rate):
    pace, sent = Pace(rate), []
    for elapsed in times:
        due = pace.due(elapsed)
        assert all(pace.time_of(send) <= elapsed * (1 + 1e-9) for send in due)
        sent += due
    assert sent == list(range(len(sent)))


def test_only_requests_due_in_the_window_count_however_late_their_answers_are():
    latencies = Latencies(begin=1.0, end=2.0)
    for due, now in ((0.9, 5.0), (1.0, 1.5), (1.9, 5.9), (2.0, 2.1)):
        latencies.answered(due, now)
    assert latencies.seconds == [0.5, 4.0]


async def test_a_request_that_is_never_answered_counts_until_the_end():
    async with serving(Fake(step_answer, answers=2)) as address:  # the start's, and one more
        seconds = await drive(address, streams=1, rate=100.0, warm_seconds=0.0, seconds=0.1)
    assert len(seconds) == 10
    # The last was due 0.09 s after the beginning, the end is 0.35 s after it.
    assert sorted(seconds)[1] >= 0.25


async def test_a_stream_that_the_server_ends_is_an_error():
    fake = Fake(lambda request: step_answer(request) if request.parameters["sequence_start"].bool_param else None)
    with pytest.raises(Refused, match="ended a stream"):
        async with serving(fake) as address:
            await drive(address, streams=1, rate=100.0, warm_seconds=0.0, seconds=0.1)


async def test_every_request_that_was_due_is_in_the_latencies():
    fake = Fake(step_answer)
    async with serving(fake) as address:
        seconds = await drive(address, streams=4, rate=200.0, warm_seconds=0.0, seconds=0.2)
    assert len(seconds) == 40
    assert min(seconds) > 0
    assert {request.parameters["sequence_id"].int64_param for request in fake.requests} == {1, 2, 3, 4}


async def test_a_refusal_ends_the_paced_load_with_its_sentence():
    async with serving(Fake(lambda _: error_answer("no room"))) as address:
        with pytest.raises(Refused, match="no room"):
            await drive(address, streams=1, rate=10.0, warm_seconds=0.0, seconds=0.1)

"""The load of frames by hand, against servers on loopback."""

import pytest

from benchmarks.answers import Refused
from benchmarks.frames import drive
from benchmarks.processes import echo_server, lstm, recur_server

pytestmark = pytest.mark.e2e
SHORT = {"warm_seconds": 0.05, "seconds": 0.2}


@pytest.mark.parametrize("module", ["benchmarks.echo", "benchmarks.native_echo"])
def test_an_echo_of_either_transport_answers_every_call(module):
    with echo_server(module) as address:
        assert drive(address, 8, 1, **SHORT) > 0


@pytest.mark.parametrize("rows", [1, 64])
def test_the_server_steps_a_sequence_a_call_and_many(rows):
    with recur_server(lstm(), "--transport", "native") as server:
        assert drive(server.listen, 4, rows, **SHORT) > 0


def test_a_call_that_is_refused_is_no_rate():
    with (
        recur_server(lstm(), "--transport", "native", "--max-sequences", "3") as server,
        pytest.raises(Refused, match="answered a call with an error"),
    ):
        drive(server.listen, 4, 1, **SHORT)


def test_an_answer_without_the_rows_statuses_is_no_rate():
    with echo_server("benchmarks.native_echo") as address, pytest.raises(Refused, match="sequence_status"):
        drive(address, 2, 8, **SHORT)

"""Many sequences in one request, in both flavours and on both ways."""

import numpy as np
import pytest

from client.errors import Full, InvalidRequest, SequenceGone, Unavailable
from client.retry import Retry


def test_rows_answer_each_for_itself(client, fake):
    first = client.rows("adder", ["a", "b"], x=[[1, 2], [3, 4]], start=True)
    assert first["y"].tolist() == [[1, 3], [3, 7]]
    assert first.errors == [None, None]
    second = client.rows("adder", ["a", "c", "b"], x=np.array([[1], [1], [1]]), end=[False, False, True])
    assert second["y"].tolist() == [[4], [0], [8]]
    assert isinstance(second.errors[1], SequenceGone)
    assert str(second.errors[1]) == "NOT_FOUND SEQUENCE_GONE: sequence c is unknown"
    assert second.positions.tolist() == [3, 0, 3]
    assert fake.live == ["a"]


def test_rows_that_are_not_numbered_are_never_sent_twice(client, fake):
    fake.tell(faults=[{"fault": "lose"}])
    with pytest.raises(Unavailable):
        client.rows("adder", [1, 2], x=[[1], [2]], start=True)
    assert fake.applied == {"1": 1, "2": 1}


def test_rows_that_are_not_numbered_wait_for_a_server_that_refused_them(client, fake):
    fake.tell(faults=[{"fault": "refuse", "code": "RESOURCE_EXHAUSTED", "reason": "QUEUE_FULL", "retry_ms": 1}])
    assert client.rows("adder", [1], x=[[1]], start=True).positions.tolist() == [1]


def test_numbered_rows_keep_positions_and_end_together(client, fake):
    with client.sequences("adder", [1, 2, 3]) as many:
        assert many.step(x=[[1], [2], [3]])["y"].tolist() == [[1], [2], [3]]
        assert many.step(x=[[5], [6]], rows=[2, 0])["y"].tolist() == [[8], [7]]
        assert many.positions.tolist() == [2, 1, 2]
        many.step(x=[[1, 1]] * 3, end=[False, True, False])
        assert sorted(fake.live) == ["1", "3"]
    assert fake.live == []
    assert fake.applied == {"1": 4, "2": 2, "3": 4}


def test_a_lost_answer_for_many_rows_is_asked_for_again_and_every_row_applied_once(client, fake):
    many = client.sequences("adder", ["a", "b"])
    fake.tell(faults=[{"fault": "lose"}])
    answer = many.step(x=[[1], [2]])
    assert answer["y"].tolist() == [[1], [2]]
    assert answer.replayed.tolist() == [True, True]
    assert fake.applied == {"a": 1, "b": 1}


def test_only_the_rows_that_failed_for_a_while_are_sent_again(client, fake):
    many = client.sequences("adder", ["a", "b", "c"])
    fake.tell(
        bad_rows={"b": [["UNAVAILABLE", "STORE_UNREACHABLE"]] * 2, "c": [["RESOURCE_EXHAUSTED", "SEQUENCES_FULL"]]}
    )
    answer = many.step(x=[[1], [2], [3]])
    assert answer["y"].tolist() == [[1], [2], [3]]
    assert answer.errors == [None] * 3
    assert answer.positions.tolist() == many.positions.tolist() == [1, 1, 1]
    assert [request["rows"] for request in fake.requests] == [[3], [2], [1]]


def test_a_row_that_would_fail_again_keeps_its_error_and_its_position(client, fake):
    many = client.sequences("adder", ["a", "b"])
    many.step(x=[[1], [2]])
    fake.tell(expire=["b"])
    answer = many.step(x=[[1], [2]])
    assert answer["y"].tolist() == [[2], [0]]
    assert isinstance(answer.errors[1], SequenceGone)
    assert many.positions.tolist() == [2, 1]
    assert many.close()
    assert fake.live == []


def test_rows_that_stay_refused_past_the_deadline_keep_their_errors(connect, fake):
    once = Retry(deadline_seconds=5, first_pause_seconds=20, longest_pause_seconds=20)
    for streamed in (False, True):
        fake.tell(reset=True, room=1)
        answer = connect(streamed=streamed, retry=once).sequences("adder", ["a", "b"]).step(x=[[1], [2]])
        assert answer["y"].tolist() == [[1], [0]]
        assert answer.errors[0] is None
        assert isinstance(answer.errors[1], Full)


def test_rows_that_came_through_are_kept_when_the_rest_is_refused_as_a_whole(client, fake):
    refused = {"fault": "refuse", "code": "RESOURCE_EXHAUSTED", "reason": "QUEUE_FULL", "retry_ms": 60_000}
    fake.tell(bad_rows={"b": [["UNAVAILABLE", "STORE_UNREACHABLE"]]}, faults=[{}, refused])
    answer = client.sequences("adder", ["a", "b"]).step(x=[[1], [2]])
    assert answer["y"].tolist() == [[1], [0]]
    assert str(answer.errors[1]) == "UNAVAILABLE STORE_UNREACHABLE: refused on demand"


def test_rows_and_ids_that_do_not_fit_are_named(client):
    with pytest.raises(InvalidRequest, match=r"'x' has shape \[3, 1\]; one row for each of 2 ids is expected"):
        client.rows("adder", [1, 2], x=[[1], [2], [3]])
    with pytest.raises(InvalidRequest, match="not all integers or all strings"):
        client.rows("adder", [1, "2"], x=[[1], [2]])
    with pytest.raises(InvalidRequest, match="no sequence ids came"):
        client.rows("adder", [], x=[])


@pytest.mark.parametrize("ids", [[2**70, 1], ["\ud800", "a"]])
def test_ids_that_the_protocol_cannot_hold_are_named(client, ids):
    with pytest.raises(InvalidRequest, match="'sequence_id' has"):
        client.rows("adder", ids, x=[[1], [2]])


def test_numpys_integers_are_ids(client, fake):
    assert client.rows("adder", np.array([1, 2]), start=True, x=[[1], [2]]).errors == [None, None]

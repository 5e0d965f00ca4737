"""Steps of one sequence, in both flavours and on both ways."""

import pytest

from client.errors import ClientError, Fenced, Full, InvalidRequest, SequenceGone, StepConflict, Timeout
from client.retry import Retry

# The pause before a second try would be past the deadline.
ONCE = Retry(deadline_seconds=5, first_pause_seconds=20, longest_pause_seconds=20)


def test_a_sequence_is_started_stepped_numbered_and_ended(client, fake):
    with client.sequence("adder", "a") as s:
        assert s.step(x=[[1, 2]])["y"].tolist() == [[1, 3]]
        answer = s.step(x=[[4]])
        assert (answer["y"].tolist(), answer.position, answer.replayed) == ([[7]], 3, False)
        assert s.position == 3
    assert fake.live == []
    told = [request["parameters"] for request in fake.requests]
    assert [t["recur_step"] for t in told] == [0, 2, 3]
    assert [t["sequence_start"] for t in told] == [True, False, False]
    assert [t["sequence_end"] for t in told] == [False, False, True]
    assert {t["recur_incarnation"] for t in told} == {s.incarnation}


def test_a_step_whose_answer_was_lost_is_sent_again_and_applied_once(client, fake):
    with client.sequence("adder", "a") as s:
        s.step(x=[[1]])
        fake.tell(faults=[{"fault": "lose"}, {"fault": "lose"}])
        answer = s.step(x=[[2]])
        assert (answer["y"].tolist(), answer.position, answer.replayed) == ([[3]], 2, True)
        assert fake.applied == {"a": 2}
        assert s.step(x=[[3]])["y"].tolist() == [[6]]


def test_a_start_and_an_end_whose_answers_were_lost_are_applied_once(client, fake):
    fake.tell(faults=[{"fault": "lose"}])
    s = client.sequence("adder", "a")
    assert s.step(x=[[1]]).replayed
    fake.tell(faults=[{"fault": "lose"}])
    assert s.step(x=[[2]], end=True)["y"].tolist() == [[3]]
    assert (fake.applied, fake.live) == ({"a": 2}, [])


def test_a_try_without_an_answer_ends_at_its_own_deadline_and_is_sent_again(connect, fake):
    quick = Retry(deadline_seconds=20, try_seconds=0.2, first_pause_seconds=0.001)
    for streamed in (False, True):
        client = connect(streamed=streamed, retry=quick)
        fake.tell(faults=[{"fault": "silent"}])
        s = client.sequence("adder")
        assert s.step(x=[[5]]).replayed
        assert fake.applied[s.id] == 1


def test_a_client_goes_on_over_a_new_connection(client, fake):
    s = client.sequence("adder", "a")
    s.step(x=[[1]])
    fake.tell(restart=True)
    assert s.step(x=[[2]])["y"].tolist() == [[3]]
    assert fake.applied == {"a": 2}


def test_a_server_that_cannot_serve_now_is_asked_again(client, fake):
    refused = {"fault": "refuse", "code": "UNAVAILABLE", "reason": "STORE_UNREACHABLE"}
    fake.tell(faults=[refused, refused])
    assert not client.sequence("adder", "a").step(x=[[1]]).replayed
    assert [request["parameters"]["recur_step"] for request in fake.requests] == [0, 0, 0]


def test_a_full_server_is_asked_again_after_its_hint(client, fake):
    fake.tell(faults=[{"fault": "refuse", "code": "RESOURCE_EXHAUSTED", "reason": "SEQUENCES_FULL", "retry_ms": 10}])
    assert client.sequence("adder", "a").step(x=[[1]]).position == 1


def test_a_hint_past_the_deadline_is_the_callers_to_wait_for(client, fake):
    fake.tell(
        faults=[{"fault": "refuse", "code": "RESOURCE_EXHAUSTED", "reason": "SEQUENCES_FULL", "retry_ms": 60_000}]
    )
    with pytest.raises(Full) as caught:
        client.sequence("adder", "a").step(x=[[1]])
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("SEQUENCES_FULL", 60)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("code", ["INTERNAL", "INVALID_ARGUMENT", "UNAUTHENTICATED"])
def test_what_would_fail_again_is_asked_once(client, fake, code):
    fake.tell(faults=[{"fault": "refuse", "code": code, "reason": "SOME_REASON"}])
    with pytest.raises(ClientError, match=f"^{code} SOME_REASON: refused on demand$") as caught:
        client.sequence("adder", "a").step(x=[[1]])
    assert caught.value.code == code
    assert len(fake.requests) == 1


def test_no_server_at_all_is_a_timeout_that_says_why(connect, nobody):
    hurried = Retry(deadline_seconds=0.3, try_seconds=0.1, first_pause_seconds=0.01)
    for streamed in (False, True):
        with pytest.raises(Timeout, match=r"no answer within 0\.3 seconds and \d+ tries; the last ended with UNAVAIL"):
            connect(address=nobody, streamed=streamed, retry=hurried).sequence("adder").step(x=[[1]])


def test_after_a_timeout_the_same_step_can_be_given_again(connect, fake):
    for streamed in (False, True):
        s = connect(streamed=streamed, retry=ONCE).sequence("adder")
        fake.tell(faults=[{"fault": "lose"}])
        with pytest.raises(Timeout):
            s.step(x=[[1]])
        with pytest.raises(StepConflict) as caught:
            s.step(x=[[2]])
        assert caught.value.position == 1
        assert s.step(x=[[1]]).replayed


def test_an_expired_sequence_is_gone_and_needs_no_end(client, fake):
    with client.sequence("adder", "a") as s:
        s.step(x=[[1]])
        fake.tell(expire=["a"])
        with pytest.raises(SequenceGone, match="sequence a is unknown"):
            s.step(x=[[2]])
    assert fake.applied == {"a": 1}


def test_a_second_life_of_an_id_is_refused_and_the_first_goes_on(client):
    first = client.sequence("adder", 7)
    first.step(x=[[1]])
    with client.sequence("adder", 7) as second, pytest.raises(Fenced):
        second.step(x=[[2]])
    assert first.step(x=[[1]])["y"].tolist() == [[2]]


def test_an_id_that_belongs_to_another_life_now_is_not_ended_and_no_error_to_leave(client, fake):
    s = client.sequence("adder", "a")
    s.step(x=[[1]])
    client.rows("adder", ["a"], x=[[1]], start=True)
    assert s.close()
    assert fake.live == ["a"]


def test_the_integer_and_the_string_are_two_ids(client):
    assert client.sequence("adder", 5).step(x=[[1]])["y"].tolist() == [[1]]
    assert client.sequence("adder", "5").step(x=[[2]])["y"].tolist() == [[2]]


def test_a_step_after_the_end_is_refused_here(client, fake):
    s = client.sequence("adder")
    s.step(x=[[1]], end=True)
    with pytest.raises(SequenceGone, match="has ended; begin another"):
        s.step(x=[[1]])
    assert s.close()
    assert len(fake.requests) == 1


def test_an_input_that_no_message_can_carry_is_named(client):
    with pytest.raises(InvalidRequest, match="input 'x' is of complex128"):
        client.sequence("adder").step(x=[[1j]])


def test_a_block_that_failed_ends_its_sequence_and_tells_its_own_error(client, fake):
    def failing_block(name, faults):
        with client.sequence("adder", name) as s:
            s.step(x=[[1]])
            fake.tell(faults=faults)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_block("left", [{"fault": "refuse", "code": "UNAVAILABLE", "reason": "DRAINING", "retry_ms": 2000}])
    with pytest.raises(ZeroDivisionError):
        failing_block("ended", [])
    assert fake.live == ["left"]


def test_a_model_that_refuses_the_end_leaves_the_sequence_to_the_idle_time(client, fake):
    s = client.sequence("adder", "a")
    s.step(x=[[1]])
    fake.tell(faults=[{"fault": "refuse", "code": "INVALID_ARGUMENT", "reason": "INVALID_REQUEST"}])
    assert not s.close()
    assert fake.live == ["a"]


def test_notices_reach_the_callback_on_every_stream(connect, fake):
    heard = []
    client = connect(streamed=True, on_notice=heard.append)
    s = client.sequence("adder", "a")
    s.step(x=[[1]])
    fake.tell(notice="EXPIRED")
    s.step(x=[[1]])
    assert [notice.reason for notice in heard] == ["EXPIRED"]
    fake.tell(faults=[{"fault": "lose"}])
    s.step(x=[[1]])
    asked = ["recur_notices" in request["parameters"] for request in fake.requests]
    assert asked == [True, False, False, True]


def test_a_stream_that_is_silent_for_a_whole_try_is_replaced(connect, fake):
    quick = Retry(deadline_seconds=20, try_seconds=0.2, first_pause_seconds=0.001)
    fake.tell(faults=[{"fault": "silent"}])
    connect(streamed=True, retry=quick, on_notice=print).sequence("adder").step(x=[[1]])
    assert all("recur_notices" in request["parameters"] for request in fake.requests)
    assert len(fake.requests) > 1

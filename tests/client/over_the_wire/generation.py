"""Generation as an iterator, in both flavours."""

from itertools import islice

import pytest

from client.errors import InvalidRequest


@pytest.fixture
def client(connect):
    return connect()


def symbols(answers):
    return [int(answer["y"][0, 0]) for answer in answers]


def test_each_generated_step_comes_with_its_position_and_the_last_with_a_reason(client, fake):
    with client.sequence("adder") as s:
        answers = list(s.generate(x=[[1, 2]], max_steps=3, seed=4, temperature=0.5, top_k=2, top_p=0.9))
        assert symbols(answers) == [7, 4, 8]
        assert [answer.position for answer in answers] == [2, 3, 4]
        assert [answer.finish_reason for answer in answers] == [None, None, "length"]
        assert s.position == 4
        assert s.step(x=[[1]])["y"].tolist() == [[15]]
    asked = fake.requests[0]["parameters"]
    assert {name: asked[name] for name in ("recur_top_k", "recur_top_p", "recur_temperature")} == {
        "recur_top_k": 2, "recur_top_p": 0.9, "recur_temperature": 0.5,
    }  # fmt: skip
    assert "recur_beam_width" not in asked


def test_without_a_seed_one_is_drawn_so_that_a_second_try_generates_the_same(client, fake):
    refused = {"fault": "refuse", "code": "UNAVAILABLE", "reason": "DRAINING", "retry_ms": 1}
    fake.tell(faults=[refused])
    list(client.sequence("adder").generate(x=[[1]], max_steps=1))
    seeds = [request["parameters"]["recur_seed"] for request in fake.requests]
    assert seeds[0] == seeds[1] > 0


def test_a_search_is_asked_for_without_a_seed(client, fake):
    list(client.sequence("adder").generate(x=[[1]], max_steps=1, beam_width=3, length_penalty=0.5))
    asked = fake.requests[0]["parameters"]
    assert (asked["recur_beam_width"], asked["recur_length_penalty"]) == (3, 0.5)
    assert "recur_seed" not in asked


def test_answers_may_have_several_steps(client, fake):
    list(client.sequence("adder").generate(x=[[1]], max_steps=1, answer_steps=16))
    assert fake.requests[0]["parameters"]["recur_answer_steps"] == 16


def test_a_stream_cut_in_the_middle_gives_the_last_answer_replayed_and_applies_once(client, fake):
    s = client.sequence("adder", "a")
    fake.tell(faults=[{"fault": "cut_after", "answers": 2}])
    answers = list(s.generate(x=[[1]], max_steps=5, seed=0))
    assert [answer.position for answer in answers] == [1, 2, 5]
    assert [answer.replayed for answer in answers] == [False, False, True]
    assert (s.position, fake.applied) == (5, {"a": 1})


def test_a_generation_left_in_the_middle_is_read_to_its_end_before_the_next_step(client, fake):
    s = client.sequence("adder", "a")
    assert symbols(islice(s.generate(x=[[1]], max_steps=4, seed=0), 2)) == [1, 2]
    assert s.step(x=[[1]])["y"].tolist() == [[9]]
    assert (s.position, fake.applied) == (5, {"a": 2})


def test_a_generation_may_end_its_sequence(client, fake):
    with client.sequence("adder") as s:
        list(s.generate(x=[[1]], max_steps=2, end=True))
    assert (fake.live, len(fake.requests)) == ([], 1)


def test_what_the_server_refuses_to_generate_is_raised_and_leaves_the_sequence(client, fake):
    s = client.sequence("adder", "a")
    fake.tell(faults=[{"fault": "refuse", "code": "INVALID_ARGUMENT", "reason": "INVALID_REQUEST"}])
    with pytest.raises(InvalidRequest):
        list(s.generate(x=[[1]], max_steps=2))
    assert s.step(x=[[3]])["y"].tolist() == [[3]]
    assert len(fake.requests) == 2


def test_a_generation_that_cannot_be_written_leaves_the_sequence(client, fake):
    with client.sequence("adder") as s:
        with pytest.raises(InvalidRequest, match="'recur_seed'"):
            list(s.generate(x=[[1]], max_steps=2, seed=2**70))
        assert s.step(x=[[1]]).position == 1

import asyncio

import pytest

from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from tests.server.fakes import REFUSED, SCOPE, result
from tests.server.rpc.generations import Reader, Served, told, write
from tests.server.rpc.requests import columns, many, one


@pytest.fixture
async def served():
    served = Served()
    async with served.server.running():
        yield served


async def test_every_step_is_answered_and_fed_back_and_the_last_tells_why(served):
    values, last = await served.generated(write([1, 2]), reader=served.reader)
    assert values == [103, 206, 412]
    assert [told(answer) for answer in served.reader.sent] == [(2, ""), (3, "")]
    assert told(last) == (4, "length")
    assert [answer.id for answer in (*served.reader.sent, last)] == ["g"] * 3
    assert [answer.parameters["triton_final_response"].bool_param for answer in served.reader.sent] == [False, False]
    assert last.parameters["triton_final_response"].bool_param
    assert columns(last)["log_prob"].tolist() == [[0.0]]


async def test_a_sequence_goes_on_after_it_with_the_last_value_as_its_next_input(served):
    values, _ = await served.generated(write(steps=2))
    assert values == [101, 202]
    answer = await served.ask(one([202], sequence_id="s"))
    assert (columns(answer)["y"].item(), answer.parameters["recur_step"].int64_param) == (404, 3)


@pytest.mark.parametrize("steps", [1, 2, 5])
async def test_a_generation_that_comes_again_is_answered_with_its_last_answer_alone(served, steps):
    request = write([1, 2], steps=steps, recur_step=0, recur_incarnation="a")
    values, last = await served.generated(request)
    again, replayed = await served.generated(request)
    assert (again, told(replayed)) == (values[-1:], told(last))
    assert replayed.parameters["recur_replayed"].bool_param
    assert await served.generated(write([values[-1]], start=False, recur_step=1 + steps, steps=1))


@pytest.mark.parametrize(("together", "shares"), [(1, [1] * 6), (2, [2, 2, 2]), (4, [4, 2]), (256, [6])])
async def test_steps_share_an_answer_until_it_is_written_or_full(served, together, shares):
    reader = Reader()
    reader.unwritten = []
    last = await served.ask(write(steps=7, recur_answer_steps=together), reader=reader)
    answers = [pb.ModelInferResponse.FromString(answer()) for answer in reader.unwritten]
    assert [columns(answer)["y"].shape for answer in answers] == [(1, share, 1) for share in shares]
    assert [columns(answer)["log_prob"].shape for answer in answers] == [(1, share) for share in shares]
    assert [value.item() for answer in answers for value in columns(answer)["y"][0]] == [
        101 * 2**step for step in range(6)
    ]
    assert [told(answer)[0] for answer in answers] == [sum(shares[: count + 1]) for count in range(len(shares))]
    assert (told(last), columns(last)["y"].tolist()) == ((7, "length"), [[[101 * 2**6]]])


async def test_how_many_steps_share_an_answer_is_nothing_of_the_request_that_comes_again(served):
    values, _ = await served.generated(write(recur_step=0))
    again, replayed = await served.generated(write(recur_step=0, recur_answer_steps=3))
    assert again == values[-1:]
    assert replayed.parameters["recur_replayed"].bool_param


async def test_a_generation_whose_answer_has_room_is_not_held(served):
    reader = Reader()
    reader.reads, reader.unwritten = False, []
    last = served.send(write(steps=9, recur_answer_steps=4), reader=reader)
    await reader.held()
    assert (len(reader.unwritten), last.done()) == (1, False)
    assert pb.ModelInferResponse.FromString(reader.unwritten[0]()).parameters["recur_step"].int64_param == 4
    reader.reads = True
    reader.resume()
    assert told(await result(last)) == (9, "length")


async def test_another_number_of_steps_is_another_request(served):
    await served.generated(write(recur_step=0))
    error = await served.ask(write(steps=4, recur_step=0))
    assert (error.reason, error.position) == ("STEP_CONFLICT", 3)


async def test_who_comes_again_while_it_generates_hears_how_it_ended(served):
    request = write(steps=4, recur_step=0)
    first, second = served.send(request), served.send(request, reader=(other := Reader()))
    last = await result(first)
    assert columns(await result(second))["y"].item() == columns(last)["y"].item()
    assert other.sent == []


async def test_a_client_that_goes_stops_it_within_a_step_and_learns_where_when_it_comes_again(served):
    served.reader.leaves_after = 2
    request = write(steps=100, recur_step=0)
    last = await served.ask(request)
    assert (columns(last)["y"].item(), told(last)) == (404, (3, "cancelled"))
    assert len(served.runner.rows) == 3
    again, replayed = await served.generated(request)
    assert (again, told(replayed)) == ([404], (3, "cancelled"))
    assert columns(await served.ask(one([404], sequence_id="s", recur_step=3)))["y"].item() == 808


async def test_a_client_that_reads_slowly_is_not_generated_for_until_it_has_read(served):
    served.reader.reads = False
    last = served.send(write(steps=3))
    behind = served.send(one([0], sequence_id="s"))
    await served.reader.held()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (len(served.reader.sent), last.done(), behind.done()) == (1, False, False)
    other = await served.ask(one([1], sequence_id="other", sequence_start=True))
    assert columns(other)["y"].item() == 101, "others are not held"
    served.reader.resume()
    await served.reader.held()
    served.reader.resume()
    assert told(await result(last)) == (3, "length")
    assert columns(await result(behind))["y"].item() == 404


async def test_one_that_is_held_and_dropped_lets_its_sequence_go_on(served):
    served.reader.reads = False
    served.send(write(steps=3))
    await served.reader.held()
    held = served.chunks
    behind = served.send(one([5], sequence_id="s"))
    served.inbox.cancel(held)
    answer = await result(behind)
    assert (columns(answer)["y"].item(), answer.parameters["recur_step"].int64_param) == (106, 2)
    served.reader.resume()
    assert len(served.server.scheduler) == 0


@pytest.mark.parametrize("others", [0, 1])
async def test_one_whose_answers_nobody_reads_is_given_up_when_its_sequence_would_be_idle(served, others):
    served.reader.reads = False
    last = served.send(write(steps=3))
    behind = [served.send(one([5], sequence_id="s")) for _ in range(others)]
    await served.reader.held()
    served.server.clock.now += served.server.limits("a").idle_seconds + 1
    expired = await served.server.sessions.expire()
    assert "not read for 60 s" in (await result(last)).sentence
    assert expired == 1 - others
    assert [columns(await result(answer))["y"].item() for answer in behind] == [106] * others
    served.reader.resume()
    assert len(served.server.scheduler) == 0


async def test_the_end_comes_after_the_last_step_and_the_last_answer_is_kept_for_a_retry(served):
    request = write(steps=2, sequence_end=True, recur_step=0)
    values, last = await served.generated(request)
    assert not served.server.sessions.live(served.server.sessions._rosters.items()[0][0])
    again, replayed = await served.generated(request)
    assert (again, told(replayed)) == (values[-1:], told(last))
    assert (await served.ask(one([1], sequence_id="s"))).reason == "SEQUENCE_GONE"


async def test_what_one_request_may_generate_is_bounded(served):
    bounded = Served(max_generated_steps=2)
    async with bounded.server.running():
        values, last = await bounded.generated(write(steps=5))
    assert (len(values), told(last)) == (2, (2, "limit"))


async def test_a_step_that_fails_ends_it_and_leaves_the_sequence_where_it_was(served):
    # The sum is fed back: it comes to a value that the graph refuses.
    await served.ask(one([REFUSED / 2 - 100], sequence_id="s", sequence_start=True))
    error = await served.ask(write([REFUSED / 2], start=False, steps=5))
    assert error.reason == "MODEL_REFUSED"
    assert (await served.ask(one([2], sequence_id="s"))).parameters["recur_step"].int64_param == 3


async def test_generations_run_in_batches_beside_each_other(served):
    sent = [served.send(write([number], sequence=number, steps=4), reader=Reader()) for number in (1, 2, 3)]
    lasts = [columns(await result(last))["y"].item() for last in sent]
    assert lasts == [(100 + number) * 8 for number in (1, 2, 3)]
    assert served.runner.rows == [3] * 4


REFUSALS = {
    "without a sequence": one([1], recur_max_steps=2),
    "a question": one([1], sequence_id="s", recur_max_steps=2, recur_peek=True),
    "many sequences": many([1, 2], [[1], [1]], parameters={"recur_max_steps": 2}),
    "no steps": write(steps=0),
    "a temperature where nothing is drawn": write(recur_temperature=0.5),
    "top_k alone": one([1], sequence_id="s", recur_top_k=2),
    "a temperature below 0": write(recur_temperature=-0.1),
    "a temperature that is no number": write(recur_temperature="hot"),
    "top_p of 0": write(recur_top_p=0.0),
    "top_p above 1": write(recur_top_p=1.5),
    "top_k of 0": write(recur_top_k=0),
    "a seed below 0": write(recur_seed=-1),
    "beams": write(recur_beam_width=4),
}


@pytest.mark.parametrize("request_", REFUSALS.values(), ids=REFUSALS.keys())
async def test_what_cannot_be_generated_is_refused_and_begins_nothing(served, request_):
    assert isinstance(await served.ask(request_), InvalidRequest)
    assert len(served.server.sessions) == 0


async def test_a_model_that_feeds_nothing_back_and_a_call_of_one_answer_do_not_generate():
    plain = Served()
    plain.server.publish()
    async with plain.server.running():
        error = await plain.ask(write())
        assert error.sentence == "model 'adder' does not generate: its manifest has no decode"
    served, answers = Served(), []
    served.inbox.take(write().SerializeToString(), lambda _, answer: answers.append(answer))
    assert "send the request on a stream" in answers[0].sentence


async def test_the_sequence_of_a_generation_under_way_is_busy(served):
    served.reader.reads = False
    served.send(write(steps=3))
    await served.reader.held()
    assert served.server.engine.holds(SCOPE, "s")


async def test_generations_under_way_leave_the_queue_to_others():
    served = Served(max_queue=2)
    readers = [Reader() for _ in range(4)]
    async with served.server.running():
        for number, reader in enumerate(readers):
            reader.reads = False
            served.send(write(sequence=number + 1, steps=100), reader=reader)
            await reader.held()
        assert served.server.scheduler.waiting("adder") == 4
        answer = await served.ask(one([1], sequence_id="other", sequence_start=True))
        assert columns(answer)["y"].item() == 101

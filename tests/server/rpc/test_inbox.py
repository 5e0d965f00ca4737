import asyncio
import time

import pytest

from models.manifest import TensorSpec
from server.assembly import assemble
from server.errors import InvalidRequest, RecurError, SequenceGone, StepAlreadyApplied
from server.metrics import UNKNOWN
from server.pb import grpc_service_pb2 as pb
from server.rpc.inbox import Inbox
from server.types import ModelKey
from tests.server.fakes import ADDER, REFUSED, SCOPE, Server, manifest, result
from tests.server.rpc.requests import columns, many, one

SECOND = ModelKey(ADDER.name, 2)
OK, INVALID, GONE, FULL, FAILED = 0, 3, 5, 8, 9


class Served:
    """An inbox over a whole server; requests are messages, and so are answers."""

    def __init__(self, **limits) -> None:
        self.server = Server(**limits)
        self.server.clock.now = time.monotonic()
        self.inbox = Inbox(self.server.sessions, self.server.metrics, self.server.limits)
        self.chunks = ()

    def send(self, request):
        """Take a request; the future holds its message or its error."""
        future = asyncio.get_running_loop().create_future()

        def reply(request_id, answer):
            assert not future.done(), "answered twice"
            assert request_id == request.id
            if not isinstance(answer, RecurError):
                answer = pb.ModelInferResponse.FromString(answer)
            future.set_result(answer)

        self.chunks = self.inbox.take(request.SerializeToString(), reply, client=3)
        return future

    async def ask(self, request):
        return await result(self.send(request))

    async def ask_many(self, *arguments, **options):
        return columns(await self.ask(many(*arguments, **options)))


@pytest.fixture
async def served():
    served = Served(max_sequences=6, capacity=6)
    async with served.server.running():
        yield served


async def test_a_request_for_one_sequence_is_answered_with_its_step(served):
    answer = await served.ask(one([1, 2], id_="r7", sequence_id=5, sequence_start=True))
    assert (answer.id, answer.model_name, answer.model_version) == ("r7", "adder", "1")
    assert columns(answer)["y"].tolist() == [[[101], [103]]]
    assert answer.parameters["recur_step"].int64_param == 2
    assert "recur_replayed" not in answer.parameters


async def test_a_step_that_comes_again_is_answered_with_the_same_bytes_and_told_so(served):
    first = await served.ask(one([1, 2], sequence_id="s", sequence_start=True, recur_step=0))
    again = await served.ask(one([1, 2], sequence_id="s", sequence_start=True, recur_step=0))
    assert again.parameters.pop("recur_replayed").bool_param
    assert again == first
    assert served.server.metrics.registry.get_sample_value("recur_replays_total") == 1


async def test_the_lengths_of_a_request_cut_its_row(served):
    answer = await served.ask(one([1, 2, 9], lengths=[2], sequence_id=5, sequence_start=True))
    assert columns(answer)["y"].ravel().tolist() == [101, 103, 0]
    assert answer.parameters["recur_step"].int64_param == 2


async def test_rows_that_are_not_kept_are_answered_without_a_step(served):
    answer = await served.ask(one([1, 2], [3, 4]))
    assert columns(answer)["y"][..., 0].tolist() == [[101, 103], [103, 107]]
    assert "recur_step" not in answer.parameters
    assert served.server.live() == 0


async def test_rows_of_many_sequences_are_answered_each_for_itself(served):
    await served.ask(one([5], sequence_id=7, sequence_start=True))
    found = await served.ask_many([7, 8, 0, 9, 7], [[1], [2], [3], [4], [5]], start=[0, 1, 1, 0, 0])
    assert list(found) == ["y", "sequence_status", "sequence_error", "recur_step", "recur_replayed"]
    assert found["y"][:, 0, 0].tolist() == [106, 102, 0, 0, 0]
    assert found["sequence_status"].tolist() == [OK, OK, INVALID, GONE, INVALID]
    assert found["recur_step"].tolist() == [2, 1, 0, 0, 0]
    assert found["recur_replayed"].tolist() == [False] * 5
    errors = found["sequence_error"]
    assert (errors[0], errors[1]) == ("", "")
    assert errors[2].startswith("INVALID_ARGUMENT INVALID_REQUEST: ")
    assert errors[3].startswith("NOT_FOUND SEQUENCE_GONE: sequence 9 of model 'adder'")
    assert "twice" in errors[4]


async def test_one_row_may_be_of_many_sequences_too(served):
    found = await served.ask_many(["s"], [[1]], start=[1])
    assert (found["y"].ravel().tolist(), found["sequence_status"].tolist()) == ([101], [OK])


async def test_the_integer_and_the_string_are_two_sequences(served):
    await served.ask_many([5], [[1]], start=[1])
    await served.ask_many(["5"], [[2]], start=[1])
    assert (await served.ask_many([5], [[0]]))["y"].ravel().tolist() == [101]
    assert columns(await served.ask(one([0], sequence_id="5")))["y"].ravel().tolist() == [102]


async def test_rows_over_the_limit_are_refused_each_for_itself(served):
    found = await served.ask_many(list(range(1, 9)), [[1]] * 8, start=[1] * 8, step=[0] * 8)
    assert found["sequence_status"].tolist() == [OK] * 6 + [FULL] * 2
    again = await served.ask_many(list(range(1, 9)), [[1]] * 8, start=[1] * 8, step=[0] * 8)
    assert again["recur_replayed"].tolist() == [True] * 6 + [False] * 2
    assert again["y"].tolist() == found["y"].tolist()
    assert again["sequence_status"].tolist() == found["sequence_status"].tolist()


async def test_more_rows_than_a_batch_are_split_inside(served):
    served = Served(max_batch=2, capacity=9)
    async with served.server.running():
        found = await served.ask_many(list(range(1, 8)), [[number] for number in range(7)], start=[1] * 7)
    assert found["y"].ravel().tolist() == [100 + number for number in range(7)]
    assert max(served.server.runner.rows) == 2


async def test_more_rows_than_a_batch_that_are_not_kept_are_refused():
    served = Served(max_batch=2)
    error = await served.ask(one([1], [1], [1]))
    assert error.sentence == "the request has 3 rows; 2 are the most"


async def test_a_row_that_the_graph_refuses_fails_alone_among_many(served):
    served = Served(max_batch=256, capacity=256)
    async with served.server.running():
        values = [[float(REFUSED if number == 77 else number)] for number in range(256)]
        found = await served.ask_many([f"s{number}" for number in range(256)], values, start=[1] * 256)
    assert found["sequence_status"].tolist() == [INVALID if number == 77 else OK for number in range(256)]
    assert found["y"].ravel().tolist() == [0.0 if number == 77 else 100.0 + number for number in range(256)]
    assert found["recur_step"].tolist() == [int(number != 77) for number in range(256)]
    assert served.server.live() == 255
    assert len(served.server.runner.rows) <= 1 + 2 * 8, "halves of halves"


async def test_no_room_in_the_queue_refuses_the_parts_that_came_late_and_no_other_row():
    served = Served(max_queue=2, max_batch=2)
    asked = served.send(many([1, 2, 3, 4, 5, 6], [[1]] * 6, start=[1] * 6))
    assert len(served.chunks) == 2, "what was refused waits for nothing"
    async with served.server.running():
        found = columns(await result(asked))
        assert found["sequence_status"].tolist() == [OK] * 4 + [FULL] * 2
        assert found["y"].ravel().tolist() == [101] * 4 + [0] * 2
        assert "QUEUE_FULL" in found["sequence_error"][5]
        again = await served.ask_many([5, 6], [[1]] * 2, start=[1] * 2)
        assert again["sequence_status"].tolist() == [OK, OK]


async def test_no_room_in_the_queue_refuses_a_request_at_once():
    served = Served(max_queue=1)
    waiting, refused = served.send(one([1])), served.send(one([2]))
    assert refused.done()
    assert refused.result().reason == "QUEUE_FULL"
    assert list(served.chunks) == []
    assert not waiting.done()
    assert served.server.metrics.registry.get_sample_value("recur_rejections_total", {"reason": "QUEUE_FULL"}) == 1


async def test_half_a_queue_is_crowded_for_who_has_requests_there():
    served = Served(max_queue=4)
    served.send(one([1]))
    mine = served.chunks
    assert not served.inbox.crowded(mine)
    served.send(one([2]))
    assert served.inbox.crowded(mine)
    served.inbox.cancel(served.chunks)
    assert not served.inbox.crowded(mine)


async def test_a_request_that_is_dropped_leaves_the_queue_and_its_sequences_go_on():
    served = Served()
    async with served.server.running():
        await served.ask_many([1, 2], [[1]] * 2, start=[1] * 2)
    dropped = served.send(many([1, 2], [[50]] * 2))
    chunks = served.chunks
    after = served.send(many([2, 1], [[2], [1]]))
    served.inbox.cancel(chunks)
    async with served.server.running():
        assert columns(await result(after))["y"].ravel().tolist() == [103, 102]
    assert not dropped.done()
    assert len(served.server.scheduler) == 0


async def test_a_request_dropped_while_a_part_of_it_runs_finishes_that_part_alone():
    served = Served()
    scheduler, sessions = served.server.scheduler, served.server.sessions
    async with served.server.running():
        await served.ask_many([1, 2], [[1]] * 2, start=[1] * 2)
    earlier = served.send(one([10], sequence_id=2))
    dropped = served.send(many([1, 2], [[50]] * 2))
    chunks = served.chunks
    batch = scheduler.schedule(0.0).chunks
    assert [list(chunk.ids) for chunk in batch] == [[2], [1]], "the row of the idle sequence goes at once"
    served.inbox.cancel(chunks)
    turn = sessions.begin(batch)
    model = served.server.catalogue[ADDER]

    model.runtime.run(assemble(model.runtime.signatures["run"], turn, turn.running()))
    sessions.commit(turn)
    scheduler.finish(batch)
    async with served.server.running():
        assert (await served.ask_many([1, 2], [[0]] * 2))["y"].ravel().tolist() == [151, 111]
    assert not dropped.done()
    assert not earlier.done(), "this test answered nobody"
    assert not served.server.engine.holds(SCOPE, 2)


async def test_a_request_that_waited_too_long_is_told_so_row_by_row(served):
    served = Served()
    server = served.server
    async with server.running():
        await served.ask_many([1, 2], [[1]] * 2, start=[1] * 2)
    late = served.send(many([1, 2], [[50]] * 2, timeout=1000))
    found = columns(await result(late))
    assert found["sequence_status"].tolist() == [4, 4]
    assert "QUEUE_TIMEOUT" in found["sequence_error"][0]
    async with server.running():
        assert (await served.ask_many([1, 2], [[0]] * 2))["y"].ravel().tolist() == [101, 101]


async def test_rows_go_to_the_versions_of_their_sequences(served):
    await served.ask_many([1], [[1]], start=[1])
    served.server.publish(SECOND)
    await served.ask_many([2], [[1]], start=[1])
    found = await served.ask_many([2, 1, 3], [[1]] * 3, start=[0, 0, 1])
    assert found["y"].ravel().tolist() == [202, 102, 201]
    assert found["sequence_status"].tolist() == [OK] * 3


async def test_a_version_that_is_named_is_that_of_every_row(served):
    await served.ask_many([1], [[1]], start=[1])
    served.server.publish(SECOND)
    found = await served.ask_many([1, 3], [[1]] * 2, start=[0, 1], version="2")
    assert found["y"].ravel().tolist() == [0, 201]
    assert found["sequence_status"].tolist() == [FAILED, OK]
    assert "VERSION_MISMATCH" in found["sequence_error"][0]


async def test_a_row_whose_version_gives_other_tensors_is_told_to_name_it(served):
    await served.ask_many([1], [[1]], start=[1])
    served.server.publish(SECOND, outputs=(TensorSpec("y", "FP32", ("time", 1)), TensorSpec("z", "FP32", ("time",))))
    found = await served.ask_many([1], [[1]])
    assert found["sequence_status"].tolist() == [FAILED]
    assert "name the version" in found["sequence_error"][0]
    assert found["z"].tolist() == [[0]]
    assert (await served.ask_many([1], [[1]], version="1"))["y"].ravel().tolist() == [102]


async def test_a_request_that_breaks_the_protocol_is_refused_at_once_and_counted(served):
    refused = {
        "model": one([1], model="other"),
        "version": one([1], version="9"),
        "parameter": one([1], recur_whatever=True),
        "output": one([1], outputs=["z"]),
        "two ids": many([1], [[1]], parameters={"sequence_id": 7}),
        "a start of nothing": one([1], sequence_start=True),
        "two rows": one([1], [2], sequence_id=5, sequence_start=True),
    }
    for request in refused.values():
        future = served.send(request)
        assert list(served.chunks) == []
        assert isinstance(future.result(), RecurError)
    counted = served.server.metrics.sample
    assert counted("recur_requests_total", UNKNOWN, code="NOT_FOUND") == 2
    assert counted("recur_requests_total", UNKNOWN, code="INVALID_ARGUMENT") == 1
    assert counted("recur_requests_total", ADDER, code="INVALID_ARGUMENT") == 4


@pytest.mark.parametrize(("wanted", "answered"), [(["z"], ["z"]), (["z", "y"], ["z", "y"]), ([], ["y", "z"])])
async def test_only_the_outputs_that_are_asked_for_are_answered(served, wanted, answered):
    runner = served.server.publish(SECOND, outputs=(*manifest().outputs, TensorSpec("z", "FP32", ("time", 1))))
    run = runner.run

    def twice(*arguments):
        outputs, states = run(*arguments)
        return outputs | {"z": 2 * outputs["y"]}, states

    runner.run = twice
    found = await served.ask_many([1, 2], [[1], [REFUSED]], start=[1, 1], outputs=wanted)
    expected = {"y": [201, 0], "z": [402, 0]}
    assert {name: found[name].ravel().tolist() for name in answered} == {name: expected[name] for name in answered}
    assert list(found)[: len(answered) + 1] == [*answered, "sequence_status"]
    alone = columns(await served.ask(one([1], sequence_id=3, sequence_start=True, outputs=wanted)))
    assert list(alone) == answered


async def test_who_asks_for_the_end_is_told_it(served):
    for request in (one([1]), many([1], [[1]], start=[1])):
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        assert (await served.ask(request)).parameters["triton_final_response"].bool_param


async def test_a_request_is_timed_from_its_reading_to_its_answer(served):
    await served.ask(one([1]))
    sample = served.server.metrics.sample
    assert sample("recur_requests_total", ADDER, code="OK") == 1
    assert sample("recur_request_duration_seconds_count", ADDER) == 1
    for stage in ("decode", "queue", "encode"):
        assert sample("recur_stage_duration_seconds_count", ADDER, stage=stage) == 1


async def test_the_priority_and_the_client_of_a_request_reach_the_scheduler():
    served = Served()
    served.send(one([1], priority=2))
    [chunk] = served.chunks
    assert (chunk.priority, chunk.client) == (2, 3)


async def test_a_question_is_answered_from_the_state_and_moves_nothing(served):
    await served.ask(one([1], sequence_id=5, sequence_start=True, recur_step=0))
    for step in ({}, {"recur_step": 1}):
        answer = await served.ask(one([2], sequence_id=5, recur_peek=True, **step))
        assert columns(answer)["y"].item() == 103
        assert answer.parameters["recur_step"].int64_param == 1
    assert isinstance(await served.ask(one([2], sequence_id=5, recur_peek=True, recur_step=0)), StepAlreadyApplied)
    assert isinstance(await served.ask(one([2], sequence_id=6, recur_peek=True)), SequenceGone)
    assert columns(await served.ask(one([2], sequence_id=5, recur_step=1)))["y"].item() == 103


async def test_a_question_leaves_the_last_step_to_be_answered_again(served):
    await served.ask(one([1], sequence_id=5, sequence_start=True, recur_step=0))
    await served.ask(one([2], sequence_id=5, recur_peek=True))
    again = await served.ask(one([1], sequence_id=5, sequence_start=True, recur_step=0))
    assert again.parameters["recur_replayed"].bool_param


@pytest.mark.parametrize("flags", [{"sequence_start": True}, {"sequence_end": True}])
async def test_a_question_neither_starts_nor_ends_a_sequence(served, flags):
    await served.ask(one([1], sequence_id=5, sequence_start=True))
    assert isinstance(await served.ask(one([2], sequence_id=5, recur_peek=True, **flags)), InvalidRequest)
    assert isinstance(await served.ask(one([2], recur_peek=True)), InvalidRequest)


async def test_rows_that_find_no_room_are_counted(served):
    found = await served.ask_many(list(range(1, 9)), [[1]] * 8, start=[True] * 8)
    assert found["sequence_status"].tolist() == [0] * 6 + [8] * 2
    registry = served.server.metrics.registry
    assert registry.get_sample_value("recur_rejections_total", {"reason": "SEQUENCES_FULL"}) == 2


async def test_a_request_of_more_steps_than_one_may_have_is_refused_at_once():
    served = Served(max_chunk_steps=3)
    async with served.server.running():
        assert columns(await served.ask(one([1, 2, 3], sequence_id=5, sequence_start=True)))["y"].size == 3
        error = await served.ask(one([1, 2, 3, 4], sequence_id=5))
        assert (type(error), error.sentence) == (
            InvalidRequest,
            "the request has 4 steps; 3 are the most: send several chunks",
        )
        assert isinstance(await served.ask(many([1, 2], [[1] * 4] * 2)), InvalidRequest)


# Requests of which the second is nearly like the first.
PAIRS = {
    "another sequence": (one([1], sequence_id=5), one([2], sequence_id=6)),
    "a text": (one([1], sequence_id=5), one([2], sequence_id="5")),
    "no sequence": (one([1], sequence_id=5), one([2], sequence_id=0)),
    "a start": (one([1], sequence_id=5), one([2], sequence_id=5, sequence_start=True)),
    "a life": (one([1], sequence_id=5, recur_incarnation=""), one([2], sequence_id=5, recur_incarnation="x")),
    "a step": (one([1], sequence_id=5, recur_step=1), one([2], sequence_id=5, recur_step=2)),
    "a question": (one([1], sequence_id=5, recur_peek=True), one([2], sequence_id=6, recur_peek=True)),
    "a priority": (one([1], sequence_id=5, priority=1), one([2], sequence_id=5, priority=2)),
    "lengths": (one([1, 2], sequence_id=5, lengths=[2]), one([1, 2], sequence_id=5, lengths=[1])),
    "more steps": (one([1], sequence_id=5), one([1, 2], sequence_id=5)),
    "other sequences": (many([1, 2], [[1], [2]]), many([3, 4], [[5], [6]])),
    "an id twice": (many([1, 2], [[1], [2]]), many([3, 3], [[5], [6]])),
    "starts among many": (many([1, 2], [[1], [2]], start=[0, 0]), many([1, 2], [[1], [2]], start=[0, 1])),
    "steps of many": (many([1, 2], [[1], [2]], step=[0, 0]), many([1, 2], [[1], [2]], step=[0, 1])),
    "one beside many": [many([1, 2], [[1], [2]], parameters={"sequence_id": id_}) for id_ in (0, 7)],
}


def taken(inbox, request):
    """What is queued of a request, and what is answered at once."""
    replies = []
    chunks = inbox.take(request.SerializeToString(), lambda *reply: replies.append(reply), client=1)
    apart = ("done", "arrived", "deadline", "due", "waits")
    queued = [
        {field: repr(getattr(chunk, field)) for field in chunk.__struct_fields__ if field not in apart}
        for chunk in chunks
    ]
    inbox.cancel(chunks)
    return queued, [(id_, str(answer)) for id_, answer in replies]


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_what_is_queued_does_not_depend_on_earlier_requests(pair):
    remembering = Served().inbox
    for request in (*pair, *pair):
        assert taken(remembering, request) == taken(Served().inbox, request)


def test_a_request_like_an_earlier_one_is_for_the_version_that_serves_now():
    served = Served()
    for key in (ADDER, SECOND):
        served.server.publish(key)
        [queued], _ = taken(served.inbox, one([1], sequence_id=5))
        assert queued["model"] == repr(key)


def test_requests_that_are_alike_do_not_share_what_becomes_of_them():
    served = Served()
    first, second = [served.inbox.take(many([1, 2], [[1], [2]]).SerializeToString(), print) for _ in range(2)]
    assert first[0].cuts is not second[0].cuts
    assert (first[0].cuts, len(second[0].cuts)) == ([], 2)

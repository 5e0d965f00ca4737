import grpc
import numpy as np
import pytest

from benchmarks.answers import Refused, check_rows, check_step
from benchmarks.flow import ROWS, requests, send
from benchmarks.load import Tally, drive, row_stream, step_stream
from benchmarks.requests import lane_request
from server.pb import grpc_service_pb2 as pb
from tests.benchmarks.fakes import Fake, error_answer, rows_answer, serving, step_answer, tensor

SHORT = {"warm_seconds": 0.05, "seconds": 0.1}


def rows(lane: int = 0) -> pb.ModelInferRequest:
    return pb.ModelInferRequest.FromString(lane_request(lane, 3))


@pytest.mark.parametrize(("load", "answer"), [(step_stream, step_answer), (row_stream, rows_answer)])
async def test_every_step_of_a_chunk_and_every_row_is_counted(load, answer):
    requests = iter(range(3))
    tally = Tally()
    fake = Fake(lambda request: answer(request) if next(requests, None) is not None else None)
    async with serving(fake) as address, grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(Refused, match="ended a stream"):
            await load(channel, 1, 16, tally)
    assert tally.steps == 3 * 16


async def test_a_load_sends_what_it_was_asked_for():
    fake = Fake(step_answer)
    async with serving(fake) as address:
        assert await drive(address, "stream", 2, 16, **SHORT) > 0
    assert {tuple(request.inputs[0].shape[:2]) for request in fake.requests} == {(1, 16)}
    assert {request.parameters["sequence_id"].int64_param for request in fake.requests} == {1, 2}


async def test_every_lane_has_one_request_under_way_whichever_is_answered():
    fake = Fake(rows_answer)
    async with serving(fake) as address:
        assert await drive(address, "rows", 4, 8, **SHORT) > 0
    asked = [request.id for request in fake.requests]
    assert set(asked) == {"0", "1", "2", "3"}
    assert max(map(asked.count, "0123")) - min(map(asked.count, "0123")) <= 1
    starts = [request for request in fake.requests if "sequence_start" in [tensor.name for tensor in request.inputs]]
    assert len(starts) == 4


@pytest.mark.parametrize("way", ["stream", "rows"])
async def test_a_refusal_ends_the_load_with_its_sentence(way):
    async with serving(Fake(lambda _: error_answer("no room"))) as address:
        with pytest.raises(Refused, match="no room"):
            await drive(address, way, 2, 4, **SHORT)


async def test_a_stream_that_the_server_ends_is_not_a_slow_one():
    async with serving(Fake(lambda _: None)) as address:
        with pytest.raises(Refused, match="ended a stream"):
            await drive(address, "stream", 2, 1, **SHORT)


async def test_a_flow_sends_each_request_once():
    fake = Fake(rows_answer)
    async with serving(fake) as address:
        assert await send(address, requests("idle", 0, 7)) == 7
    ids = [sequence for request in fake.requests for sequence in tensor(request, "sequence_id", np.int64).tolist()]
    assert ids == list(range(1, 7 * ROWS + 1))


async def test_a_flow_shorter_than_its_window_ends():
    async with serving(Fake(rows_answer)) as address:
        assert await send(address, requests("churn", 0, 2)) == 2


async def test_one_refused_row_ends_a_flow_with_its_sentence():
    async with serving(Fake(lambda request: rows_answer(request, refused={999: "the last row"}))) as address:
        with pytest.raises(Refused, match="the last row"):
            await send(address, requests("idle", 0, 3))


def test_an_answer_of_rows_gives_its_request_s_id():
    assert check_rows(rows_answer(rows(2)).SerializeToString()) == "2"


def test_a_server_that_knows_no_rows_is_found_out():
    with pytest.raises(Refused, match="sequence_status"):
        check_rows(step_answer(rows()).SerializeToString())


def test_a_step_s_answer_is_taken_and_its_error_is_not():
    check_step(step_answer(rows()).SerializeToString())
    with pytest.raises(Refused, match="no room"):
        check_step(error_answer("no room").SerializeToString())

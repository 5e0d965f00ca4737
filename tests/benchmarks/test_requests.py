import numpy as np

from benchmarks.flow import AGAIN_AFTER, IN_FLIGHT, ROWS, churn_ids, requests
from benchmarks.requests import FEATURES, lane_request, rows_request, step_request
from server.pb import grpc_service_pb2 as pb
from tests.benchmarks.fakes import tensor


def parse(data: bytes) -> pb.ModelInferRequest:
    return pb.ModelInferRequest.FromString(data)


def test_a_chunk_has_its_steps_on_the_time_axis():
    request = parse(step_request(7, steps=16, start=True))
    assert list(request.inputs[0].shape) == [1, 16, FEATURES]
    assert len(request.raw_input_contents[0]) == 16 * FEATURES * 4
    assert request.parameters["sequence_id"].int64_param == 7
    assert request.parameters["sequence_start"].bool_param


def test_lanes_have_no_sequence_in_common_and_none_is_zero():
    ids = [tensor(parse(lane_request(lane, 64)), "sequence_id", np.int64).tolist() for lane in range(4)]
    assert len({sequence for lane in ids for sequence in lane}) == 4 * 64
    assert min(map(min, ids)) == 1


def test_rows_carry_their_flags_and_positions_only_where_asked():
    ids, x = np.array([5, 6]), np.zeros((2, 1, 1), np.float32)
    assert [tensor.name for tensor in parse(rows_request("a", ids, x)).inputs] == ["x", "sequence_id"]
    whole = parse(rows_request("a", ids, x, start=True, end=True, position=3))
    assert tensor(whole, "sequence_start", np.bool_).tolist() == [True, True]
    assert tensor(whole, "sequence_end", np.bool_).tolist() == [True, True]
    assert tensor(whole, "recur_step", np.int64).tolist() == [3, 3]
    assert [tensor.datatype for tensor in whole.inputs] == ["FP32", "INT64", "BOOL", "BOOL", "INT64"]


def test_idle_sequences_are_all_new_and_do_not_end():
    sent = [parse(data) for data in requests("idle", 3, 4)]
    ids = [sequence for request in sent for sequence in tensor(request, "sequence_id", np.int64).tolist()]
    assert ids == list(range(3 * ROWS + 1, 7 * ROWS + 1))
    assert all("sequence_end" not in [tensor.name for tensor in request.inputs] for request in sent)


def test_half_of_a_churning_request_is_new_and_half_has_ended_by_then():
    seen: set[int] = set()
    for number in range(4 * AGAIN_AFTER):
        ids = churn_ids(number).tolist()
        assert len(set(ids)) == ROWS
        again = seen.intersection(ids)
        assert len(again) == (ROWS // 2 if number >= AGAIN_AFTER else 0)
        under_way = {sequence for other in range(number - IN_FLIGHT, number) for sequence in churn_ids(max(other, 0))}
        assert not again & under_way
        seen |= set(ids)


def test_a_second_life_never_has_the_input_of_the_first():
    first, second = (parse(data) for data in [*requests("churn", 0, 1), *requests("churn", AGAIN_AFTER, 1)])
    assert set(tensor(first, "sequence_id", np.int64).tolist()) & set(tensor(second, "sequence_id", np.int64).tolist())
    assert first.raw_input_contents[0] != second.raw_input_contents[0]

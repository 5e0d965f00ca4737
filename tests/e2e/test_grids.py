"""A model that reads whole grids of any size, served: rows of a grid come in chunks, and are answered at its end."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.wire import ask, ask_many, output, position, refused

pytestmark = pytest.mark.e2e

MODEL = "below"
MOST = 40


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[stubs.GRPCInferenceServiceStub]:
    repository = Repository(tmp_path_factory.mktemp("grids"))
    zoo.publish(repository, MODEL, zoo.grid_sums())
    with serving(repository.root, "--max-chunk-steps", str(MOST)) as server, grpc.insecure_channel(server.listen) as to:
        yield stubs.GRPCInferenceServiceStub(to)


def some_grid(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * MOST + width).integers(-9, 9, (height, width))


def below(grid: np.ndarray) -> list[int]:
    return np.cumsum(grid.sum(1)[::-1])[::-1].tolist()


def send(calls, name, grid, **options) -> pb.ModelInferResponse:
    return calls.ModelInfer(ask(name, grid, model=MODEL, **options))


def test_one_graph_reads_grids_of_any_height_and_width(calls):
    for height, width in ((1, 1), (28, 28), (32, 40), (3, 17), (40, 1)):
        grid = some_grid(height, width)
        assert output(send(calls, None, grid)).tolist() == [below(grid)]
        send(calls, "a", grid[:1], start=True)
        if height > 1:
            assert output(send(calls, "a", grid[1:], end=True)).tolist() == [below(grid)]


def test_rows_of_another_width_than_their_grids_are_refused_and_it_goes_on(calls):
    grid = some_grid(4, 5)
    send(calls, "b", grid[:2], start=True)
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        send(calls, "b", some_grid(2, 6))
    found = send(calls, "b", grid[2:], end=True)
    assert (output(found).tolist(), position(found)) == ([below(grid)], 4)
    send(calls, "b", some_grid(2, 6), start=True, end=True)


@pytest.mark.parametrize(("shape", "said"), [((0, 5), "shape"), ((5, 0), "shape"), ((2, MOST + 1), "are the most")])
def test_a_grid_of_no_size_or_of_too_much_is_refused(calls, shape, said):
    with pytest.raises(grpc.RpcError, match=said) as failure:
        send(calls, None, np.zeros(shape, np.int64))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_row_that_does_not_fit_its_grid_fails_alone_among_many(calls):
    wide, narrow = some_grid(3, 4), some_grid(3, 2)
    send(calls, 1, wide[:1], start=True)
    send(calls, 2, narrow[:1], start=True)
    ends = np.array([True, True])
    found = calls.ModelInfer(ask_many([1, 2], np.stack([wide[1:]] * 2), model=MODEL, sequence_end=ends))
    assert output(found, "sequence_status").tolist() == [0, grpc.StatusCode.INVALID_ARGUMENT.value[0]]
    assert output(found)[0].tolist() == below(wide)
    assert output(send(calls, 2, narrow[1:], end=True)).tolist() == [below(narrow)]


def test_grids_of_many_sizes_that_are_sent_at_once_are_each_answered(calls):
    grids = [some_grid(1 + number % 7, 1 + number % 5) for number in range(60)]
    asked = [calls.ModelInfer.future(ask(None, grid, model=MODEL)) for grid in grids]
    for grid, found in zip(grids, asked, strict=True):
        assert output(found.result()).tolist() == [below(grid)]

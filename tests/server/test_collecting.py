import numpy as np
import pytest

from models.manifest import TensorSpec
from server.collecting import Collecting, nothing_kept
from server.types import Batch
from tests.server.fakes import column, manifest

WHOLE = manifest(kind="sequence", states=())


class Backward:
    """A runner that answers each step with the sum of what is left of its row, and notes what runs together."""

    def __init__(self, described=WHOLE) -> None:
        self.manifest = described
        self.ran = []

    def run(self, inputs, lengths, states):
        assert states == {}
        self.ran.append(lengths.tolist())
        assert inputs["x"].shape[1] == lengths.max()
        x = inputs["x"][..., 0]
        return {"y": np.cumsum(x[:, ::-1], 1)[:, ::-1, None].astype(np.float32)}, {}


def run(rows, kept, told, *, runner=None, most_steps=1000):
    """Give the answers and what is kept of rows of numbers."""
    time = max(map(len, rows))
    x = np.full((len(rows), time, 1), 7e7, np.float32)
    for number, row in enumerate(rows):
        x[number, : len(row), 0] = row
    count = len(rows)
    batch = Batch(
        slots=np.arange(count),
        fresh=column(False, count, np.bool_),
        inputs={"x": x},
        lengths=np.array([len(row) for row in rows]),
        positions=np.array([len(row) for row in rows]),
        numbered=None,
        digests=column(0, count, np.uint64),
        lives=column(0, count, np.uint64),
    )
    before = {"x": [np.array(row, np.float32).reshape(-1, 1) for row in kept]}
    outputs, after = Collecting(runner or Backward(), most_steps=most_steps).run(batch, before, np.array(told))
    return outputs["y"][..., 0].tolist(), [array[:, 0].tolist() for array in after["x"]]


def test_nothing_is_kept_at_first_and_nothing_ever_of_a_causal_model():
    assert {name: array.shape for name, array in nothing_kept(WHOLE).items()} == {"x": (0, 1)}
    assert nothing_kept(manifest()) == {}


def test_rows_that_go_on_are_kept_and_not_run():
    runner = Backward()
    answers, after = run([[1, 2], [3]], [[], [9]], [0, 0], runner=runner)
    assert (answers, after, runner.ran) == ([[], []], [[1, 2], [9, 3]], [])


def test_complete_rows_are_run_whole_and_the_others_are_answered_zeros():
    answers, after = run([[3], [5], [1]], [[1, 2], [4], []], [3, 0, 1])
    assert answers == [[6, 5, 3], [0, 0, 0], [1, 0, 0]]
    assert after == [[], [4, 5], []]


def test_rows_of_about_one_length_run_together():
    runner = Backward()
    run([[1], [1], [1], [1]], [[0] * 3, [0] * 20, [0] * 5, [0] * 17], [4, 21, 6, 18], runner=runner)
    assert runner.ran == [[4, 6], [21, 18]]


def test_where_the_graph_takes_no_lengths_only_rows_of_one_length_run_together():
    runner = Backward(manifest(kind="sequence", states=(), lengths=None))
    run([[1], [1], [1]], [[0] * 3, [0] * 4, [0] * 3], [4, 5, 4], runner=runner)
    assert runner.ran == [[4, 4], [5]]


@pytest.mark.parametrize(("most_steps", "ran"), [(1, [[6], [6], [6]]), (12, [[6, 6], [6]]), (17, [[6, 6], [6]])])
def test_no_more_steps_run_together_than_a_batch_may_have(most_steps, ran):
    runner = Backward()
    run([[1], [1], [1]], [[0] * 5] * 3, [6, 6, 6], runner=runner, most_steps=most_steps)
    assert runner.ran == ran


def test_an_output_without_time_is_one_for_each_row():
    class Last(Backward):
        def run(self, inputs, lengths, states):
            outputs, _ = super().run(inputs, lengths, states)
            return outputs | {"all": outputs["y"][:, 0]}, {}

    described = manifest(kind="sequence", states=(), outputs=(*WHOLE.outputs, TensorSpec("all", "FP32", (1,))))
    x = np.ones((2, 1, 1), np.float32)
    batch = Batch(*[np.arange(2)] * 2, {"x": x}, np.array([1, 1]), *[np.arange(2)] * 4)
    kept = {"x": [np.zeros((0, 1), np.float32)] * 2}
    outputs, _ = Collecting(Last(described), most_steps=9).run(batch, kept, np.array([1, 0]))
    assert outputs["all"].tolist() == [[1], [0]]

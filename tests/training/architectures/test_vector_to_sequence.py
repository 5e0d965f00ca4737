import pytest
import torch

from training.architectures.vector_to_sequence import VectorToSequence


@pytest.mark.parametrize(("way", "states"), [("input", {"h", "v"}), ("initial", {"h"}), ("both", {"h", "v"})])
def test_the_vector_is_carried_only_where_each_step_reads_it(way, states):
    cell = VectorToSequence(3, 4, way=way, context_size=2)
    assert cell.begin(torch.randn(5, 2)).keys() == cell.init_state(5).keys() == states


@pytest.mark.parametrize("way", ["input", "initial", "both"])
def test_sequences_differ_by_their_vectors_alone_from_the_first_step(way, seed):
    torch.manual_seed(seed)
    cell = VectorToSequence(3, 4, way=way, context_size=2)
    xs = torch.randn(1, 6, 3).expand(2, -1, -1)
    ys, last = cell.scan(xs, cell.begin(torch.tensor([[1.0, -1.0], [0.5, 2.0]])))
    assert bool((ys[0] != ys[1]).any(-1).all())
    same, _ = cell.scan(xs, cell.begin(torch.ones(2, 2)))
    torch.testing.assert_close(same[0], same[1])
    if "v" in last:
        assert torch.equal(last["v"], torch.tensor([[1.0, -1.0], [0.5, 2.0]]))


@pytest.mark.parametrize(("way", "begins_at_zero"), [("input", True), ("initial", False), ("both", False)])
def test_the_first_state_is_of_the_vector_or_zero_and_without_a_vector_zero(way, begins_at_zero):
    cell = VectorToSequence(3, 4, way=way, context_size=2)
    assert bool(cell.begin(torch.ones(1, 2))["h"].any()) is not begins_at_zero
    assert not any(tensor.any() for tensor in cell.init_state(3).values())

import torch

from training.architectures.output_recurrence import OutputRecurrence

TIME = 6


def parts(seed):
    torch.manual_seed(seed)
    cell = OutputRecurrence(3, 4, output_size=2).double()
    xs, truth = torch.randn(5, TIME, 3, dtype=torch.float64), torch.randn(5, TIME, 2, dtype=torch.float64)
    return cell, xs, truth, {"o": torch.randn(5, 2, dtype=torch.float64)}


def test_forced_with_its_own_outputs_it_does_what_it_does_free(seed):
    cell, xs, _, state = parts(seed)
    ys, last = cell.scan(xs, state)
    forced, forced_last = cell.forced(xs, ys, state)
    torch.testing.assert_close(forced, ys, rtol=0, atol=1e-12)
    torch.testing.assert_close(forced_last["o"], last["o"], rtol=0, atol=1e-12)


def test_forced_it_reads_the_truth_of_the_step_before(seed):
    cell, xs, truth, state = parts(seed)
    changed = truth.clone()
    changed[:, 2] += 1
    before, after = cell.forced(xs, truth, state)[0], cell.forced(xs, changed, state)[0]
    touched = (before != after).any(-1).any(0)
    assert touched.tolist() == [step == 3 for step in range(TIME)]


def test_forced_no_gradient_goes_through_time_and_free_it_does(seed):
    cell, xs, truth, state = parts(seed)
    xs.requires_grad_()
    for ys, reached in ((cell.forced(xs, truth, state)[0], [TIME - 1]), (cell.scan(xs, state)[0], list(range(TIME)))):
        gradient = torch.autograd.grad(ys[:, -1].sum(), xs)[0]
        assert gradient.any(-1).any(0).nonzero().flatten().tolist() == reached

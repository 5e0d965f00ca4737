import torch

from training.architectures.output_recurrence import OutputRecurrence
from training.forcing import forced

ROWS, TIME = 4, 12


def made() -> tuple[OutputRecurrence, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return OutputRecurrence(2, 5, output_size=3), torch.randn(ROWS, TIME, 2), torch.randn(ROWS, TIME, 3)


def run(share: float, truth: torch.Tensor | None = None) -> torch.Tensor:
    cell, xs, given = made()
    torch.manual_seed(1)
    return forced(cell, xs, given if truth is None else truth, cell.init_state(ROWS), share)[0]


def test_always_forced_reads_the_truth_and_never_forced_its_own_output():
    cell, xs, truth = made()
    assert torch.equal(run(1.0), cell.forced(xs, truth, cell.init_state(ROWS))[0])
    assert torch.allclose(run(0.0), cell.scan(xs, cell.init_state(ROWS))[0], atol=1e-6)


def test_the_truth_changes_nothing_of_a_run_of_its_own():
    _, _, truth = made()
    assert torch.equal(run(0.0), run(0.0, truth + 1))
    assert not torch.equal(run(0.5), run(0.5, truth + 1))
    assert not torch.equal(run(1.0), run(1.0, truth + 1))


def test_a_share_between_them_reads_either_of_them_at_each_step():
    # After a step that was forced, the next output is that of always forcing.
    whole, some = run(1.0), run(0.5)
    same = torch.isclose(whole, some, atol=1e-6).all(-1)
    assert bool(same[:, 0].all())
    assert 0.2 < same[:, 1:].float().mean() < 0.8


def test_forced_steps_pass_no_gradient_through_time():
    cell, xs, truth = made()
    xs.requires_grad_()
    for share, reaches in ((1.0, False), (0.0, True)):
        ys, _ = forced(cell, xs, truth, cell.init_state(ROWS), share)
        (gradient,) = torch.autograd.grad(ys[:, -1].sum(), xs)
        assert bool(gradient[:, :-1].any()) is reaches

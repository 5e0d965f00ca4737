import torch

from training.architectures.clockwork import Clockwork

PERIODS = (1, 2, 4, 8)


def test_a_group_moves_only_when_its_period_comes(seed):
    torch.manual_seed(seed)
    cell = Clockwork(3, 8, periods=PERIODS)
    state = {"h": torch.randn(2, 8), "t": torch.tensor([[0], [5]])}
    for step in range(20):
        before = state["h"]
        _, state = cell.step(torch.randn(2, 3), state)
        moved = (state["h"] != before).view(2, 4, 2)
        for row, t in enumerate((step, step + 5)):
            assert moved[row].all(1).tolist() == [t % period == 0 for period in PERIODS]
            assert moved[row].any(1).tolist() == [t % period == 0 for period in PERIODS]
    assert state["t"].flatten().tolist() == [20, 25]


def test_a_fast_group_never_reaches_a_slow_one(seed):
    torch.manual_seed(seed)
    cell = Clockwork(3, 8, periods=PERIODS)
    xs, state = torch.randn(1, 30, 3), cell.init_state(1)
    fast = state | {"h": torch.tensor([[5.0] * 2 + [0.0] * 6])}
    slow = state | {"h": torch.tensor([[0.0] * 6 + [5.0] * 2])}
    plain = cell.scan(xs, state)[0]
    assert torch.equal(cell.scan(xs, fast)[0][..., 2:], plain[..., 2:])
    assert bool((cell.scan(xs, slow)[0][:, 1, :2] != plain[:, 1, :2]).all())


def test_periods_may_come_in_any_order_and_groups_be_unequal():
    cell = Clockwork(3, 7, periods=(4, 1, 2))
    assert cell.period.tolist() == [1, 1, 1, 2, 2, 4, 4]

import pytest
import torch

from tests.training.diagnosis.walks import Linear, turned, walk_of
from training.architectures.lstm import LSTM
from training.diagnosis.gradient import gradient
from training.tasks.regress import Regress


def test_of_a_normal_matrix_it_falls_like_the_radius():
    torch.manual_seed(0)
    found = gradient(walk_of(Linear(turned(4, 0.8)), time=30), Regress(None))
    assert [one.median / found.norms[0].median for one in found.norms] == pytest.approx([0.8**k for k in range(30)])
    assert found.left == pytest.approx(0.8**29)


def test_it_is_what_moving_a_state_does_to_the_loss():
    torch.manual_seed(0)
    walk, task = walk_of(LSTM(2, 3), rows=1, time=6), Regress(None)
    flat, model = walk.flat, walk.model

    def loss(s):
        state = flat.state(s, {})
        for x in walk.xs[:, 2:].unbind(1):
            y, state = model.cell.step(x, state)
        return float(task.losses(model.answer(y), walk.batch.targets.double()))

    s = walk.at(torch.tensor([0]), torch.tensor([2])).s
    moves = 1e-6 * torch.eye(flat.size, dtype=torch.float64)
    slopes = torch.tensor([(loss(s + move) - loss(s - move)) / 2e-6 for move in moves])
    # The state before the third step of six is the fourth from the end.
    assert gradient(walk, task).norms[3].median == pytest.approx(float(slopes.norm()), rel=1e-5)


def test_each_row_has_its_own_last_step():
    torch.manual_seed(0)
    walk = walk_of(Linear(turned(3, 0.5)), rows=3, time=8, lengths=torch.tensor([4, 4, 8]))
    found = gradient(walk, Regress(None))
    assert len(found.norms) == 4
    assert found.left == pytest.approx(0.5**3, rel=1e-6)

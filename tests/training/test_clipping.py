import pytest
import torch
from torch import nn

from training.clipping import clip


def parameters(*gradients: list[float]) -> list[nn.Parameter]:
    found = []
    for gradient in gradients:
        found.append(nn.Parameter(torch.zeros(len(gradient))))
        found[-1].grad = torch.tensor(gradient)
    return found


def gradient(of: list[nn.Parameter]) -> torch.Tensor:
    return torch.cat([one.grad for one in of])


@pytest.mark.parametrize(("most", "norm"), [(1.0, 1.0), (13.0, 13.0), (20.0, 13.0)])
def test_the_norm_is_the_smaller_of_two_and_the_direction_stays(most, norm):
    of = parameters([3.0, 4.0], [12.0])
    found = clip(of, norm=most, value=None)
    assert found.norm == pytest.approx(13.0)
    assert found.clipped == (most < 13)
    assert gradient(of).norm().item() == pytest.approx(norm, rel=1e-4)
    assert torch.allclose(gradient(of) / norm, torch.tensor([3.0, 4.0, 12.0]) / 13, atol=1e-4)


def test_entries_are_cut_to_the_value_before_the_norm():
    of = parameters([3.0, -4.0], [12.0])
    assert clip(of, norm=100.0, value=5.0).clipped
    assert gradient(of).tolist() == [3.0, -4.0, 5.0]
    assert not clip(parameters([3.0, -4.0]), norm=100.0, value=5.0).clipped


def test_parameters_without_a_gradient_are_left_out():
    of = [*parameters([3.0, 4.0]), nn.Parameter(torch.zeros(2))]
    assert clip(of, norm=1.0, value=None).norm == pytest.approx(5.0)

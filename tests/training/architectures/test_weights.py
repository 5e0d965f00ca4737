import pytest
import torch

from training.architectures.weights import groups, uniform


def test_groups_are_as_equal_as_can_be():
    assert groups(7, 3).bincount().tolist() == [3, 2, 2]
    assert groups(8, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    with pytest.raises(ValueError, match="3 hidden units do not make 4 groups"):
        groups(3, 4)


def test_weights_lie_within_one_over_the_root_of_the_units(seed):
    torch.manual_seed(seed)
    drawn = uniform(100, 50, units=25).abs().max()
    assert 0.19 < drawn <= 0.2

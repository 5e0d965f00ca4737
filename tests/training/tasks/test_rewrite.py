import numpy as np
import pytest
import torch

from training.architectures import build_cell
from training.data.data import Data
from training.data.series import Parts, Series
from training.errors import WrongUse
from training.model import symbol_model
from training.tasks import open_task
from training.tasks.rewrite import Rewrite, Translate

EDGE = 4


def pairs(*targets: list[int]) -> list[Series]:
    return [
        Series(np.array([EDGE, *target]), np.array([*target, EDGE]), np.array(target[::-1] or [0]))
        for target in targets
    ]


def writes(monkeypatch: pytest.MonkeyPatch, *rows: list[int]) -> None:
    monkeypatch.setattr("training.tasks.rewrite.greedy", lambda *_, **__: list(rows))


def model():
    return symbol_model(symbols=EDGE + 1, embedding_size=3, cell=build_cell("attention", 3, 6), dropout=0.0)


def test_a_sequence_is_right_when_all_of_it_is(monkeypatch):
    writes(monkeypatch, [1], [1, 2, 3], [1, 2], [0, 0, 0, 0])
    some = pairs([1], [1, 2, 3], [1, 2, 3], [0, 0, 0])
    assert Rewrite(EDGE).freely(model(), some) == 0.5


def test_a_translation_is_measured_by_bleu(monkeypatch):
    should = [1, 2, 3, 0, 2]
    writes(monkeypatch, should)
    assert Translate(EDGE).freely(model(), pairs(should)) == pytest.approx(100)
    writes(monkeypatch, [1, 2, 3, 0, 1])
    # 4/5, 3/4, 2/3 and 1/2 of one to four tokens in a row.
    assert Translate(EDGE).freely(model(), pairs(should)) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 / 2) ** 0.25)


def test_a_token_that_the_model_does_not_know_is_never_right(monkeypatch):
    should = [1, 2, 3, 0, 1]
    writes(monkeypatch, should)
    assert Translate(EDGE, unknown=0).freely(model(), pairs(should)) < Translate(EDGE).freely(model(), pairs(should))


def test_what_a_model_writes_is_from_each_source(seed):
    torch.manual_seed(seed)
    some = pairs([1, 2], [3], [0, 1, 2])
    found = dict.fromkeys(tuple(should) for should, _ in Rewrite(EDGE).written(model().eval(), some))
    assert list(found) == [(3,), (1, 2), (0, 1, 2)]


def test_data_without_an_end_is_refused():
    some = pairs([1, 2])
    data = Data(Parts(some, some, some, "the same"), EDGE + 1, EDGE + 1, "none", "sha256:0", source_symbols=4)
    with pytest.raises(WrongUse, match="need data whose sequences end with a symbol"):
        open_task("rewrite", model(), data)

import numpy as np
import pytest
import torch

from models.errors import RowsInvalid
from models.runner import Runner
from tests.conformance.cells import manifest_of
from training.architectures import build_cell
from training.architectures.attention import attend
from training.architectures.encoder_decoder import AttentionDecoder, EncoderDecoder
from training.cell import Source
from training.export.graph import export
from training.export.start import SOURCE, export_start
from training.model import symbol_model

SYMBOLS = 8


def some_source(lengths: list[int]) -> Source:
    return Source(torch.randint(SYMBOLS, (len(lengths), max(lengths))), torch.tensor(lengths))


@pytest.mark.parametrize("score", ["additive", "general", "dot"])
def test_weights_are_shares_of_the_rows_own_places_and_none_of_the_padding(score, seed):
    torch.manual_seed(seed)
    cell = build_cell("attention", 3, 6, {"score": score, "encoder": "gru"})
    assert isinstance(cell, AttentionDecoder)
    source = some_source([5, 2, 1])
    state = cell.begin(cell.encode(*source), source.lengths)
    shares = cell.looks(torch.randn(3, 3), state)
    torch.testing.assert_close(shares.sum(-1), torch.ones(3))
    for row, length in enumerate([5, 2, 1]):
        assert bool((shares[row, :length] > 0).all())
        assert not shares[row, length:].any()


@pytest.mark.parametrize("score", ["additive", "general"])
def test_what_is_read_is_the_annotations_by_those_shares(score, seed):
    torch.manual_seed(seed)
    scores, annotations = torch.randn(2, 3, 5), torch.randn(2, 5, 4)
    lengths = torch.tensor([5, 3])
    read, weights = attend(scores, torch.cat([annotations, torch.ones(2, 5, 1)], -1), lengths)
    shares = scores.masked_fill(torch.arange(5) >= lengths[:, None, None], -torch.inf).softmax(-1)
    torch.testing.assert_close(read, shares @ annotations)
    torch.testing.assert_close(weights, shares)
    assert not weights[1, :, 3:].any()


def test_what_pads_a_source_changes_nothing(seed):
    torch.manual_seed(seed)
    for name, options in (("attention", {}), ("encoder_decoder", {"encoder": "bidirectional", "way": "both"})):
        cell, source = build_cell(name, 3, 6, options), some_source([5, 2, 1])
        assert isinstance(cell, AttentionDecoder | EncoderDecoder)
        other = source.symbols.clone()
        other[1, 2:], other[2, 1:] = 7 - other[1, 2:], 7 - other[2, 1:]
        xs = torch.randn(3, 4, 3)
        ys, changed = (
            cell.scan(xs, cell.begin(cell.encode(symbols, source.lengths), source.lengths))[0]
            for symbols in (source.symbols, other)
        )
        assert torch.equal(ys, changed)


@pytest.mark.parametrize("score", ["additive", "general", "dot"])
def test_a_longer_padding_of_the_source_changes_no_bit_of_an_answer(score, seed):
    torch.manual_seed(seed)
    cell = build_cell("attention", 5, 6, {"score": score, "encoder": {"architecture": "bidirectional", "merge": "sum"}})
    model = symbol_model(symbols=7, embedding_size=5, cell=cell, dropout=0.0).eval()
    runner = Runner(manifest_of(model), export(model), start=export_start(model))
    made = runner.start({SOURCE: np.array([[1, 5, 2]])})
    x, lengths = np.array([[3, 1, 4, 1]]), np.array([4])
    answers = set()
    for places in (3, 4, 7, 8, 13, 40, 200):
        states = dict(made)
        for name in ("annotations", "keys"):
            padding = [(0, 0), (0, places - 3), (0, 0)]
            states[f"state.{name}"] = np.pad(made[f"state.{name}"], padding, constant_values=3.0)
        answers.add(runner.run({"x": x}, lengths, states)[0]["y"].tobytes())
    assert len(answers) == 1


@pytest.mark.parametrize("wrong", [-1, -SYMBOLS, SYMBOLS])
def test_a_source_of_what_is_no_symbol_is_refused(wrong, seed):
    torch.manual_seed(seed)
    cell = build_cell("encoder_decoder", 5, 6, {"source_symbols": SYMBOLS})
    model = symbol_model(symbols=7, embedding_size=5, cell=cell, dropout=0.0).eval()
    runner = Runner(manifest_of(model), export(model), start=export_start(model))
    runner.start({SOURCE: np.array([[0, SYMBOLS - 1]])})
    with pytest.raises(RowsInvalid):
        runner.start({SOURCE: np.array([[0, wrong]])})
    with pytest.raises(RowsInvalid):
        runner.start({SOURCE: np.zeros((1, 0), np.int64)})


def test_dot_scores_need_annotations_as_large_as_what_asks():
    with pytest.raises(ValueError, match="a decoder as large as an annotation, and they are 6 and 12"):
        build_cell("attention", 3, 6, {"score": "dot"})


def test_a_cell_inside_is_named_by_its_key():
    with pytest.raises(ValueError, match=r"cell\.encoder: 'owl' is not one of"):
        build_cell("attention", 3, 6, {"encoder": "owl"})

import torch
from torch import nn

from training.architectures import build_cell
from training.cell import Source
from training.decoding import greedy
from training.model import SequenceModel, symbol_model

EDGE = 4


def writer() -> SequenceModel:
    cell = build_cell("attention", 3, 6, {"source_symbols": 4, "source_size": 3})
    return symbol_model(symbols=EDGE + 1, embedding_size=3, cell=cell, dropout=0.0).eval()


def some_source(lengths: list[int]) -> Source:
    return Source(torch.randint(4, (len(lengths), max(lengths))), torch.tensor(lengths))


def test_each_row_is_written_as_alone(seed):
    torch.manual_seed(seed)
    model, source = writer(), some_source([5, 2, 3])
    together = greedy(model, source, 3, edge=EDGE, most=7)
    for row, length in enumerate(source.lengths.tolist()):
        alone = Source(source.symbols[row : row + 1, :length], source.lengths[row : row + 1])
        assert greedy(model, alone, 1, edge=EDGE, most=7) == [together[row]]


def test_each_symbol_is_the_most_probable_after_those_before_it(seed):
    torch.manual_seed(seed)
    model, source = writer(), some_source([4])
    [written] = greedy(model, source, 1, edge=EDGE, most=6)
    read = torch.tensor([[EDGE, *written]])
    answers, _ = model(read, model.begin(1, source))
    assert answers[0].argmax(-1).tolist()[: len(written)] == written
    assert len(written) == 6 or answers[0, -1].argmax() == EDGE


def test_nothing_is_given_after_the_end_nor_more_than_is_asked_for(seed):
    torch.manual_seed(seed)
    model = writer()
    assert isinstance(model.readout, nn.Linear)
    with torch.no_grad():
        model.readout.weight.zero_()
        model.readout.bias.copy_(torch.tensor([0.0, 0, 1, 0, 0]))
    assert greedy(model, some_source([2]), 1, edge=EDGE, most=3) == [[2, 2, 2]]
    with torch.no_grad():
        model.readout.bias.copy_(torch.tensor([0.0, 0, 1, 0, 2]))
    assert greedy(model, some_source([2, 2]), 2, edge=EDGE, most=3) == [[], []]

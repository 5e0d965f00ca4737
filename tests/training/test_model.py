import pytest
import torch

from training.architectures.leaky import Leaky
from training.architectures.lstm import LSTM
from training.model import Fields, Numbers, SequenceModel, Units, symbol_model


def model(dropout: float = 0.0) -> SequenceModel:
    return symbol_model(symbols=7, embedding_size=3, cell=LSTM(3, 4), dropout=dropout)


def test_logits_are_the_readout_of_the_cells_outputs(seed):
    torch.manual_seed(seed)
    built, x = model(), torch.randint(7, (2, 5))
    logits, next_state = built(x, built.cell.init_state(2))
    ys, expected = built.cell.scan(built.embedding(x), built.cell.init_state(2))
    assert torch.equal(logits, built.readout(ys))
    assert torch.equal(next_state["c"], expected["c"])


def test_logits_past_a_rows_length_are_zero_whatever_the_readouts_bias(seed):
    torch.manual_seed(seed)
    built, x = model(), torch.randint(7, (2, 5))
    logits, _ = built(x, built.cell.init_state(2), torch.tensor([2, 5]))
    assert not logits[0, 2:].any()
    assert logits[0, :2].all()
    assert logits[1].all()


def test_dropout_is_there_in_training_alone(seed):
    torch.manual_seed(seed)
    built, x = model(dropout=0.5), torch.randint(7, (2, 5))
    state = built.cell.init_state(2)
    assert not torch.equal(built(x, state)[0], built(x, state)[0])
    built.eval()
    assert torch.equal(built(x, state)[0], built(x, state)[0])


def test_numbers_lose_their_units_and_answers_get_theirs(seed):
    torch.manual_seed(seed)
    raw, answered = 100 + 7 * torch.randn(500, 2), -3 + 0.1 * torch.randn(500, 1)
    embedding = Numbers(2, normalise=True)
    model = SequenceModel(embedding=embedding, cell=Leaky(2, 4), outputs=1, dropout=0.0, normalise=True)
    embedding.units.set(raw.mean(0), raw.std(0))
    model.units.set(answered.mean(0), answered.std(0))
    assert embedding(raw).mean(0).abs().max() < 1e-5
    assert (embedding(raw).std(0) - 1).abs().max() < 1e-5
    y, _ = model(raw[None], model.cell.init_state(1))
    assert (y + 3).abs().max() < 1


def test_numbers_that_never_change_are_shifted_alone():
    units = Units(1)
    units.set(torch.tensor([5.0]), torch.tensor([0.0]))
    assert units.leave(torch.tensor([[5.0], [6.0]])).tolist() == [[0.0], [1.0]]


def test_without_a_readout_the_cells_outputs_are_the_answers_and_must_be_as_many(seed):
    torch.manual_seed(seed)
    model = SequenceModel(embedding=Numbers(2), cell=Leaky(2, 4), outputs=4, dropout=0.0, readout=False)
    x = torch.randn(1, 3, 2)
    assert torch.equal(model(x, model.cell.init_state(1))[0], model.cell.scan(x, model.cell.init_state(1))[0])
    with pytest.raises(ValueError, match="the cell must give 3 outputs, and it gives 4"):
        SequenceModel(embedding=Numbers(2), cell=Leaky(2, 4), outputs=3, dropout=0.0, readout=False)


def test_symbols_and_numbers_say_which_they_are():
    symbols = symbol_model(symbols=5, embedding_size=3, cell=Leaky(3, 4), dropout=0.0)
    numbers = SequenceModel(embedding=Numbers(2, 3), cell=Leaky(3, 4), outputs=1, dropout=0.0)
    fields = SequenceModel(embedding=Fields(6, 3, 2), cell=Leaky(6, 4), outputs=1, dropout=0.0)
    assert (symbols.symbols, symbols.step_shape, symbols.outputs) == (5, (), 5)
    assert (numbers.symbols, numbers.step_shape, numbers.outputs) == (0, (2,), 1)
    assert (fields.symbols, fields.step_shape, fields.embedding.output_size) == (6, (2,), 6)


def test_the_fields_of_a_step_are_rows_of_one_table_side_by_side(seed):
    torch.manual_seed(seed)
    fields, x = Fields(6, 3, 2), torch.tensor([[[0, 5], [2, 2]]])
    assert torch.equal(fields(x)[0, 0], torch.cat([fields.table.weight[0], fields.table.weight[5]]))
    assert torch.equal(fields(x)[0, 1], torch.cat([fields.table.weight[2], fields.table.weight[2]]))

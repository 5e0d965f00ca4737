import torch

from training.architectures.lstm import LSTM
from training.model import SequenceModel, symbol_model


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

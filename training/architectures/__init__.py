"""The table of architectures: a name in a recipe, the cell it builds, and where the chapter has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from training.architectures.attention import Score
from training.architectures.bidirectional import Bidirectional, Lookahead, Merge
from training.architectures.clockwork import Clockwork
from training.architectures.countdown import COUNTED, Countdown
from training.architectures.deep_transition import DeepTransition
from training.architectures.delays import Delays
from training.architectures.differentiable_neural_computer import DifferentiableNeuralComputer
from training.architectures.echo_state import EchoState
from training.architectures.encoder_decoder import AttentionDecoder, EncoderDecoder, Way
from training.architectures.gated_delta import GatedDelta
from training.architectures.grid import Grid
from training.architectures.gru import GRU, MinimalGatedUnit
from training.architectures.leaky import Leaky
from training.architectures.linear_recurrent_unit import LinearRecurrentUnit
from training.architectures.lstm import LSTM
from training.architectures.lstm_variants import LSTM1997, CoupledLSTM, PeepholeLSTM, ProjectedLSTM
from training.architectures.memory_network import MemoryNetwork
from training.architectures.minimal_recurrence import MinGRU, MinLSTM
from training.architectures.multidimensional_lstm import MultidimensionalLSTM
from training.architectures.neural_turing_machine import NeuralTuringMachine
from training.architectures.output_recurrence import OutputRecurrence
from training.architectures.pointer import Pointer
from training.architectures.recursive import Recursive
from training.architectures.rnn import RNN
from training.architectures.rwkv import RWKV
from training.architectures.selective_state_space import SelectiveStateSpace
from training.architectures.stack import Skip, Stack
from training.architectures.transducer import Transducer
from training.architectures.tree import Tree
from training.architectures.vector_to_sequence import VectorToSequence
from training.architectures.xlstm import MLSTM, SLSTM
from training.cell import Cell
from training.options import AtLeastTwo, Count, NotNegative, Share, check_options, options_of


@dataclass(frozen=True, slots=True)
class Architecture:
    """A line of the table.

    Attributes:
        cell: builds it, of input size, hidden size and options by keyword.
        section: of Deep Learning, chapter 10.
        page: in docs/architectures.
        parameters: how many numbers it learns, of m inputs, n hidden units, p outputs and its options, as Python.
        preset: options that differ from the cell's own defaults.
    """

    cell: Callable[..., Cell]
    section: str
    page: str
    parameters: str
    preset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What a recipe may set, with its defaults."""
        return options_of(self.cell) | dict(self.preset)


def build_stack(
    input_size: int,
    hidden_size: int,
    *,
    layers: tuple[str | dict[str, Any], ...] = ("lstm", "lstm"),
    skip: Skip = "none",
    dropout: Share = 0.0,
    variational: bool = False,
    normalise: bool = False,
) -> Stack:
    """Build a stack of the table's cells, each a name or a table of `architecture` and its options."""
    if not layers:
        raise ValueError("layers must be one or more")
    cells: list[Cell] = []
    sizes = [input_size]
    for name, options in map(_layer, layers):
        cells.append(build_cell(name, sum(sizes) if skip == "dense" else sizes[-1], hidden_size, options))
        sizes.append(cells[-1].output_size)
    return Stack(cells, skip=skip, dropout=dropout, variational=variational, normalise=normalise)


def build_countdown(input_size: int, hidden_size: int, *, layer: str | dict[str, Any] = "gru") -> Countdown:
    """Build a cell of the table, a name or a table of `architecture` and its options, that is told a length."""
    return Countdown(_inner(layer, input_size + COUNTED, hidden_size), input_size)


def build_bidirectional(
    input_size: int, hidden_size: int, *, layer: str | dict[str, Any] = "lstm", merge: Merge = "concat"
) -> Bidirectional:
    """Build two cells of the table, a name or a table of `architecture` and its options, of one size."""
    return Bidirectional(*_two(layer, input_size, hidden_size), merge=merge)


def build_lookahead(
    input_size: int,
    hidden_size: int,
    *,
    layer: str | dict[str, Any] = "lstm",
    context: Count = 5,
    merge: Merge = "concat",
) -> Lookahead:
    """Build two cells of the table, the second of which reads `context` steps ahead."""
    return Lookahead(*_two(layer, input_size, hidden_size), context=context, merge=merge)


def build_grid(input_size: int, hidden_size: int, *, layer: str | dict[str, Any] = "gru", patch: Count = 1) -> Grid:
    """Build four cells of the table, of one size, that read a grid, so many numbers of a row together."""
    vertical = Bidirectional(*_two(layer, patch, hidden_size))
    horizontal = Bidirectional(*_two(layer, vertical.output_size, hidden_size))
    return Grid(vertical, horizontal, input_size)


def build_encoder_decoder(
    input_size: int,
    hidden_size: int,
    *,
    encoder: str | dict[str, Any] = "gru",
    decoder: str | dict[str, Any] = "gru",
    way: Way = "initial",
    source_symbols: Count = 8,
    source_size: Count = 32,
) -> EncoderDecoder:
    """Build an encoder of `source_symbols`, embedded in `source_size` features, and a decoder told by a vector."""
    embedding = nn.Embedding(source_symbols, source_size)
    reads = _inner(encoder, source_size, hidden_size)
    told = hidden_size if way != "initial" else 0
    writes = _inner(decoder, input_size + told, hidden_size)
    return EncoderDecoder(embedding, reads, writes, input_size, way=way)


def build_attention(
    input_size: int,
    hidden_size: int,
    *,
    encoder: str | dict[str, Any] = "bidirectional",
    decoder: str | dict[str, Any] = "gru",
    score: Score = "additive",
    local: NotNegative = 0,
    weights: bool = False,
    source_symbols: Count = 8,
    source_size: Count = 32,
) -> AttentionDecoder:
    """Build an encoder of `source_symbols`, embedded in `source_size` features, and a decoder with attention to it."""
    embedding = nn.Embedding(source_symbols, source_size)
    reads = _inner(encoder, source_size, hidden_size)
    told = reads.output_size if score == "additive" else 0
    writes = _inner(decoder, input_size + told, hidden_size)
    return AttentionDecoder(embedding, reads, writes, input_size, score=score, local=local, weights=weights)


def build_pointer(
    words: int,
    hidden_size: int,
    *,
    encoder: str | dict[str, Any] = "bidirectional",
    decoder: str | dict[str, Any] = "lstm",
    symbols: Count = 8,
    source_symbols: Count = 8,
    source_size: Count = 32,
) -> Pointer:
    """Build an encoder of `source_symbols`, and a decoder that points to so many places less one, or to the end."""
    if words != 1 or symbols < 2:
        raise ValueError("a step is one place or the end: the data must have two symbols or more, one a step")
    reads = _inner(encoder, source_size, hidden_size)
    writes = _inner(decoder, reads.output_size, hidden_size)
    return Pointer(nn.Embedding(source_symbols, source_size), reads, writes, symbols=symbols)


def build_transducer(
    input_size: int,
    hidden_size: int,
    *,
    encoder: str | dict[str, Any] = "lstm",
    prediction: str | dict[str, Any] = "gru",
    classes: AtLeastTwo = 8,
    most: Count = 1,
) -> Stack:
    """Build an encoder and, upon it, what puts out labels, `classes` less the blank, as many as `most` a step."""
    reads = _inner(encoder, input_size, hidden_size)
    predicts = _inner(prediction, hidden_size, hidden_size)
    top = Transducer(reads.output_size, hidden_size, prediction=predicts, classes=classes, most=most)
    return Stack([reads, top])


ARCHITECTURES: Mapping[str, Architecture] = {
    "attention": Architecture(
        build_attention,
        "10.4",
        "encoder_decoder",
        "those of the encoder and the decoder, of the source's embedding, and of the scores",
    ),
    "bidirectional": Architecture(build_bidirectional, "10.3", "bidirectional", "2*4*n*(m + n + 1)"),
    "clockwork": Architecture(Clockwork, "10.9.3", "clockwork", "n*(m + n + 1)"),
    "countdown": Architecture(build_countdown, "10.2.3", "countdown", "3*n*(m + 2 + n + 1)"),
    "coupled_lstm": Architecture(CoupledLSTM, "10.10.2", "lstm", "3*n*(m + n + 1)"),
    "deep_output": Architecture(
        DeepTransition,
        "10.5",
        "deep",
        "n*(m + n + 1) + (transition - 1 + output)*n*(n + 1) + shortcut*n*n",
        {"transition": 1, "output": 2},
    ),
    "deep_transition": Architecture(
        DeepTransition,
        "10.5",
        "deep",
        "n*(m + n + 1) + (transition - 1 + output)*n*(n + 1) + shortcut*n*n",
        {"shortcut": True},
    ),
    "differentiable_neural_computer": Architecture(
        DifferentiableNeuralComputer,
        "10.12",
        "differentiable_neural_computer",
        "(4*n*(m + reads*width + n + 1) if controller == 'lstm' else n*(m + reads*width + 1))"
        " + (n + 1)*(reads*(width + 5) + 3*width + 3)",
    ),
    "echo_state": Architecture(EchoState, "10.8", "echo_state", "0"),
    "elman": Architecture(RNN, "10.2", "elman", "n*(m + n + 1)"),
    "encoder_decoder": Architecture(
        build_encoder_decoder,
        "10.4",
        "encoder_decoder",
        "those of the encoder and the decoder, of the source's embedding, and of what carries the vector",
    ),
    "gated_delta": Architecture(GatedDelta, "beyond", "gated_delta", "3*n*m + 2*heads*(m + 1) + n*n"),
    "grid": Architecture(build_grid, "10.3", "grid", "6*n*(patch + n + 1) + 6*n*(3*n + 1)"),
    "gru": Architecture(GRU, "10.10.2", "gru", "(2 if reset == 'none' else 3)*n*(m + n + 1)"),
    "irnn": Architecture(RNN, "10.7", "elman", "n*(m + n + 1)", {"activation": "relu", "recurrent": "identity"}),
    "leaky": Architecture(Leaky, "10.9.2", "leaky", "n*(m + n + 1) + learned*(n if per_unit else 1)"),
    "linear_recurrent_unit": Architecture(
        LinearRecurrentUnit, "beyond", "linear_recurrent_unit", "3*n*(m + 1) + 2*n*n + gated*n*(n + 1)"
    ),
    "lookahead": Architecture(build_lookahead, "10.3", "bidirectional", "2*4*n*(m + n + 1)"),
    "lstm": Architecture(LSTM, "10.10.1", "lstm", "4*n*(m + n + 1)"),
    "lstm_1997": Architecture(LSTM1997, "10.10.1", "lstm", "3*n*(m + n + 1)"),
    "memory_network": Architecture(
        MemoryNetwork,
        "10.12",
        "memory_network",
        "(hops + 1)*n*(symbols + slots) if tying == 'adjacent' else n*(n + 3*symbols + 2*slots)",
    ),
    "min_gru": Architecture(MinGRU, "beyond", "minimal_recurrence", "2*n*(m + 1)"),
    "min_lstm": Architecture(MinLSTM, "beyond", "minimal_recurrence", "3*n*(m + 1)"),
    "mlstm": Architecture(MLSTM, "beyond", "xlstm", "4*n*m + 2*heads*(m + 1)"),
    "minimal_gated": Architecture(MinimalGatedUnit, "10.10.2", "gru", "2*n*(m + n + 1)"),
    "multidimensional_lstm": Architecture(MultidimensionalLSTM, "10.3", "grid", "20*n*(patch + 2*n + 1)"),
    "narx": Architecture(Delays, "10.9.1", "delays", "n*(m + n*len(delays) + 1)", {"delays": (1, 2, 3, 4)}),
    "neural_turing_machine": Architecture(
        NeuralTuringMachine,
        "10.12",
        "neural_turing_machine",
        "(4*n*(m + reads*width + n + 1) + 2*n if controller == 'lstm' else n*(m + reads*width + 1))"
        " + (n + 1)*((reads + writes)*(width + 2*shift + 4) + 2*writes*width)",
    ),
    "orthogonal": Architecture(RNN, "10.7", "elman", "n*(m + n + 1)", {"recurrent": "orthogonal"}),
    "output_recurrence": Architecture(OutputRecurrence, "10.2.1", "output_recurrence", "n*(m + p + 1) + p*(n + 1)"),
    "peephole_lstm": Architecture(PeepholeLSTM, "10.10.1", "lstm", "4*n*(m + n + 1) + 3*n"),
    "pointer": Architecture(
        build_pointer,
        "10.12",
        "pointer",
        "those of the encoder and the decoder, of the source's embedding, and of the scores",
    ),
    "projected_lstm": Architecture(ProjectedLSTM, "10.10.1", "lstm", "4*n*(m + p + 1) + p*n"),
    "recursive": Architecture(
        Recursive,
        "10.6",
        "recursive",
        "symbols*(8*n if composition == 'matrix_vector' else n)"
        " + (8*n + 13*n*n if composition == 'lstm' else n + 2*n*n)"
        " + (composition == 'tensor')*4*n**3 + (composition == 'matrix_vector')*2*n*n",
    ),
    "rwkv": Architecture(RWKV, "beyond", "rwkv", "3*m + 3*n*m + 2*n + n*n"),
    "selective_state_space": Architecture(
        SelectiveStateSpace,
        "beyond",
        "selective_state_space",
        "2*n*m + n*(past + 1) + n*(rank + 2*width) + n*rank + n*width + 3*n + n*n",
    ),
    "skip": Architecture(Delays, "10.9.1", "delays", "n*(m + n*len(delays) + 1)"),
    "slstm": Architecture(SLSTM, "beyond", "xlstm", "4*n*(m + n//heads + 1)"),
    "stack": Architecture(build_stack, "10.5", "deep", "the sum of its layers', and 2*n of each norm"),
    "transducer": Architecture(
        build_transducer,
        "10.4",
        "transducer",
        "those of the encoder and the prediction network, of the labels' embedding, and of the joint network",
    ),
    "tree": Architecture(
        Tree,
        "10.6",
        "recursive",
        "n*symbols + 8*n*n + 4*n if composition == 'child_sum' else as `recursive`",
    ),
    "vector_to_sequence": Architecture(
        VectorToSequence, "10.2.4", "vector_to_sequence", "n*(m + n + 1) + n*context_size*(2 if way == 'both' else 1)"
    ),
}


def check_cell(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give all options of an architecture, the given ones checked; raises ValueError that names the key."""
    line = ARCHITECTURES[name]
    checked = check_options(line.cell, {**line.preset, **options})
    named = [(key, checked[key]) for key in ("layer", "encoder", "decoder", "prediction") if key in checked]
    for key, given in (*(("layers", one) for one in checked.get("layers", ())), *named):
        inner, own = _layer(given)
        if inner not in ARCHITECTURES:
            raise ValueError(f"cell.{key}: '{inner}' is not one of {', '.join(sorted(ARCHITECTURES))}")
        check_cell(inner, own)
    return checked


def build_cell(name: str, input_size: int, hidden_size: int, options: Mapping[str, Any] | None = None) -> Cell:
    """Build an architecture's cell with fresh parameters; raises ValueError where options and sizes do not fit."""
    return ARCHITECTURES[name].cell(input_size, hidden_size, **check_cell(name, options or {}))


def _two(layer: str | Mapping[str, Any], input_size: int, hidden_size: int) -> tuple[Cell, Cell]:
    return _inner(layer, input_size, hidden_size), _inner(layer, input_size, hidden_size)


def _inner(given: str | Mapping[str, Any], input_size: int, hidden_size: int) -> Cell:
    """Build a cell inside another, a name or a table of `architecture` and its options."""
    name, options = _layer(given)
    return build_cell(name, input_size, hidden_size, options)


def _layer(given: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(given, str):
        return given, {}
    return str(given.get("architecture", "")), {key: value for key, value in given.items() if key != "architecture"}

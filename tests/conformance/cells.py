"""The cells that the suite holds: every line of the table and variants of some, their models and their graphs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.manifest import INITIAL, Graphs, Manifest, TensorSpec
from models.runner import Runner
from training.architectures import ARCHITECTURES, build_cell
from training.cell import Cell, Conditioned, Source, Sourced, State
from training.export.graph import export, export_step
from training.export.trace import Traces
from training.model import Numbers, SequenceModel
from training.publish import outputs_of, states_of
from training.verify import Trial

INPUT, HIDDEN, SYMBOLS = 5, 6, 7
ROWS, TIME, SOURCE = 4, 9, 6
# Of grids, whatever the width of those that a cell was made for.
WIDTH = 8
SINGLE = 1e-5

# Builds a cell of an input size and a hidden size.
Kind = Callable[[int, int], Cell]


def case(name: str, **options: object) -> Kind:
    return partial(build_cell, name, options=options)


VARIANTS: Mapping[str, Kind] = {
    "attention dot": case(
        "attention", score="dot", encoder="gru", decoder={"architecture": "stack", "layers": ("gru",)}
    ),
    "attention local": case("attention", local=2),
    "attention local dot": case("attention", local=1, score="dot", encoder="gru"),
    "attention weights": case("attention", weights=True),
    "attention weights general": case("attention", weights=True, score="general", encoder="gru"),
    "attention general": case("attention", score="general", decoder="lstm"),
    "differentiable_neural_computer": case("differentiable_neural_computer", slots=5, width=3),
    "differentiable_neural_computer heads": case(
        "differentiable_neural_computer", reads=2, slots=7, width=4, controller="feed_forward"
    ),
    "echo_state leaky": case("echo_state", leak=0.4, density=0.5),
    "encoder_decoder both": case("encoder_decoder", way="both", encoder="bidirectional", decoder="lstm"),
    "encoder_decoder input": case("encoder_decoder", way="input"),
    "gated_delta heads": case("gated_delta", heads=3),
    "gru before": case("gru", reset="before"),
    "gru none": case("gru", reset="none"),
    "linear_recurrent_unit bare": case("linear_recurrent_unit", gated=False, least=0.2, most=0.4, angle=3.0),
    "lookahead sum": case("lookahead", context=1, merge="sum"),
    "leaky learned": case("leaky", per_unit=True, learned=True),
    # The paper's size has more numbers in its state than can be moved one by one.
    "neural_turing_machine": case("neural_turing_machine", slots=5, width=3),
    "neural_turing_machine heads": case(
        "neural_turing_machine", reads=2, writes=3, slots=7, width=4, shift=2, controller="feed_forward"
    ),
    "mlstm heads": case("mlstm", heads=2),
    "output_recurrence narrow": case("output_recurrence", output_size=2),
    "selective_state_space narrow": case("selective_state_space", width=3, past=1, rank=2),
    "slstm heads": case("slstm", heads=3),
    "stack dense": case("stack", layers=("leaky", "skip"), skip="dense", normalise=True),
    "stack residual": case("stack", layers=("gru", {"architecture": "clockwork", "periods": [1, 3]}), skip="residual"),
    "transducer turns": case("transducer", encoder="gru", prediction="lstm", classes=4, most=3),
    "vector_to_sequence initial": case("vector_to_sequence", way="initial"),
    "vector_to_sequence input": case("vector_to_sequence", way="input"),
}
WHOLE: Mapping[str, Kind] = {
    "bidirectional": case("bidirectional"),
    "bidirectional leaky": case("bidirectional", layer="leaky", merge="sum"),
    "bidirectional stacks": case("bidirectional", layer={"architecture": "stack", "layers": ("gru", "skip")}),
    "grid": case("grid"),
    "grid leaky": case("grid", layer="leaky"),
    "grid patches": case("stack", layers=({"architecture": "grid", "patch": 3}, "lstm")),
    "multidimensional_lstm": case("multidimensional_lstm"),
    "multidimensional_lstm patches": case(
        "stack", layers=({"architecture": "multidimensional_lstm", "patch": 3}, "gru")
    ),
    "stack whole": case("stack", layers=("bidirectional", "gru", "bidirectional"), normalise=True, skip="residual"),
}
# What embeds its symbols itself takes no numbers, and is held to the same by tests of its own.
EMBED = frozenset(name for name, line in ARCHITECTURES.items() if "symbols" in line.options)
CASES: Mapping[str, Kind] = {
    name: case(name) for name in sorted(ARCHITECTURES) if name not in WHOLE.keys() | EMBED
} | VARIANTS


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let threads of tensors this small not wait for each other, which takes longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(kind: Kind, *, double: bool = True) -> Cell:
    cell = kind(INPUT, HIDDEN)
    return cell.double() if double else cell


def some_state(cell: Cell, rows: int = ROWS) -> State:
    """A state as a sequence may have, with whatever the cell makes of a context."""
    if isinstance(cell, Sourced):
        source = some_source(cell, rows)
        return cell.begin(cell.encode(*source), source.lengths)
    if isinstance(cell, Conditioned):
        return cell.begin(torch.randn(rows, cell.context_size, dtype=next(cell.parameters()).dtype))
    if not cell.takes_any_state:
        xs = torch.randn(rows, TIME, cell.input_size, dtype=next(cell.parameters()).dtype)
        return {name: tensor.detach() for name, tensor in cell.scan(xs, cell.init_state(rows))[1].items()}
    return {
        name: tensor + torch.randn_like(tensor) if tensor.is_floating_point() else torch.randint_like(tensor, 100)
        for name, tensor in cell.init_state(rows).items()
    }


def some_source(cell: Sourced, rows: int) -> Source:
    """Sources of many lengths, one of them the longest that there is place for."""
    lengths = torch.randint(1, SOURCE + 1, (rows,))
    lengths[-1] = SOURCE
    return Source(torch.randint(cell.source_symbols, (rows, SOURCE)), lengths)


def disturb(cell: nn.Module) -> None:
    """Move every parameter from where it begins, as training does; biases that are zero would not be missed."""
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


def some_inputs(rows: int = ROWS, time: int = TIME) -> Tensor:
    return torch.randn(rows, time, INPUT, dtype=torch.float64)


def some_sentences(rows: int = ROWS, time: int = TIME) -> Tensor:
    """Rows of sentences of up to as many words as an input has features, symbols of which 0 is none."""
    words = torch.randint(1, SYMBOLS, (rows, time, INPUT))
    return words * (torch.arange(INPUT) < torch.randint(0, INPUT + 1, (rows, time, 1)))


def model_of(kind: Kind) -> SequenceModel:
    cell = kind(INPUT, HIDDEN)
    embedding = Numbers(INPUT) if cell.across else nn.Embedding(SYMBOLS, INPUT)
    return SequenceModel(embedding=embedding, cell=cell, outputs=SYMBOLS, dropout=0.5).eval()


def manifest_of(model: SequenceModel) -> Manifest:
    """What the runner reads of a manifest; no file of it is looked at."""
    return Manifest(
        name="cell",
        version=1,
        architecture="cell",
        kind="step" if model.cell.causal else "sequence",
        files=dict.fromkeys(("model.onnx", "golden.npz", INITIAL), f"sha256:{'0' * 64}"),
        graphs=Graphs("model.onnx"),
        inputs=(TensorSpec("x", "INT64" if model.symbols else "FP32", ("time", *model.step_axes)),),
        outputs=outputs_of(model),
        lengths="lengths",
        states=states_of(model),
        delay=model.cell.delay,
        golden_source="torch",
        tolerance=SINGLE,
    )


def some_trial(model: SequenceModel, lengths: list[int]) -> Trial:
    rows, time = len(lengths), max(lengths)
    states = {f"state.{name}": tensor.detach().numpy() for name, tensor in some_state(model.cell, rows).items()}
    x = torch.randn(rows, time, WIDTH) if model.cell.across else torch.randint(SYMBOLS, (rows, time))
    return Trial(x.numpy(), np.array(lengths, np.int64), states)


@dataclass(frozen=True, slots=True)
class Exported:
    """A model and its graphs."""

    model: SequenceModel
    main: bytes
    step: bytes | None

    @property
    def runner(self) -> Runner:
        return Runner(manifest_of(self.model), self.main, step=self.step)


@cache
def exported(kind: Kind) -> Exported:
    """Export once for all checks, since it takes a second or two."""
    torch.manual_seed(0)
    model, traces = model_of(kind), Traces()
    disturb(model)
    return Exported(model, export(model, traces), export_step(model, traces))

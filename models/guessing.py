"""What a bare graph says about its tensors, and what is guessed from their names."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import onnxruntime as ort

from models.errors import ImportRefused
from models.manifest import INITIAL, StateSpec, TensorSpec
from models.tensors import DTYPES, TIME, DType, Shape, describe_shape
from models.told import Told

LENGTHS = ("lengths", "seq_lens", "seq_lengths", "sequence_lens", "sequence_lengths", "input_lengths")

Nodes = dict[str, ort.NodeArg]

_READ = re.compile(r"^(?:past|previous|prev|input|initial|init|old|in)[_.\-]?|[_.\-]?(?:input|in|past|prev|0)$")
_WRITTEN = re.compile(
    r"^(?:next|new|present|final|output|updated|out)[_.\-]?|[_.\-]?(?:output|out|next|new|present|final|n)$"
)


class Guess(NamedTuple):
    """A graph's tensors as a manifest writes them; an output's shape is empty until the graph has run."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...]
    lengths: str | None

    def describe(self) -> list[str]:
        """Say what was made of the graph, a line for each tensor that is read."""
        lines = [f"input {tensor.name}: {tensor.dtype} {describe_shape(tensor.shape)}" for tensor in self.inputs]
        lines.append(f"lengths: {self.lengths or 'none; every row of a batch has the same number of steps'}")
        lines += [
            f"state {state.input} -> {state.output}: {state.dtype} {describe_shape(state.shape)}, "
            f"batch axis {state.batch_axis} in the graph"
            for state in self.states
        ]
        return lines


def guess_tensors(session: ort.InferenceSession, told: Told) -> Guess:
    """Make of the graph's tensors what was told, and guess the rest; raises ImportRefused naming the option."""
    read = {node.name: node for node in session.get_inputs()}
    written = {node.name: node for node in session.get_outputs()}
    pairs = [_told_pair(text, read, written) for text in told.states] or _guess_pairs(read, written)
    _check_told(told, read, [name for name, _ in pairs])
    lengths = told.lengths or _guess_lengths(read, pairs)
    data = [node for name, node in read.items() if name != lengths and name not in dict(pairs)]
    if told.time_axis == "1" and not any(_has_time(node, told) for node in data):
        raise ImportRefused("--time-axis 1 needs an input whose axis 1 is free in the graph; say --time-axis none")
    batch = next((node.shape[0] for node in data if node.shape), None)
    return Guess(
        inputs=tuple(TensorSpec(node.name, _dtype(node), _input_shape(node, told)) for node in data),
        outputs=tuple(
            TensorSpec(name, _dtype(node), ()) for name, node in written.items() if name not in dict(pairs).values()
        ),
        states=tuple(_state(read[name], output, batch, told) for name, output in pairs),
        lengths=lengths,
    )


def initial_of(state: str) -> str:
    """Give a state's field `initial` where its value is stored; a key holds letters, digits, '_' and '.'."""
    return f"{INITIAL}:{re.sub(r'[^0-9A-Za-z_.]', '_', state)}"


def _told_pair(text: str, read: Nodes, written: Nodes) -> tuple[str, str]:
    """Split where both names are the graph's: names hold colons too."""
    for colon in re.finditer(":", text):
        name, output = text[: colon.start()], text[colon.end() :]
        if name in read and output in written:
            return name, output
    raise ImportRefused(
        f"--state {text} must be INPUT:OUTPUT; the graph reads {_list(read)} and writes {_list(written)}"
    )


def _guess_pairs(read: Nodes, written: Nodes) -> list[tuple[str, str]]:
    pairs = [
        (name, output)
        for name, before in read.items()
        for output, after in written.items()
        if _keys(name, _READ) & _keys(output, _WRITTEN) and _alike(before, after)
    ]
    for side in zip(*pairs, strict=True):
        if repeated := {name for name in side if side.count(name) > 1}:
            raise ImportRefused(f"'{min(repeated)}' could be of more than one state; pair them by --state INPUT:OUTPUT")
    if not pairs:
        raise ImportRefused(
            f"no state can be guessed from the names; pair them by --state INPUT:OUTPUT "
            f"(the graph reads {_list(read)} and writes {_list(written)})"
        )
    return pairs


def _keys(name: str, role: re.Pattern[str]) -> set[str]:
    """Give the name without what says that it is read or written, at its start, its end or both."""
    name = name.lower()
    return {name, role.sub("", name, count=1), role.sub("", name)} - {""}


def _alike(before: ort.NodeArg, after: ort.NodeArg) -> bool:
    """Tell whether one could be the other's next value; a shape that the graph does not know fits any."""
    if before.type != after.type or (after.shape and len(before.shape) != len(after.shape)):
        return False
    both = zip(before.shape, after.shape, strict=False)
    return all(one == other for one, other in both if isinstance(one, int) and isinstance(other, int))


def _check_told(told: Told, read: Nodes, states: list[str]) -> None:
    for option, names, known in (
        ("--batch-axis", told.batch_axes, states),
        ("--initial", told.initial, states),
        ("--shape", told.shapes, list(read)),
        ("--value", told.values, list(read)),
        ("--lengths", [told.lengths] if told.lengths else [], list(read)),
    ):
        for name in names:
            if name not in known:
                raise ImportRefused(f"{option} names '{name}', which is not among {_list(known)}")
    if told.lengths and _dtype(read[told.lengths]) != "INT64":
        raise ImportRefused(f"--lengths {told.lengths} must be int64 in the graph, not {read[told.lengths].type}")
    for name in states:
        if name in told.shapes and (TIME in told.shapes[name] or len(told.shapes[name]) != len(read[name].shape) - 1):
            raise ImportRefused(f"--shape {name} must be the state's {len(read[name].shape) - 1} sizes but the batch's")


def _guess_lengths(read: Nodes, pairs: list[tuple[str, str]]) -> str | None:
    fitting = (name for name in LENGTHS if name in read and name not in dict(pairs))
    return next((name for name in fitting if _dtype(read[name]) == "INT64" and len(read[name].shape) == 1), None)


def _dtype(node: ort.NodeArg) -> DType:
    if node.type not in DTYPES:
        raise ImportRefused(f"'{node.name}' is {node.type}, which a manifest cannot describe; export it as a number")
    return DTYPES[node.type]


def _input_shape(node: ort.NodeArg, told: Told) -> Shape:
    if node.name in told.shapes:
        return told.shapes[node.name]
    if node.shape and isinstance(node.shape[0], int):
        raise ImportRefused(
            f"input '{node.name}' has {node.shape[0]} rows in the graph; export it with the batch axis first and free"
        )
    if _has_time(node, told):
        return (TIME, *_fixed(node.name, node.shape[2:]))
    return _fixed(node.name, node.shape[1:])


def _has_time(node: ort.NodeArg, told: Told) -> bool:
    return told.time_axis != "none" and len(node.shape) > 1 and not isinstance(node.shape[1], int)


def _state(node: ort.NodeArg, output: str, batch: str | int | None, told: Told) -> StateSpec:
    axis = told.batch_axes[node.name] if node.name in told.batch_axes else _guess_batch_axis(node, batch)
    if not 0 <= axis < len(node.shape):
        raise ImportRefused(f"--batch-axis {node.name}={axis} must be from 0 to {len(node.shape) - 1}")
    rest = [*node.shape[:axis], *node.shape[axis + 1 :]]
    shape = told.shapes[node.name] if node.name in told.shapes else _fixed(node.name, rest)
    initial = initial_of(node.name) if node.name in told.initial else "zeros"
    return StateSpec(node.name, output, _dtype(node), shape, batch_axis=axis, initial=initial)


def _guess_batch_axis(node: ort.NodeArg, batch: str | int | None) -> int:
    free = [axis for axis, size in enumerate(node.shape) if not isinstance(size, int)]
    named = [axis for axis in free if isinstance(batch, str) and node.shape[axis] == batch]
    if len(named) == 1:
        return named[0]
    if not free:
        raise ImportRefused(f"state '{node.name}' is {node.shape} in the graph; export it with the batch axis free")
    if len(free) > 1:
        raise ImportRefused(
            f"state '{node.name}' has {len(free)} free axes; give the batch's by --batch-axis {node.name}=N"
        )
    return free[0]


def _fixed(name: str, axes: list[str | int | None]) -> tuple[int, ...]:
    for axis in axes:
        if not isinstance(axis, int):
            free = "a free axis" if axis is None else f"a free axis '{axis}'"
            raise ImportRefused(f"'{name}' has {free} besides batch and time; give its shape by --shape {name}=…")
    return tuple(axis for axis in axes if isinstance(axis, int))


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"

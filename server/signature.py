"""What a request for each of a model's graphs carries, and what its answer has."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from models.errors import ModelUnsupported
from models.manifest import ANSWERED, RESERVED, Decode, TensorSpec
from models.runner import Runner
from models.tensors import TIME, Shape
from server.spread import Spread, spreads_of
from server.types import Part
from server.vocabulary import Vocabulary

# The protocol's name for the valid steps of each row.
LENGTHS = "lengths"
NO_TEXTS: Mapping[str, Vocabulary] = MappingProxyType({})


class Signature(NamedTuple):
    """The tensors of one part of a model, the batch axis left out.

    Attributes:
        inputs: what every row brings.
        starting: what a row that begins its sequence brings besides, for the start graph.
        outputs: what a row is answered.
        ragged: whether rows of different lengths may run together.
        free: the inputs that have a free axis other than time, each with its first axis after batch and time; rows run
            together where they have the same sizes.
        texts: the inputs that may come as text, with their vocabularies.
        whole: whether a sequence is answered when it is complete, and not before.
        decode: how an answer is fed back; None where it cannot be.
        spreads: the outputs that have a free axis other than time.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    starting: Sequence[TensorSpec] = ()
    ragged: bool = True
    free: Sequence[tuple[str, int]] = ()
    texts: Mapping[str, Vocabulary] = NO_TEXTS
    whole: bool = False
    decode: Decode | None = None
    spreads: Sequence[Spread] = ()


def signatures_of(runner: Runner, texts: Mapping[str, Vocabulary] = NO_TEXTS) -> Mapping[Part, Signature]:
    """Give the signature of each part; raises ModelUnsupported for tensors that the protocol cannot carry."""
    manifest = runner.manifest
    whole = manifest.kind == "sequence"
    run = Signature(
        manifest.inputs,
        manifest.outputs,
        runner.start_inputs,
        # What is kept until the end may be of any length, whatever the graph takes.
        ragged=manifest.lengths is not None or whole,
        free=_free(manifest.inputs),
        texts=texts,
        whole=whole,
        decode=manifest.decode,
        spreads=spreads_of(manifest),
    )
    peek = run._replace(starting=())
    if runner.peek_outputs:
        free = _free(runner.peek_inputs)
        peek = Signature(runner.peek_inputs, runner.peek_outputs, ragged=runner.peek_ragged, free=free)
        _check_peek(peek)
    _check_names(manifest.inputs, run.starting, "start")
    if manifest.decode is not None and manifest.decode.lengths:
        _check_told_length(run.starting)
    return {"run": run, "start": Signature((), (), run.starting), "peek": peek}


def _free(specs: Sequence[TensorSpec]) -> Sequence[tuple[str, int]]:
    return [(spec.name, 1 + spec.is_timed) for spec in specs if any(isinstance(axis, str) for axis in _untimed(spec))]


def _check_names(inputs: Sequence[TensorSpec], own: Sequence[TensorSpec], role: str) -> None:
    """Raise ModelUnsupported where a request could not tell a graph's input from another of that name."""
    taken = RESERVED | {LENGTHS} | {spec.name for spec in inputs}
    for spec in own:
        if spec.name in taken:
            raise ModelUnsupported(
                f"graphs.{role} takes '{spec.name}', the name of an input that requests have already; rename it"
            )


def _check_told_length(starting: Sequence[TensorSpec]) -> None:
    """Raise ModelUnsupported unless a length can be told to the start graph."""
    if len(starting) != 1 or len(starting[0].shape) != 1:
        raise ModelUnsupported("decode.lengths needs a start graph of one input, [batch, numbers], the last the length")


def _check_peek(peek: Signature) -> None:
    _check_names((), peek.inputs, "peek")
    timed = any(spec.is_timed for spec in peek.inputs)
    for spec in peek.inputs:
        if TIME in spec.shape[1:]:
            raise ModelUnsupported(f"graphs.peek takes '{spec.name}' with time on another axis than the first")
    for spec in peek.outputs:
        axes = _untimed(spec) if timed else spec.shape
        if spec.name in ANSWERED or any(isinstance(axis, str) for axis in axes):
            raise ModelUnsupported(
                f"graphs.peek answers '{spec.name}' {list(spec.shape)}: every axis but time must be a number, "
                "and the name not one of the protocol's"
            )


def _untimed(spec: TensorSpec) -> Shape:
    return spec.shape[1:] if spec.is_timed else spec.shape

"""What a manifest may ask for that this version does not run yet, refused by the field's name."""

from collections.abc import Iterable

from models.errors import ModelUnsupported
from models.manifest import Decode, Manifest, TensorSpec
from models.tensors import TIME

_SYMBOLS = frozenset({"INT32", "INT64"})


def refuse_unsupported(manifest: Manifest) -> None:
    """Raise ModelUnsupported, naming the first field that asks for what is not served."""
    for field in _unsupported(manifest):
        raise ModelUnsupported(f"manifest field {field} is not served by this version of Recur")


def _unsupported(manifest: Manifest) -> Iterable[str]:
    if manifest.kind == "sequence":
        yield from _unsupported_whole(manifest)
    if manifest.decode is not None:
        yield from _unsupported_decode(manifest, manifest.decode)
    for field, tensors in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        for index, tensor in enumerate(tensors):
            fixed = tensor.shape[1:] if tensor.is_timed else tensor.shape
            # What is run once, when all of it has come, may be of any size; and an output's last axis that of a state.
            told = _told_axes(manifest) if field == "outputs" else frozenset()
            whole = field == "inputs" and manifest.kind == "sequence" and tensor.is_timed and TIME not in fixed
            free = [axis for place, axis in enumerate(fixed, 1) if place < len(fixed) or axis not in told]
            if any(isinstance(axis, str) for axis in free) and not whole:
                yield f"{field}[{index}].shape with a free axis other than time, or time other than first"


def _told_axes(manifest: Manifest) -> frozenset[str]:
    """Name the free axes whose size a state's own length tells, once in that state."""
    found = [[axis for axis in state.shape if isinstance(axis, str)] for state in manifest.states if state.length_of]
    return frozenset(axes[0] for axes in found if len(axes) == 1)


def _unsupported_whole(manifest: Manifest) -> Iterable[str]:
    """Tell what a model that is run once, on the whole sequence, cannot have."""
    if manifest.states:
        yield "states of kind 'sequence', which begins nowhere but at the beginning,"
    if manifest.decode is not None:
        yield "decode of kind 'sequence'"
    for role in ("start", "step", "peek"):
        if getattr(manifest.graphs, role) is not None:
            yield f"graphs.{role} of kind 'sequence'"
    for index, tensor in enumerate(manifest.inputs):
        if not tensor.is_timed:
            yield f"inputs[{index}].shape without time in kind 'sequence'"


def _unsupported_decode(manifest: Manifest, decode: Decode) -> Iterable[str]:
    """Tell what cannot be fed back: one step's answer must be one step's input, and no other input may have time."""
    taken = {spec.name: spec for spec in manifest.inputs}
    given = {spec.name: spec for spec in manifest.outputs}
    source, target = given.get(decode.output), taken.get(decode.input)
    if source is None or target is None or not _feeds(decode, source, target):
        yield f"decode.output '{decode.output}', fed back as '{decode.input}' by '{decode.sampling}',"
    others = [name for name, spec in taken.items() if TIME in spec.shape and name != decode.input]
    if others:
        yield f"decode.input '{decode.input}' beside the input '{others[0]}', which has time too,"


def _feeds(decode: Decode, source: TensorSpec, target: TensorSpec) -> bool:
    if source.shape[:1] != (TIME,):
        return False
    if decode.sampling in ("categorical", "argmax"):
        return len(source.shape) == 2 and target.shape == (TIME,) and target.dtype in _SYMBOLS
    return source.shape == target.shape and (decode.sampling == "bernoulli" or source.dtype == target.dtype)

"""What a manifest may ask for that this version does not run yet, refused by the field's name."""

from collections.abc import Iterable

from models.errors import ModelUnsupported
from models.manifest import Manifest
from models.tensors import TIME


def refuse_unsupported(manifest: Manifest) -> None:
    """Raise ModelUnsupported, naming the first field that asks for what is not served."""
    for field in _unsupported(manifest):
        raise ModelUnsupported(f"manifest field {field} is not served by this version of Recur")


def _unsupported(manifest: Manifest) -> Iterable[str]:
    if manifest.kind != "step":
        yield f"kind '{manifest.kind}'"
    if manifest.decode is not None:
        yield "decode"
    for field, tensors in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        for index, tensor in enumerate(tensors):
            fixed = tensor.shape[1:] if tensor.shape[:1] == (TIME,) else tensor.shape
            if any(isinstance(axis, str) for axis in fixed):
                yield f"{field}[{index}].shape with a free axis other than time, or time other than first"

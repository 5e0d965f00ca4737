"""Reads requests; one that differs from an earlier one in its values alone is not parsed again.

Most requests of a model are equal but for the numbers in their tensors, the sequence, its step and its life. What is
left when those are cut out, the outline, says how to read the rest: it is parsed, checked against the model and
remembered once. Any request whose outline is not known, or has none, is parsed whole.
"""

from collections.abc import Sequence
from typing import final

import msgspec
import numpy as np
from google.protobuf.message import DecodeError

from models.manifest import TensorSpec
from server.codec.outline import Field, Outline, cut_out, fits, is_cut_right, parameters_of, tail_of, template_of
from server.codec.parameters import Parameters, decode_parameters
from server.codec.tensors import Tensors, decode_tensors, split, tensors_of, wanted_outputs
from server.errors import InvalidRequest, RecurError
from server.pb import grpc_service_pb2 as pb
from server.signature import Signature
from server.types import UNNUMBERED, Array

# More outlines than this are not remembered: a client that makes up new ones takes no memory and slows nobody down.
OUTLINES = 1024
# And no more than this of whole requests but for their tensors.
HEADS = 4096
# Nor anything longer.
LONGEST = 4096
# Of one length, requests of so many more outlines are looked for than the last.
FIRSTS = 3


class Request(msgspec.Struct, eq=False):
    """A request, read as far as it can be without its model.

    Attributes:
        first: of a request with an outline, where its tensors' bytes begin.
        wrong: what is wrong with its parameters; they have no meaning then.
    """

    model_name: str
    model_version: str
    id: str
    parameters: Parameters
    data: bytes
    outline: Outline | None = None
    first: int = 0
    wrong: RecurError | None = None

    def tensors(self, signature: Signature) -> tuple[Tensors, Sequence[TensorSpec]]:
        """Read the tensors, and which outputs are asked for; raises InvalidRequest."""
        outline = self.outline
        if outline is None or outline.template is None or outline.template.signature is not signature:
            message = pb.ModelInferRequest.FromString(self.data)
            tensors, outputs = decode_tensors(message, signature), wanted_outputs(message, signature)
            if outline is not None and not tensors.as_text:
                outline.template = template_of(outline, signature, tensors, outputs)
            return tensors, outputs
        template = outline.template
        inputs = {field.name: self._array(field) for field in template.inputs}
        starting = {field.name: self._array(field) for field in template.starting} if template.starting else {}
        reserved = {field.name: self._values(field) for field in template.reserved} if template.reserved else {}
        return tensors_of(inputs, starting, template.rows, template.time, reserved), template.outputs

    def _array(self, field: Field) -> Array:
        return np.ndarray(field.shape, field.dtype, self.data, self.first + field.first)

    def _values(self, field: Field) -> Array | Sequence[bytes]:
        if field.dtype is not None:
            return self._array(field)
        return split(field.name, self.data[self.first + field.first : self.first + field.stop], field.shape)


# What a request says before its tensors' bytes.
Known = tuple[Outline, Parameters, str]


@final
class Reader:
    """Remembers outlines; what it reads does not depend on what it remembers."""

    def __init__(self) -> None:
        self._outlines: dict[tuple[bytes, ...], Outline] = {}
        self._firsts: dict[int, tuple[int, ...]] = {}
        self._heads: dict[bytes, Known] = {}

    def read(self, data: bytes) -> Request:
        """Read a request; raises InvalidRequest for bytes that are none."""
        for first in self._firsts.get(len(data), ()):
            head = data[:first]
            known = self._heads.get(head) or self._match(head)
            if known is not None and fits(known[0], data, first):
                outline, parameters, request_id = known
                return Request(outline.model_name, outline.model_version, request_id, parameters, data, outline, first)
        return self._parse(data)

    @property
    def remembered(self) -> int:
        """How many outlines and whole requests are remembered."""
        return len(self._outlines) + len(self._heads)

    def _match(self, head: bytes) -> Known | None:
        """Read what comes before the tensors' bytes by its outline, and remember it: the next step is like it."""
        cut = cut_out(head, len(head))
        outline = self._outlines.get(cut.outline)
        parameters = None if outline is None else parameters_of(outline.parameters, cut.values)
        if outline is None or parameters is None:
            return None
        known = outline, parameters, str(cut.values.get("id", outline.id))
        if parameters.step == UNNUMBERED:  # a step that is counted does not come again like this
            if len(self._heads) >= HEADS:
                self._heads.clear()
            self._heads[head] = known
        return known

    def _parse(self, data: bytes) -> Request:
        try:
            message = pb.ModelInferRequest.FromString(data)
        except DecodeError as error:
            raise InvalidRequest("the bytes are not a inference.ModelInferRequest") from error
        request = Request(message.model_name, message.model_version, message.id, Parameters(), data)
        try:
            request.parameters = decode_parameters(message)
        except RecurError as error:
            request.wrong = error
        else:
            request.outline, request.first = self._learn(data, message, request.parameters)
        return request

    def _learn(self, data: bytes, message: pb.ModelInferRequest, parameters: Parameters) -> tuple[Outline | None, int]:
        """Remember a request's outline, if cutting its values out is all that tells it from others like it."""
        tail = tail_of(data, message)
        if tail is None or tail.first > LONGEST:
            return None, 0
        cut = cut_out(data, tail.first)
        if not is_cut_right(data, message, parameters, cut):
            return None, 0
        if len(self._outlines) >= OUTLINES:
            self._outlines.clear()
            self._firsts.clear()
            self._heads.clear()
        outline = Outline(
            message.model_name,
            message.model_version,
            message.id,
            parameters,
            tail.fields,
            tail.frames,
            len(data) - tail.first,
        )
        self._outlines[cut.outline] = outline
        self._firsts[len(data)] = (*self._firsts.get(len(data), ())[-FIRSTS:], tail.first)
        return outline, tail.first


def id_of(data: bytes) -> str:
    """Give the id of a request that nothing else is known of; "" where it has none."""
    try:
        return pb.ModelInferRequest.FromString(data).id
    except DecodeError:
        return ""

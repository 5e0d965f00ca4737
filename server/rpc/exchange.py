"""A request under way: what its answer needs, and where it goes."""

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from models.manifest import TensorSpec
from server.catalogue import ServedModel
from server.codec.answers import encode_answer, encode_many
from server.codec.request import Request
from server.codec.rows import Rows, ids_alone
from server.codec.tensors import Tensors
from server.errors import Internal, InvalidRequest, RecurError
from server.metrics import ModelMetrics
from server.rpc.parts import size_of
from server.signature import Signature
from server.types import Answer, Chunk, Scope

logger = logging.getLogger(__name__)

# Takes the request's id, and an encoded ModelInferResponse or what is wrong.
Reply = Callable[[str, bytes | RecurError], None]


class Exchange(msgspec.Struct, frozen=True, eq=False):
    """A request, the version and the part that it is for, the outputs it asks for, and who hears of its answer."""

    request: Request
    model: ServedModel
    signature: Signature
    specs: Sequence[TensorSpec]
    metrics: ModelMetrics
    arrived: float
    reply: Reply

    def again(self, tensors: Tensors, client: int) -> Chunk | None:
        """Copy the chunk of an earlier request that asked the same of other sequences; None where there was none."""
        outline, parameters = self.request.outline, self.request.parameters
        template = None if outline is None else outline.template
        if template is None or template.like is None or template.signature is not self.signature:
            return None
        if (ids := ids_alone(parameters, tensors)) is None:
            return None
        return msgspec.structs.replace(
            template.like,
            ids=ids,
            inputs=tensors.inputs,
            done=self.done,
            client=client,
            arrived=self.arrived,
            deadline=self.arrived + parameters.timeout_seconds,
            cuts=[],
        )

    def chunk(self, tensors: Tensors, rows: Rows, scope: Scope, client: int) -> Chunk:
        """Make a chunk of all rows; raises InvalidRequest for a question that is none."""
        parameters, signature = self.request.parameters, self.signature
        if parameters.peek and (not rows.ids or rows.start.any() or rows.end.any()):
            raise InvalidRequest("recur_peek asks a sequence that lives, and neither starts nor ends it")
        if not signature.ragged and not tensors.reserved and (rows.lengths != tensors.time).any():
            raise InvalidRequest("the model takes no lengths: send steps that are all valid")
        chunk = Chunk(
            model=self.model.key,
            scope=scope,
            ids=rows.ids,
            inputs=tensors.inputs,
            starting=tensors.starting,
            lengths=rows.lengths,
            time=tensors.time,
            size=size_of(signature, tensors.time),
            shape=tuple([size for name, axis in signature.free for size in tensors.inputs[name].shape[axis:]]),
            start=rows.start,
            starts=not rows.plain and bool(rows.start.any()),
            end=rows.end,
            steps=rows.steps,
            lives=rows.lives,
            plain=rows.plain and not parameters.peek,
            part="peek" if parameters.peek else "run" if tensors.time else "start",
            done=self.done,
            client=client,
            priority=parameters.priority,
            arrived=self.arrived,
            deadline=self.arrived + parameters.timeout_seconds,
        )
        self._remember(chunk, tensors)
        return chunk

    def fail(self, error: RecurError) -> None:
        """Answer the whole request with an error."""
        self.metrics.failed(error, time.monotonic() - self.arrived)
        self.reply(self.request.id, error)

    def answer(self, write: Callable[[Answer], bytes], answer: Answer) -> None:
        """Answer the request; `write` gives the message."""
        answered = time.monotonic()
        try:
            message = write(answer)
        except Exception:  # who answers is not to fail for an answer that cannot be written
            logger.exception("answer failed")
            self.fail(Internal("the answer cannot be written; the server's log has the cause"))
            return
        self.reply(self.request.id, message)
        now = time.monotonic()
        self.metrics.encoded(now - answered)
        self.metrics.answered("OK", now - self.arrived)

    def answer_many(self, answer: Answer) -> None:
        """Answer a request for many sequences."""
        self.metrics.refused_rows(answer.errors.values())
        self.answer(self._written_for_many, answer)

    def done(self, _: Chunk, answer: Answer) -> None:
        """Answer a request for one sequence, or for rows that are not kept: the first error is the request's."""
        if answer.errors:
            self.fail(next(iter(answer.errors.values())))
        else:
            self.answer(self._written, answer)

    def _remember(self, chunk: Chunk, tensors: Tensors) -> None:
        """Let requests of the same outline be copied from this, if it went on with its sequences and did no more."""
        outline = self.request.outline
        template = None if outline is None else outline.template
        if template is not None and chunk.plain and tensors.lengths is None:
            template.like = msgspec.structs.replace(chunk, ids=(), inputs={}, done=_nobody)

    def _written(self, answer: Answer) -> bytes:
        said = self.request.parameters
        kept = said.sequence_id is not None
        return encode_answer(self.request.id, self.model.key, self.specs, answer, kept=kept, final=said.wants_final)

    def _written_for_many(self, answer: Answer) -> bytes:
        final = self.request.parameters.wants_final
        return encode_many(self.request.id, self.model.key, self.specs, answer, final=final)


def _nobody(_: Chunk, __: Answer) -> None:
    """Hear of an answer that nobody waits for."""

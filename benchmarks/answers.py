"""Looks whether an answer is one: no request of a load may fail unseen."""

from server.pb import grpc_service_pb2 as pb

STATUS, ERROR = "sequence_status", "sequence_error"


class Refused(Exception):  # noqa: N818  named after what happened
    """The server answered a request with an error, whose sentence this is."""


def check_step(answer: bytes) -> None:
    """Raise Refused where a stream's answer is an error; it is parsed only then."""
    if b"recur_reason" in answer:
        raise Refused(pb.ModelStreamInferResponse.FromString(answer).error_message)


def check_rows(answer: bytes) -> str:
    """Give the id of an answer of many rows; raises Refused where a row, or all, were refused."""
    message = pb.ModelStreamInferResponse.FromString(answer)
    if message.error_message:
        raise Refused(message.error_message)
    return check_row_answer(message.infer_response)


def check_row_answer(response: pb.ModelInferResponse) -> str:
    """Give the id of a call's answer of many rows; raises Refused where a row was refused."""
    raw = dict(zip((output.name for output in response.outputs), response.raw_output_contents, strict=True))
    if STATUS not in raw:
        raise Refused(f"an answer of many rows came without '{STATUS}'")
    if any(raw[STATUS]):
        # Each error is its length in four bytes, and the text.
        texts = raw.get(ERROR, b"").replace(b"\0", b"").decode(errors="replace")
        raise Refused(f"rows were refused: {texts[:200]}")
    return response.id

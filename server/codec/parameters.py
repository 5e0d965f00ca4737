"""What a request says beside its tensors."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from server.digest import life_of
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from server.sampling import Sampling
from server.types import UNNUMBERED, SequenceId

LONGEST_ID = 256
LEAST_URGENT = 1000
LARGEST_PENALTY = 10
# What a client that does not read may have written for it of one generation.
MOST_ANSWER_STEPS = 256
MICROSECONDS = 1e-6
CHOICE: Literal["parameter_choice"] = "parameter_choice"


class Parameters(msgspec.Struct, frozen=True):
    """The parameters that are read; `sequence_id` is None where nothing is kept.

    Attributes:
        step: steps done before, as the client counts them, or UNNUMBERED.
        life: which life of its id is meant; 0 where the client does not say.
        wants_final: the last answer is to say that it is the last.
        peek: run on the state and leave it as it is.
        notices: the stream may be sent what nobody asked for.
        score: answer how probable the steps are.
        sampling: how to generate; None for a request that does not.
        answer_steps: generated steps that one answer may have at most.
    """

    sequence_id: SequenceId | None = None
    start: bool = False
    end: bool = False
    step: int = UNNUMBERED
    life: int = 0
    priority: int = 0
    timeout_seconds: float = math.inf
    wants_final: bool = False
    peek: bool = False
    notices: bool = False
    score: bool = False
    sampling: Sampling | None = None
    answer_steps: int = 1


def decode_parameters(request: pb.ModelInferRequest) -> Parameters:
    """Read the request's parameters; raises InvalidRequest with the one that is wrong."""
    given: dict[str, Any] = {}
    how: dict[str, Any] = {}
    parameters = request.parameters
    for name in parameters:  # items() of a protobuf map is several times slower
        if name in READERS:
            field, read = READERS[name]
            given[field] = read(name, parameters[name])
        elif name in SAMPLING:
            field, read = SAMPLING[name]
            how[field] = read(name, parameters[name])
        elif name.startswith("recur_"):
            raise InvalidRequest(f"parameter '{name}' is not served by this version of Recur; leave it out")
    if how or "answer_steps" in given:
        given["sampling"] = _sampling(how)
    return Parameters(**given)


def is_name(text: str) -> bool:
    """Whether a text may name a sequence or a life of one."""
    return len(text) <= LONGEST_ID and "\0" not in text and len(text.encode()) <= LONGEST_ID


def checked_text(name: str, value: str) -> str:
    """Give a text that may name something; raises InvalidRequest."""
    if not is_name(value):
        raise InvalidRequest(f"{name} must be at most {LONGEST_ID} bytes of UTF-8 without NUL")
    return value


def _sequence_id(name: str, parameter: pb.InferParameter) -> SequenceId | None:
    kind = parameter.WhichOneof(CHOICE)
    if kind == "int64_param":
        return parameter.int64_param or None
    if kind == "uint64_param":
        return parameter.uint64_param or None
    if kind != "string_param":
        raise InvalidRequest(f"parameter '{name}' must be an integer or a string")
    return checked_text(f"parameter '{name}'", parameter.string_param) or None


def _flag(name: str, parameter: pb.InferParameter) -> bool:
    if parameter.WhichOneof(CHOICE) != "bool_param":
        raise InvalidRequest(f"parameter '{name}' must be a boolean")
    return parameter.bool_param


def _count(name: str, parameter: pb.InferParameter) -> int:
    kind = parameter.WhichOneof(CHOICE)
    value = parameter.uint64_param if kind == "uint64_param" else parameter.int64_param
    if kind not in ("int64_param", "uint64_param") or not 0 <= value < 2**63:
        raise InvalidRequest(f"parameter '{name}' must be an integer from 0")
    return value


def _timeout(name: str, parameter: pb.InferParameter) -> float:
    return _count(name, parameter) * MICROSECONDS or math.inf


def _priority(name: str, parameter: pb.InferParameter) -> int:
    return min(_count(name, parameter), LEAST_URGENT)


def _life(name: str, parameter: pb.InferParameter) -> int:
    if parameter.WhichOneof(CHOICE) != "string_param":
        raise InvalidRequest(f"parameter '{name}' must be a string")
    return life_of(checked_text(f"parameter '{name}'", parameter.string_param))


def _sampling(how: Mapping[str, Any]) -> Sampling:
    if "max_steps" not in how:
        named = next(iter(how), "answer_steps")
        raise InvalidRequest(f"parameter 'recur_{named}' needs 'recur_max_steps', how many steps to generate")
    sampling = Sampling(**how)
    if sampling.beam_width and sampling.draws:
        raise InvalidRequest(
            "recur_beam_width searches and draws nothing: leave temperature, top_k, top_p and seed out"
        )
    if "length_penalty" in how and not sampling.beam_width:
        raise InvalidRequest("parameter 'recur_length_penalty' needs 'recur_beam_width'")
    return sampling


def _at_least_one(name: str, parameter: pb.InferParameter) -> int:
    value = parameter.int64_param or parameter.uint64_param
    if not 1 <= value < 2**63:
        raise InvalidRequest(f"parameter '{name}' must be an integer from 1")
    return value


def _answer_steps(name: str, parameter: pb.InferParameter) -> int:
    value = parameter.int64_param or parameter.uint64_param
    if not 1 <= value <= MOST_ANSWER_STEPS:
        raise InvalidRequest(f"parameter '{name}' must be an integer from 1 to {MOST_ANSWER_STEPS}")
    return value


def _number(name: str, parameter: pb.InferParameter) -> float:
    kind = parameter.WhichOneof(CHOICE)
    value = float(getattr(parameter, kind)) if kind in ("double_param", "int64_param", "uint64_param") else math.nan
    if not math.isfinite(value):
        raise InvalidRequest(f"parameter '{name}' must be a number")
    return value


def _temperature(name: str, parameter: pb.InferParameter) -> float:
    value = _number(name, parameter)
    if value < 0:
        raise InvalidRequest(f"parameter '{name}' must be a number from 0; 0 takes the most probable")
    return value


def _penalty(name: str, parameter: pb.InferParameter) -> float:
    value = _number(name, parameter)
    if not 0 <= value <= LARGEST_PENALTY:
        raise InvalidRequest(f"parameter '{name}' must be a number from 0 to {LARGEST_PENALTY}")
    return value


def _share(name: str, parameter: pb.InferParameter) -> float:
    value = _number(name, parameter)
    if not 0 < value <= 1:
        raise InvalidRequest(f"parameter '{name}' must be a number above 0 and at most 1")
    return value


# The parameters that are read: the field of Parameters, and who checks the value. Others may be there and are not read.
READERS: Mapping[str, tuple[str, Callable[[str, pb.InferParameter], SequenceId | float | None]]] = {
    "sequence_id": ("sequence_id", _sequence_id),
    "sequence_start": ("start", _flag),
    "sequence_end": ("end", _flag),
    "timeout": ("timeout_seconds", _timeout),
    "priority": ("priority", _priority),
    "recur_step": ("step", _count),
    "recur_incarnation": ("life", _life),
    "recur_peek": ("peek", _flag),
    "recur_notices": ("notices", _flag),
    "recur_score": ("score", _flag),
    "recur_answer_steps": ("answer_steps", _answer_steps),
    "triton_enable_empty_final_response": ("wants_final", _flag),
}

# The parameters of generation, and the fields of Sampling.
SAMPLING: Mapping[str, tuple[str, Callable[[str, pb.InferParameter], float]]] = {
    "recur_max_steps": ("max_steps", _at_least_one),
    "recur_temperature": ("temperature", _temperature),
    "recur_top_k": ("top_k", _at_least_one),
    "recur_top_p": ("top_p", _share),
    "recur_seed": ("seed", _count),
    "recur_beam_width": ("beam_width", _at_least_one),
    "recur_length_penalty": ("length_penalty", _penalty),
}

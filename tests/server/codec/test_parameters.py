import re

import pytest

from server.codec.parameters import LEAST_URGENT, decode_parameters
from server.digest import life_of
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from server.types import UNNUMBERED


def parameters(**values):
    request = pb.ModelInferRequest()
    for name, (field, value) in values.items():
        setattr(request.parameters[name], field, value)
    return request


def test_parameters_are_read():
    read = decode_parameters(
        parameters(
            sequence_id=("int64_param", 5),
            sequence_start=("bool_param", True),
            sequence_end=("bool_param", True),
            timeout=("int64_param", 1_500_000),
            triton_enable_empty_final_response=("bool_param", True),
            priority=("uint64_param", 3),
            recur_step=("int64_param", 7),
            recur_incarnation=("string_param", "a life"),
        )
    )
    assert (read.sequence_id, read.start, read.end, read.wants_final) == (5, True, True, True)
    assert read.timeout_seconds == pytest.approx(1.5)
    assert (read.step, read.life, read.priority) == (7, life_of("a life"), 3)


def test_without_parameters_nothing_is_kept_and_nothing_is_overdue():
    read = decode_parameters(pb.ModelInferRequest())
    assert (read.sequence_id, read.start, read.end, read.timeout_seconds) == (None, False, False, float("inf"))
    assert (read.step, read.life, read.priority) == (UNNUMBERED, 0, 0)


@pytest.mark.parametrize(("field", "value"), [("int64_param", 0), ("string_param", ""), ("uint64_param", 0)])
def test_the_id_of_nothing_is_no_sequence(field, value):
    assert decode_parameters(parameters(sequence_id=(field, value))).sequence_id is None


@pytest.mark.parametrize(("field", "value"), [("int64_param", -7), ("string_param", "é" * 128), ("string_param", "5")])
def test_ids_are_integers_and_strings(field, value):
    assert decode_parameters(parameters(sequence_id=(field, value))).sequence_id == value


def test_a_timeout_of_zero_is_none():
    assert decode_parameters(parameters(timeout=("int64_param", 0))).timeout_seconds == float("inf")


BAD_PARAMETERS = {
    "bool id": ("sequence_id", "bool_param", True, "integer or a string"),
    "float id": ("sequence_id", "double_param", 1.0, "integer or a string"),
    "long id": ("sequence_id", "string_param", "a" * 257, "256 bytes"),
    "long id in bytes": ("sequence_id", "string_param", "é" * 129, "256 bytes"),
    "NUL in an id": ("sequence_id", "string_param", "a\0b", "NUL"),
    "integer start": ("sequence_start", "int64_param", 1, "boolean"),
    "string end": ("sequence_end", "string_param", "true", "boolean"),
    "integer final flag": ("triton_enable_empty_final_response", "int64_param", 1, "boolean"),
    "negative timeout": ("timeout", "int64_param", -1, "integer from 0"),
    "bool timeout": ("timeout", "bool_param", True, "integer from 0"),
    "float timeout": ("timeout", "double_param", 1.0, "integer from 0"),
    "string timeout": ("timeout", "string_param", "1s", "integer from 0"),
    "negative step": ("recur_step", "int64_param", -1, "integer from 0"),
    "step too large": ("recur_step", "uint64_param", 2**63, "integer from 0"),
    "bool step": ("recur_step", "bool_param", True, "integer from 0"),
    "negative priority": ("priority", "int64_param", -1, "integer from 0"),
    "integer incarnation": ("recur_incarnation", "int64_param", 1, "string"),
    "long incarnation": ("recur_incarnation", "string_param", "a" * 257, "256 bytes"),
    "NUL in an incarnation": ("recur_incarnation", "string_param", "a\0b", "NUL"),
    "answers of no steps": ("recur_answer_steps", "int64_param", 0, "integer from 1 to 256"),
    "answers of too many steps": ("recur_answer_steps", "uint64_param", 257, "integer from 1 to 256"),
    "answers of a share of a step": ("recur_answer_steps", "double_param", 0.5, "integer from 1 to 256"),
    "steps of an answer without a generation": ("recur_answer_steps", "int64_param", 16, "needs 'recur_max_steps'"),
} | {name: (name, "int64_param", 1, "not served") for name in ("recur_beam_widths", "recur_whatever")}


@pytest.mark.parametrize(("name", "field", "value", "word"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_a_bad_parameter_is_refused_by_name(name, field, value, word):
    with pytest.raises(InvalidRequest, match=f"'{name}'.*{re.escape(word)}"):
        decode_parameters(parameters(**{name: (field, value)}))


@pytest.mark.parametrize("name", ["sequence_id", "sequence_start", "timeout"])
def test_a_parameter_without_a_value_is_refused_by_name(name):
    request = pb.ModelInferRequest()
    request.parameters[name].SetInParent()
    with pytest.raises(InvalidRequest, match=f"'{name}'"):
        decode_parameters(request)


def test_parameters_of_others_are_let_pass():
    assert decode_parameters(parameters(binary_data=("bool_param", True))) == decode_parameters(pb.ModelInferRequest())


def test_a_step_of_0_is_counted():
    assert decode_parameters(parameters(recur_step=("int64_param", 0))).step == 0


def test_an_empty_incarnation_is_none():
    assert decode_parameters(parameters(recur_incarnation=("string_param", ""))).life == 0


def test_no_request_is_less_urgent_than_the_least_urgent():
    assert decode_parameters(parameters(priority=("uint64_param", 2**62))).priority == LEAST_URGENT

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import TensorSpec
from server.codec.parameters import Parameters, decode_parameters
from server.codec.request import HEADS, LONGEST, OUTLINES, Reader, id_of
from server.codec.tensors import decode_tensors, wanted_outputs
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from tests.server.fakes import manifest, signature
from tests.server.rpc.requests import many, one

PLAIN = signature(manifest())


@st.composite
def singles(draw):
    """Draw a request of many forms, of a few ids, steps and lives, so that outlines come again."""
    given_ = {
        "sequence_id": draw(st.sampled_from([1, 5, 300, 2**40, "5", "a", "abc", "\n\x0brecur_step\x12\x02\x10\x07"])),
        "sequence_start": draw(st.sampled_from([None, True, False])),
        "recur_step": draw(st.sampled_from([None, 0, 1, 127, 128, 2**40])),
        "recur_incarnation": draw(st.sampled_from([None, "", "a", "b", "some-life"])),
    }
    parameters = {name: value for name, value in given_.items() if value is not None}
    steps = draw(st.integers(1, 3))
    request = one(
        [1.5] * steps, id_=draw(st.sampled_from(["", "r7", "\n\x0bsequence_id\x12\x02\x10\x07"])), **parameters
    )
    if draw(st.booleans()):
        request.outputs.add(name="y")
    if draw(st.booleans()):
        request.raw_input_contents[0] = draw(st.binary(min_size=4 * steps, max_size=4 * steps))
    return request


@st.composite
def rows(draw):
    """Draw a request for many sequences."""
    count = draw(st.integers(1, 3))
    ids = draw(st.sampled_from([[1, 2, 3], [300, 2, 1], ["a", "b", "c"], ["abc", "d", ""]]))[:count]
    start = draw(st.sampled_from([None, [True] * count]))
    step = draw(st.sampled_from([None, list(range(count))]))
    lives = draw(st.sampled_from([None, ["x", "", "yz"][:count]]))
    return many(ids, [[1.0]] * count, start=start, step=step, lives=lives)


def same(tensors, expected):
    assert (tensors.rows, tensors.time) == (expected.rows, expected.time)
    for found, wanted in ((tensors.inputs, expected.inputs), (tensors.reserved, expected.reserved)):
        assert found.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(values))
    np.testing.assert_array_equal(tensors.lengths, expected.lengths)


@given(st.lists(singles() | rows(), min_size=1, max_size=12))
def test_what_is_read_is_what_the_parser_reads_whatever_came_before(requests):
    reader = Reader()
    for message in (*requests, *requests):
        read = reader.read(message.SerializeToString())
        assert (read.model_name, read.model_version, read.id) == (message.model_name, message.model_version, message.id)
        assert read.parameters == decode_parameters(message)
        tensors, outputs = read.tensors(PLAIN)
        same(tensors, decode_tensors(message, PLAIN))
        assert outputs == wanted_outputs(message, PLAIN)


@pytest.mark.parametrize("parameters", [{"sequence_id": 5}, {"sequence_id": "a", "recur_step": 3}, {}])
def test_a_request_that_came_before_is_not_parsed_again(parameters, monkeypatch):
    reader = Reader()
    data = one([1, 2], **parameters).SerializeToString()
    expected = reader.read(data).tensors(PLAIN)[0].inputs["x"]
    monkeypatch.setattr("server.codec.request.pb.ModelInferRequest", None)
    request = reader.read(data)
    assert request.parameters == Parameters(
        sequence_id=parameters.get("sequence_id"), step=parameters.get("recur_step", Parameters().step)
    )
    np.testing.assert_array_equal(request.tensors(PLAIN)[0].inputs["x"], expected)


def test_other_values_in_a_known_outline_are_not_parsed_again(monkeypatch):
    reader = Reader()
    reader.read(one([1], id_="r7", sequence_id=5, recur_step=3, recur_incarnation="abc").SerializeToString())
    data = one([2], id_="r8", sequence_id=7, recur_step=4, recur_incarnation="xyz").SerializeToString()
    expected = decode_parameters(pb.ModelInferRequest.FromString(data))
    monkeypatch.setattr("server.codec.request.pb.ModelInferRequest", None)
    assert (reader.read(data).parameters, reader.read(data).id) == (expected, "r8")


GENERATES = {
    "recur_max_steps": 9,
    "recur_answer_steps": 4,
    "recur_temperature": 0.5,
    "recur_top_k": 3,
    "recur_top_p": 0.9,
    "recur_seed": 7,
}
OTHERS = {"sequence_start": True, "priority": 1, "timeout": 10**9, "recur_notices": True}


@pytest.mark.parametrize("given", [GENERATES, OTHERS, {"sequence_end": True}, {"recur_peek": True}])
def test_whatever_else_a_request_asks_it_is_not_parsed_again(given, monkeypatch):
    reader = Reader()
    reader.read(one([1], sequence_id=5, **given).SerializeToString())
    data = one([2], sequence_id=7, **given).SerializeToString()
    expected = decode_parameters(pb.ModelInferRequest.FromString(data))
    monkeypatch.setattr("server.codec.request.pb.ModelInferRequest", None)
    assert reader.read(data).parameters == expected


def test_an_id_that_is_no_text_is_refused_though_its_outline_is_known():
    reader = Reader()
    data = one([1], id_="r7", sequence_id=5).SerializeToString()
    reader.read(data)
    with pytest.raises(InvalidRequest, match="the bytes are not"):
        reader.read(data.replace(b"r7", b"r\xff"))


def test_a_known_outline_is_read_anew_for_another_model():
    reader = Reader()
    data = one([1, 2], sequence_id=5).SerializeToString()
    reader.read(data).tensors(PLAIN)
    other = signature(manifest(inputs=(TensorSpec("x", "INT32", ("time", 1)),)))
    with pytest.raises(InvalidRequest, match="'x' is FP32; INT32"):
        reader.read(data).tensors(other)
    assert reader.read(data).tensors(PLAIN)[0].time == 2


@pytest.mark.parametrize("name", ["sequence_id", "recur_incarnation"])
def test_a_name_that_is_not_allowed_is_refused_though_its_outline_is_known(name):
    reader = Reader()
    for text, wrong in (("abc", False), ("a\0c", True), ("xyz", False)):
        read = reader.read(one([1], **({"sequence_id": 1} | {name: text})).SerializeToString())
        assert (read.wrong is not None) is wrong
        assert read.id == ""


def test_bytes_that_are_no_request_are_refused_and_have_no_id():
    with pytest.raises(InvalidRequest, match=r"not a inference\.ModelInferRequest"):
        Reader().read(b"\xff\xff")
    assert id_of(b"\xff\xff") == ""
    assert id_of(one([1], id_="r7").SerializeToString()) == "r7"


def test_typed_contents_and_raw_ones_that_do_not_end_a_request_are_parsed_every_time():
    reader = Reader()
    typed = pb.ModelInferRequest(model_name="adder")
    typed.inputs.add(name="x", datatype="FP32", shape=[1, 1, 1]).contents.fp32_contents.append(7)
    late = one([7.0]).SerializeToString() + pb.ModelInferRequest(id="r7").SerializeToString()
    for data in (typed.SerializeToString(), late) * 2:
        assert reader.read(data).tensors(PLAIN)[0].inputs["x"].item() == 7
    assert reader.read(late).id == "r7"
    assert not reader.remembered


def test_what_is_remembered_is_bounded():
    reader = Reader()
    for number in range(2 * OUTLINES):
        reader.read(one([1], id_=f"{number:05}", sequence_id=5, model=f"m{number}").SerializeToString())
        assert reader.remembered <= OUTLINES + HEADS
    for number in range(2 * HEADS):
        reader.read(one([1], sequence_id=10_000 + number).SerializeToString())
    assert reader.remembered <= OUTLINES + HEADS


def test_what_is_long_is_not_remembered():
    reader = Reader()
    reader.read(one([1], model="m" * LONGEST).SerializeToString())
    assert not reader.remembered


def test_an_outline_tells_where_its_values_were_cut():
    plain = one([1], id_="\n\x0bsequence_id\x12\x02\x10\x05", timeout=5).SerializeToString()
    without = plain.replace(b'\x12\x02\x10\x05"', b'\x12\x02"', 1)
    alike = plain.replace(b"sequence_id", b"sequence_ix")
    warm = Reader()
    for data in (alike, without):
        try:
            warm.read(data)
        except InvalidRequest:
            continue
    for data in (plain, alike, plain):
        found, expected = warm.read(data), Reader().read(data)
        assert (found.id, found.model_name, found.parameters) == (expected.id, expected.model_name, expected.parameters)


@given(st.data())
def test_bytes_nearly_like_a_request_that_is_known_are_read_as_if_it_were_not(data):
    known = one([1.0], sequence_id=5, recur_step=3, recur_incarnation="life").SerializeToString()
    reader = Reader()
    reader.read(known)
    place = data.draw(st.integers(0, len(known)))
    changed = known[:place] + data.draw(st.binary(max_size=len(known) - place))
    # As long as one that is known, so that its outline is looked for; a name of a parameter may stand anywhere in it.
    changed = (changed + b"\x0a\x0bsequence_id\x12" * 9)[: len(known)]
    assert told(reader, changed) == told(Reader(), changed)


def told(reader, data):
    """What is read of a request, or that it is none."""
    try:
        request = reader.read(data)
    except InvalidRequest as error:
        return error.sentence
    return request.model_name, request.id, request.parameters, str(request.wrong)


def test_a_name_at_the_end_of_what_is_no_message_is_no_parameter():
    known = one([1.0], sequence_id=5).SerializeToString()
    reader = Reader()
    first = reader.read(known).first
    cut_off = (b"x" * first + known[first:])[: len(known)]
    name = b"\x0a\x0bsequence_id\x12"
    with pytest.raises(InvalidRequest):
        reader.read(cut_off[: first - len(name)] + name + cut_off[first:])

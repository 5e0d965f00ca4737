import copy
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ManifestInvalid
from models.manifest import (
    ANSWERED,
    GOLDEN,
    INITIAL,
    RESERVED,
    Decode,
    Graphs,
    Manifest,
    Measured,
    Provenance,
    Quantized,
    StateSpec,
    TensorSpec,
)
from models.tensors import NUMPY

DIGEST = "sha256:" + "0123456789abcdef" * 4
ABSENT = object()

EXAMPLE = json.loads(
    """
{"schema_version": 1, "name": "charlm", "version": 3, "architecture": "lstm", "kind": "step",
 "files": {"model.onnx": "DIGEST", "golden.npz": "DIGEST", "vocabulary.txt": "DIGEST"},
 "graphs": {"main": "model.onnx", "start": null, "step": null, "peek": null},
 "inputs":  [{"name": "x", "dtype": "INT64", "shape": ["time"]}],
 "outputs": [{"name": "y", "dtype": "FP32", "shape": ["time", 103]}],
 "lengths": "lengths",
 "states":  [{"input": "state.h", "output": "next_state.h", "dtype": "FP32", "shape": [256], "batch_axis": 0,
              "initial": "zeros", "length_of": null}],
 "decode": {"output": "y", "input": "x", "sampling": "categorical", "start": 0, "end": null,
            "stop_unit": false, "lengths": []},
 "vocabulary": "vocabulary.txt", "spelled": null, "labels": null, "allow_nonfinite": false, "delay": 2, "refuses": "no",
 "golden_source": "torch", "tolerance": 1e-5,
 "measured": {"metric": "bits_per_character", "value": 1.98, "published": null, "citation": null,
              "parity_error": 2e-7, "batch_invariant": true},
 "quantized": {"of": "charlm-float", "graph": "DIGEST", "to": "int8"},
 "provenance": {"recipe": "charlm", "seed": 0, "data": "DIGEST", "data_licence": "public domain",
                "libraries": {"torch": "2.13.0"}}}
""".replace("DIGEST", DIGEST)
)

REQUIRED = [
    ("name",),
    ("version",),
    ("architecture",),
    ("kind",),
    ("files",),
    ("graphs",),
    ("graphs", "main"),
    ("inputs",),
    ("inputs", 0, "name"),
    ("inputs", 0, "dtype"),
    ("inputs", 0, "shape"),
    ("outputs",),
    ("lengths",),
    ("states",),
    ("states", 0, "input"),
    ("states", 0, "output"),
    ("states", 0, "dtype"),
    ("states", 0, "shape"),
    ("decode", "output"),
    ("decode", "input"),
    ("decode", "sampling"),
    ("quantized", "of"),
    ("quantized", "graph"),
    ("quantized", "to"),
    ("golden_source",),
    ("tolerance",),
]

# What is put where, and the words by which a person finds it.
WRONG = [
    (("schema_version",), 2, "schema_version: Invalid enum value 2"),
    (("name",), "", "name '' must be 1 to 128 letters"),
    (("name",), "../charlm", "name '../charlm' must be"),
    (("name",), "a/b", "name 'a/b' must be"),
    (("name",), ".hidden", "name '.hidden' must be"),
    (("name",), "a" * 129, "must be 1 to 128 letters"),
    (("name",), "charlm\n", "must be 1 to 128 letters"),
    (("name",), "odd - at sea", "name 'odd - at sea' must be"),
    (("version",), 0, "version 0 must be at least 1"),
    (("version",), True, "version: Expected `int`, got `bool`"),
    (("version",), "3", "version: Expected `int`, got `str`"),
    (("kind",), "steps", "kind: Invalid enum value 'steps'"),
    (("files", "model.onnx"), "sha256:0", "files['model.onnx'] must be 'sha256:' and 64 hexadecimal digits"),
    (("files", "model.onnx"), DIGEST.upper(), "files['model.onnx'] must be"),
    (("files", "../secret"), DIGEST, "files names '../secret'"),
    (("files", "/etc/hostname"), DIGEST, "files names '/etc/hostname'"),
    (("files", "deep/model.onnx"), DIGEST, "files names 'deep/model.onnx'"),
    (("files", "manifest.json"), DIGEST, "files names 'manifest.json'"),
    (("files", "golden.npz"), ABSENT, "the golden file is 'golden.npz', which files does not list"),
    (("graphs", "main"), "other.onnx", "graphs.main is 'other.onnx', which files does not list"),
    (("graphs", "start"), "other.onnx", "graphs.start is 'other.onnx', which files does not list"),
    (("graphs", "step"), "other.onnx", "graphs.step is 'other.onnx', which files does not list"),
    (("graphs", "peek"), "other.onnx", "graphs.peek is 'other.onnx', which files does not list"),
    (("vocabulary",), "words.txt", "vocabulary is 'words.txt', which files does not list"),
    (("labels",), "labels.txt", "labels is 'labels.txt', which files does not list"),
    (("inputs",), [], "inputs and outputs must each name at least one tensor"),
    (("outputs",), [], "inputs and outputs must each name at least one tensor"),
    (("inputs", 0, "dtype"), "FLOAT", "inputs[0].dtype: Invalid enum value 'FLOAT'"),
    (("inputs", 0, "shape"), ["time", 0], "inputs[0]: axis 0 of tensor 'x' must be at least 1"),
    (("outputs", 0, "shape"), [-1], "outputs[0]: axis -1 of tensor 'y' must be at least 1"),
    (("outputs", 0, "shape"), ["time", 1.5], "outputs[0].shape[1]: Expected `int | str`, got `float`"),
    (("lengths",), "x", "inputs and states name 'x' twice"),
    (("states", 0, "input"), "x", "inputs and states name 'x' twice"),
    (("states", 0, "output"), "y", "outputs and states name 'y' twice"),
    (("states", 0, "initial"), "ones", "states[0]: initial 'ones' must be 'zeros' or 'initial.npz:KEY'"),
    (("states", 0, "initial"), "initial.npz:", "states[0]: initial 'initial.npz:' must be"),
    (("states", 0, "initial"), "../initial.npz:h", "states[0]: initial '../initial.npz:h' must be"),
    (("states", 0, "initial"), "initial.npz:h", "the file of initial states is 'initial.npz', which files does not"),
    (("states", 0, "batch_axis"), 2, "states[0]: batch_axis 2 must be from 0 to 1"),
    (("states", 0, "batch_axis"), -1, "states[0]: batch_axis -1 must be from 0 to 1"),
    (("decode", "input"), "z", "decode names a tensor that is not among inputs and outputs"),
    (("decode", "output"), "z", "decode names a tensor that is not among inputs and outputs"),
    (("decode", "sampling"), "greedy", "decode.sampling: Invalid enum value 'greedy'"),
    (("decode", "lengths"), [0.5, 0.1], "decode: lengths must be probabilities, which together are 1"),
    (("decode", "lengths"), [-1.0, 2.0], "decode: lengths must be probabilities, which together are 1"),
    (("quantized", "of"), "../charlm", "quantized: name '../charlm' must be"),
    (("quantized", "graph"), "model.onnx", "quantized: graph 'model.onnx' must be 'sha256:' and 64 hexadecimal digits"),
    (("quantized", "to"), "int2", "quantized.to: Invalid enum value 'int2'"),
    (("golden_source",), "jax", "golden_source: Invalid enum value 'jax'"),
    (("tolerance",), 0, "tolerance 0.0 must be above 0"),
    (("tolerance",), -1e-5, "tolerance -1e-05 must be above 0"),
    (("tolerance",), None, "tolerance: Expected `float`, got `null`"),
]


def changed(path, value):
    """Give the example's bytes with one field set, or removed where `value` is ABSENT."""
    manifest = copy.deepcopy(EXAMPLE)
    *parents, last = path
    part = manifest
    for key in parents:
        part = part[key]
    if value is ABSENT:
        del part[last]
    else:
        part[last] = value
    return json.dumps(manifest).encode()


def refusal(data):
    with pytest.raises(ManifestInvalid) as caught:
        Manifest.decode_json(data)
    text = str(caught.value)
    assert text.startswith("manifest: ")
    return text.removeprefix("manifest: ")


def places(part, path=()):
    """Give every path of a JSON document, of objects, lists and values alike."""
    if path:
        yield path
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def is_struct(path):
    """Say whether an object of the example has fixed fields, unlike the two whose keys are data."""
    part = EXAMPLE
    for key in path:
        part = part[key]
    return isinstance(part, dict) and path not in {("files",), ("provenance", "libraries")}


def written(path):
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def test_every_field_of_the_example_is_read():
    manifest = Manifest.decode_json(json.dumps(EXAMPLE).encode())
    assert json.loads(manifest.encode_json()) == EXAMPLE


def test_fields_that_may_be_left_out_are_then_nothing():
    document = {path[0]: EXAMPLE[path[0]] for path in REQUIRED if len(path) == 1}
    manifest = Manifest.decode_json(json.dumps(document).encode())
    assert (manifest.decode, manifest.vocabulary, manifest.labels, manifest.allow_nonfinite) == (None,) * 3 + (False,)
    assert (manifest.measured, manifest.quantized, manifest.provenance) == (Measured(), None, Provenance())


def test_people_can_read_what_is_written():
    text = Manifest.decode_json(json.dumps(EXAMPLE).encode()).encode_json().decode()
    assert text.startswith('{\n  "schema_version": 1,\n  "name": "charlm",\n')
    assert text.endswith("}\n")


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_what_is_wrong_is_named(path, value, words):
    assert words in refusal(changed(path, value))


@pytest.mark.parametrize("path", list(places(EXAMPLE)), ids=written)
def test_a_value_of_another_type_is_named_by_its_place(path):
    place = written(path) if path[:-1] not in {("files",), ("provenance", "libraries")} else written(path[:-1])
    assert refusal(changed(path, [[[]]])).startswith(place)


@pytest.mark.parametrize("path", REQUIRED, ids=written)
def test_a_field_that_is_missing_is_named(path):
    text = refusal(changed(path, ABSENT))
    assert f"missing required field `{path[-1]}`" in text
    assert text.startswith(written(path[:-1]))


@pytest.mark.parametrize("path", [(), *filter(is_struct, places(EXAMPLE))], ids=written)
def test_a_field_that_nobody_knows_is_named(path):
    text = refusal(changed((*path, "unheard_of"), 1))
    assert "unknown field `unheard_of`" in text
    assert text.startswith(written(path))


@pytest.mark.parametrize("name", sorted(ANSWERED))
def test_no_output_may_have_a_name_that_answers_use(name):
    document = copy.deepcopy(EXAMPLE)
    document["decode"] = None
    document["outputs"][0]["name"] = name
    assert f"outputs names '{name}', a name that the protocol reserves" in refusal(json.dumps(document).encode())


@pytest.mark.parametrize("name", sorted(RESERVED | {"lengths"}))
def test_no_input_may_have_a_name_that_requests_use(name):
    document = copy.deepcopy(EXAMPLE)
    document |= {"lengths": None, "decode": None}
    document["inputs"][0]["name"] = name
    assert f"inputs names '{name}', a name that the protocol reserves" in refusal(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff\xfe{", b'{"name": "\xff"}', b"[" * 100_000, b'{"name": 1e999}']
)
def test_bytes_that_are_no_manifest_are_refused(data):
    assert refusal(data)


def test_the_key_of_an_initial_state_is_given():
    assert StateSpec("a", "b", "FP32", (2,), initial="initial.npz:h.0").initial_key == "h.0"
    assert StateSpec("a", "b", "FP32", (2,)).initial_key is None


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
DTYPES = st.sampled_from(sorted(NUMPY))
AXES = st.integers(1, 2**40) | st.sampled_from(["time", "nodes"])
SHAPES = st.lists(AXES, max_size=4).map(tuple)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
DIGESTS = st.text(string.hexdigits.lower()[:16], min_size=64, max_size=64).map("sha256:".__add__)


@st.composite
def manifests(draw):
    tensor_names = draw(
        st.lists(TEXTS.filter(lambda name: name not in RESERVED | {"lengths"}), min_size=5, unique=True)
    )
    x, y, before, after, lengths = tensor_names[:5]
    shape = draw(SHAPES)
    state = StateSpec(
        before,
        after,
        draw(DTYPES),
        shape,
        batch_axis=draw(st.integers(0, len(shape))),
        initial=draw(st.sampled_from(["zeros", f"{INITIAL}:key"])),
        length_of=draw(st.none() | TEXTS),
    )
    files = draw(st.dictionaries(NAMES, DIGESTS, max_size=3)) | {GOLDEN: draw(DIGESTS), INITIAL: draw(DIGESTS)}
    names = st.sampled_from(sorted(files))
    sampling = st.sampled_from(["categorical", "bernoulli", "argmax", "identity"])
    return Manifest(
        name=draw(NAMES),
        version=draw(st.integers(1, 2**40)),
        architecture=draw(TEXTS),
        kind=draw(st.sampled_from(["step", "sequence"])),
        files=files,
        graphs=Graphs(*draw(st.tuples(names, *[st.none() | names] * 3))),
        inputs=(TensorSpec(x, draw(DTYPES), draw(SHAPES)),),
        outputs=(TensorSpec(y, draw(DTYPES), draw(SHAPES)),),
        lengths=draw(st.sampled_from([None, lengths])),
        states=draw(st.sampled_from([(), (state,)])),
        decode=draw(st.none() | st.builds(Decode, st.just(y), st.just(x), sampling, st.none() | st.integers(0, 9))),
        vocabulary=draw(st.none() | names),
        labels=draw(st.none() | names),
        allow_nonfinite=draw(st.booleans()),
        delay=draw(st.integers(0, 9)),
        refuses=draw(st.none() | names),
        golden_source=draw(st.sampled_from(["torch", "onnxruntime"])),
        tolerance=draw(st.floats(1e-12, 1.0)),
        measured=draw(st.builds(Measured, TEXTS, NUMBERS, st.none() | NUMBERS, TEXTS, NUMBERS, st.booleans())),
        quantized=draw(st.none() | st.builds(Quantized, NAMES, DIGESTS, st.just("int8"))),
        provenance=draw(st.builds(Provenance, TEXTS, st.integers(0, 2**32), libraries=st.dictionaries(TEXTS, TEXTS))),
    )


@given(manifests())
def test_what_is_written_is_read_back_the_same(manifest):
    assert Manifest.decode_json(manifest.encode_json()) == manifest


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda values: st.lists(values) | st.dictionaries(st.sampled_from(sorted(EXAMPLE)) | st.text(), values),
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_but_a_refusal_comes_of_what_is_no_manifest(data):
    refusal(data)

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from models.cli import main
from models.loading import load_checked
from tests import zoo, zoo_foreign
from tests.conftest import ROOT

FOREIGN = {
    "layered_lstm": zoo_foreign.layered_lstm(),
    "scaled_sum": zoo_foreign.scaled_sum(),
    "half": zoo_foreign.half(),
    "one_step": zoo_foreign.one_step(),
}
OURS = {"lstm": zoo.lstm(), "ledger": zoo.ledger(), "running_sum": zoo.running_sum(3)}


@pytest.fixture
def importing(repository, capsys, tmp_path):
    """Give a function that imports a graph by the command line: its exit code, stdout and stderr."""

    def run(graph, *options, name="tried"):
        file = tmp_path / "bare.onnx"
        file.write_bytes(graph)
        capsys.readouterr()
        code = main(["import", str(file), "--name", name, "--repository", str(repository.root), *options])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("model", [*FOREIGN.values(), *OURS.values()], ids=[*FOREIGN, *OURS])
def test_a_bare_graph_becomes_a_model_that_checks(importing, repository, capsys, model):
    code, out, err = importing(model.graph)
    assert (code, err) == (0, "")
    place = repository.find("tried")
    manifest = load_checked(repository, place).manifest
    assert (manifest.inputs, manifest.outputs, manifest.states) == (model.inputs, model.outputs, model.states)
    assert (manifest.lengths, manifest.golden_source, manifest.tolerance) == (model.lengths, "onnxruntime", 1e-5)
    assert manifest.measured.batch_invariant
    assert f"published and checked: {place.folder}\ntried 1: onnx, kind step\n" in out
    for state in model.states:
        assert f"state {state.input} -> {state.output}: {state.dtype}" in out
    assert main(["check", "tried", "--repository", str(repository.root)]) == 0
    assert "golden answers within 0 (tolerance 1e-05)" in capsys.readouterr().out


def test_the_golden_rows_have_states_that_sequences_have(importing, repository):
    importing(zoo_foreign.half().graph)
    place = repository.find("tried")
    golden = np.load(place.folder / "golden.npz")
    assert golden["in.past_h"].shape == (8, 2)
    assert golden["in.past_h"].all()
    assert golden["in.x"].shape == (8, 6, 2)


def test_a_second_import_is_the_next_version_with_the_same_golden_answers(importing, repository):
    for _ in range(2):
        importing(zoo_foreign.half().graph)
    first, second = (repository.find("tried", version).folder / "golden.npz" for version in (1, 2))
    assert all((np.load(first)[name] == np.load(second)[name]).all() for name in np.load(first))


def test_an_initial_state_is_stored(importing, repository, tmp_path):
    begin = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.save(tmp_path / "h0.npy", begin)
    code, _, _ = importing(FOREIGN["layered_lstm"].graph, "--initial", f"h0={tmp_path / 'h0.npy'}")
    assert code == 0
    checked = load_checked(repository, repository.find("tried"))
    assert (checked.initial["h0"] == begin).all()
    assert not checked.initial["c0"].any()


def test_pairs_are_the_told_ones(importing, repository):
    code, _, _ = importing(FOREIGN["layered_lstm"].graph, "--state", "h0:cn", "c0:hn", "--batch-axis", "h0=1", "c0=1")
    assert code == 0
    states = repository.read_manifest(repository.find("tried")).states
    assert [(state.input, state.output) for state in states] == [("h0", "cn"), ("c0", "hn")]


def test_of_two_free_axes_the_one_named_as_the_inputs_rows_is_the_batch(importing, repository):
    graph = graph_of("float[rows, 3] x, float[layers, rows, 4] h0", "float[rows, 3] y, float[layers, rows, 4] hn",
                     "y = Neg (x) hn = Neg (h0)")  # fmt: skip
    assert importing(graph, "--shape", "h0=2,4")[0] == 0
    (state,) = repository.read_manifest(repository.find("tried")).states
    assert (state.batch_axis, state.shape) == (1, (2, 4))


def test_an_input_that_must_be_one_number_is_told(importing, repository):
    code, _, _ = importing(FOREIGN["scaled_sum"].graph, "--value", "rate=16000")
    assert code == 0
    golden = np.load(repository.find("tried").folder / "golden.npz")
    assert set(golden["in.rate"]) == {16000}


def test_a_model_that_is_not_batch_invariant_is_measured_as_such(importing, repository):
    graph = zoo.build("""
    centred (float[batch, 2] x, float[batch, 2] h_in) => (float[batch, 2] y, float[batch, 2] h_out)
    {
      rows = Constant <value = int64[1] {0}> ()
      mean = ReduceMean (x, rows)
      y = Sub (x, mean)
      h_out = Add (h_in, y)
    }""")
    code, out, _ = importing(graph)
    assert code == 0
    assert "a row alone answers otherwise than in a batch" in out
    assert not repository.read_manifest(repository.find("tried")).measured.batch_invariant


def test_a_model_whose_chunks_add_in_another_order_is_measured_as_such(importing, repository):
    graph = zoo.build("""
    late (float[batch, time] x, float[batch] h_in) => (float[batch, time] y, float[batch] h_out)
    {
      one = Constant <value = int64[1] {1}> ()
      axis = Constant <value = int64 {1}> ()
      last = Constant <value = int64 {-1}> ()
      sums = CumSum (x, axis)
      before = Unsqueeze (h_in, one)
      y = Add (sums, before)
      h_out = Gather <axis = 1> (y, last)
    }""")
    code, out, _ = importing(graph)
    assert code == 0
    assert "a row alone answers as in a batch" in out
    assert "a sequence in chunks answers otherwise than whole" in out
    assert not repository.read_manifest(repository.find("tried")).measured.batch_invariant


def graph_of(inputs, outputs, body):
    return zoo.build(f"given ({inputs}) => ({outputs}) {{ {body} }}")


WIDE = graph_of("float[batch, a, b] x, float[batch, 2] h_in", "float y, float[batch, 2] h_out",
                "y = ReduceMax <keepdims = 0> (x) h_out = Identity (h_in)")  # fmt: skip
TWO_FREE = graph_of("float[n, 3] x, float[a, b] h_in", "float[n, 3] y, float[a, b] h_out",
                    "y = Neg (x) h_out = Identity (h_in)")  # fmt: skip
ONE_ROW = graph_of("float[1, 3] x, float[1, 3] h_in", "float[1, 3] y, float[1, 3] h_out",
                   "y = Neg (x) h_out = Add (h_in, x)")  # fmt: skip
GROWING = graph_of("float[batch, 3] x, float[batch, 3] h", "float[batch, 3] y, float[batch, 6] h_out",
                   "y = Neg (x) h_out = Concat <axis = 1> (x, h)")  # fmt: skip
BAKED = graph_of("float[batch, 3] x, float[batch, 3] h_in", "float[2, 3] y, float[batch, 3] h_out",
                 "sizes = Constant <value = int64[2] {2, 3}> () y = Reshape (x, sizes) h_out = Neg (h_in)")  # fmt: skip
COUNTED = graph_of("float[batch, 3] x, int32[batch] count, float[batch, 3] h_in", "float[batch, 3] h_out",
                   "h_out = Add (h_in, x)")  # fmt: skip
LAYERED, HALF = FOREIGN["layered_lstm"].graph, FOREIGN["half"].graph
LOOKUP = zoo.lookup(1).graph

UNCLEAR = [
    (b"text", [], "bare.onnx is not a graph that ONNX Runtime can load; weights in a second file"),
    (
        HALF,
        ["--state", "x"],
        "--state x must be INPUT:OUTPUT; the graph reads 'x', 'past_h' and writes 'y', ",
    ),
    (HALF, ["--state", "h:y"], "--state h:y must be INPUT:OUTPUT"),
    (HALF, ["--initial", "x=y.npy"], "--initial names 'x', which is not among 'past_h'"),
    (HALF, ["--initial", "past_h=/nowhere.npy"], "--initial past_h: /nowhere.npy is not a NumPy array's file"),
    (HALF, ["--lengths", "length"], "--lengths names 'length', which is not among 'x', 'past_h'"),
    (HALF, ["--batch-axis", "past_h=2"], "--batch-axis past_h=2 must be from 0 to 1"),
    (HALF, ["--batch-axis", "past_h=1"], "'past_h' has a free axis 'batch' besides batch and time"),
    (HALF, ["--time-axis", "none"], "'x' has a free axis 'time' besides batch and time; give its shape by --shape x="),
    (HALF, ["--shape", "x=time,3"], "correct --batch-axis, --shape, --state or --value ([ONNXRuntimeError]"),
    (LAYERED, ["--state", "h0:hn"], "input 'c0' has 2 rows in the graph"),
    (LAYERED, ["--name", "a/b"], "--name: name 'a/b' must be"),
    (FOREIGN["one_step"].graph, ["--time-axis", "1"], "--time-axis 1 needs an input whose axis 1 is free"),
    (GROWING, [], "no state can be guessed from the names; pair them by --state INPUT:OUTPUT"),
    (GROWING, ["--state", "h:h_out"], "'h_out' has shape (6,) a row and 'h' (3,); pair them by --state"),
    (WIDE, [], "'x' has a free axis 'b' besides batch and time"),
    (WIDE, ["--shape", "x=time,2"], "output 'y' is [] for 3 rows; export it with the batch axis first"),
    (TWO_FREE, [], "state 'h_in' has 2 free axes; give the batch's by --batch-axis h_in=N"),
    (ONE_ROW, [], "input 'x' has 1 rows in the graph; export it with the batch axis first and free"),
    (ONE_ROW, ["--shape", "x=3"], "state 'h_in' is [1, 3] in the graph; export it with the batch axis free"),
    (BAKED, [], "the graph does not run on random rows"),
    (COUNTED, ["--lengths", "count"], "--lengths count must be int64 in the graph, not tensor(int32)"),
    (LAYERED, ["--shape", "h0=4"], "--shape h0 must be the state's 2 sizes but the batch's"),
    (HALF, ["--shape", "past_h=time"], "--shape past_h must be the state's 1 sizes"),
    (LOOKUP, [], "correct --batch-axis, --shape, --state or --value"),
]


@pytest.mark.parametrize(("graph", "options", "words"), UNCLEAR, ids=[words for _, _, words in UNCLEAR])
def test_what_cannot_be_known_is_one_line_that_names_the_option(importing, repository, graph, options, words):
    code, _, err = importing(graph, *options)
    assert code == 1
    assert err.startswith("models: ")
    assert err.count("\n") == 1
    assert words in err
    assert repository.list() == []


def test_a_lookup_is_imported_once_its_values_are_told(importing):
    assert importing(LOOKUP, "--value", "x=0")[0] == 0


@pytest.mark.parametrize(
    "option", [["--state"], ["--batch-axis", "h"], ["--batch-axis", "h=a"], ["--shape", "x=a"], ["--shape", "x=0"]]
)
def test_wrong_use_is_told_by_the_parser(importing, option):
    with pytest.raises(SystemExit, match="2"):
        importing(HALF, *option)


def test_a_file_that_is_not_there_is_told(repository, capsys):
    assert main(["import", "nowhere.onnx", "--name", "a", "--repository", str(repository.root)]) == 1
    assert capsys.readouterr().err == "models: nowhere.onnx cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("state.h", "next_state.h"),
        ("h_in", "h_out"),
        ("h0", "hn"),
        ("lstm_h_0", "lstm_h_n"),
        ("past_x1", "present_x1"),
        ("state", "stateN"),
        ("h", "new_h"),
        ("prev_h", "next_h"),
        ("initial_state", "final_state"),
        ("in_cache", "out_cache"),
        ("input_states", "output_states"),
    ],
)
def test_a_pair_of_names_is_guessed(importing, repository, name, output):
    inputs, outputs = f'float[batch, 3] x, float[batch, 3] "{name}"', f'float[batch, 3] y, float[batch, 3] "{output}"'
    code, _, err = importing(graph_of(inputs, outputs, f'y = Neg (x) "{output}" = Add ("{name}", x)'))
    assert (code, err) == (0, "")
    (state,) = repository.read_manifest(repository.find("tried")).states
    assert (state.input, state.output) == (name, output)


def test_help_has_an_example():
    done = subprocess.run(
        [sys.executable, "-m", "models", "import", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python -m models import speech.onnx --name speech --state h0:hn c0:cn --batch-axis h0=1 c0=1" in done.stdout


def test_the_manifest_names_what_made_the_golden_answers(importing, repository):
    importing(HALF)
    provenance = repository.read_manifest(repository.find("tried")).provenance
    assert msgspec.structs.asdict(provenance)["libraries"].keys() == {"onnxruntime"}

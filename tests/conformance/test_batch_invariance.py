"""Sequences that share a server answer bit for bit as each alone, whatever the chunks, the order and the company."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
import pytest

from demo.serving import Serving, serving
from models.loading import CheckedModel, load_checked
from models.manifest import Manifest
from models.repository import DEFAULT, Repository
from models.tensors import NUMPY, TIME, fixed_shape
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo, zoo_roles
from tests.training.conftest import finish
from tests.wire import ask, ask_many, output, tensor

pytestmark = pytest.mark.e2e

SEQUENCES, STREAMS, MOST_STEPS, LONGEST_CHUNK = 2500, 3, 16, 6
# Of the chunks of a stream, so many in turn are single requests and the others rows of one.
IN_TURN = 40


def symbols(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return random.integers(0, 2**32, shape)


def indices(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return random.integers(0, 4, shape)


def floats(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


# A model of the zoo and what its inputs may be; another joins by a line.
MODELS: dict[str, tuple[zoo.ZooModel, Callable[[np.random.Generator, Sequence[int]], np.ndarray]]] = {
    "lstm": (zoo.lstm(), floats),
    # The manifest lists the states in another order than the graph gives them.
    "lstm_reversed": (replace(zoo.lstm(), states=zoo.lstm().states[::-1]), floats),
    "gru": (zoo.gru(), floats),
    "elman": (zoo.elman(), floats),
    "running_sum": (zoo.running_sum(3, [0.5, -1.0, 2.0]), floats),
    "ledger": (zoo.ledger(), symbols),
    "lookup": (zoo.lookup(), indices),
    # A step graph beside a Scan: which of them runs is for the batch to say.
    "leaky": (zoo_roles.leaky(), floats),
    "memory": (zoo_roles.memory(), floats),
    # A start graph, and a state of another size for every sequence.
    "annotations": (zoo_roles.annotations(), floats),
    "characters": (zoo_roles.characters(), indices),
}
# A model that training made here.
TRAINED = "small"


def is_asked(manifest: Manifest) -> bool:
    """Whether a model promises it, and takes any symbols in any order."""
    takes_any = manifest.kind == "step" and manifest.vocabulary and manifest.inputs[0].shape == (TIME,)
    return bool(manifest.measured.batch_invariant and takes_any and not (manifest.graphs.start or manifest.refuses))


# Those that it has made before.
BUILT = sorted(
    {place.name for place in Repository(DEFAULT).list() if is_asked(Repository(DEFAULT).read_manifest(place))}
)
SOURCE, SOURCE_FEATURES = "source", 5


@dataclass
class Told:
    """One sequence: its inputs, how they are cut, and what was answered."""

    id: int
    xs: np.ndarray
    cuts: list[int]
    source: np.ndarray | None
    answers: dict[int, np.ndarray] = field(default_factory=dict)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Give each chunk's first step and the step after its last."""
        return zip([0, *self.cuts], self.cuts, strict=False)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> tuple[Repository, dict[str, CheckedModel]]:
    repository = Repository(tmp_path_factory.mktemp("invariant"))
    places = {name: zoo.publish(repository, name, model) for name, (model, _) in MODELS.items()}
    text = tmp_path_factory.mktemp("text") / "words.txt"
    text.write_text("a cell keeps what it reads, and a gate lets it go. " * 60)
    made = finish(tmp_path_factory.mktemp("trained"), text, training__updates=20)
    for source in (made.repository.find(TRAINED), *(Repository(DEFAULT).find(name) for name in BUILT)):
        shutil.copytree(source.folder, repository.root / source.name / str(source.version))
        places[source.name] = repository.find(source.name)
    return repository, {name: load_checked(repository, place) for name, place in places.items()}


@pytest.fixture(scope="module")
def server(loaded) -> Iterator[Serving]:
    with serving(loaded[0].root) as running:
        yield running


def drawn(random: np.random.Generator, name: str, model: CheckedModel, shape: Sequence[int]) -> np.ndarray:
    """Draw inputs of a shape: of a trained model any of its symbols."""
    if name in MODELS:
        return MODELS[name][1](random, shape)
    assert model.vocabulary is not None
    return random.integers(0, len(model.vocabulary.splitlines()), shape)


def tell(random: np.random.Generator, name: str, model: CheckedModel, count: int) -> list[Told]:
    """Make sequences and cut each into chunks."""
    shape = fixed_shape(model.manifest.inputs[0].shape[1:])
    told = []
    for number in range(1, count + 1):
        time = int(random.integers(1, MOST_STEPS + 1))
        cuts = np.minimum(np.cumsum(random.integers(1, LONGEST_CHUNK + 1, time)), time)
        source = floats(random, (int(random.integers(1, 8)), SOURCE_FEATURES)) if model.runner.start_inputs else None
        told.append(Told(number, drawn(random, name, model, (time, *shape)), sorted(set(cuts.tolist())), source))
    return told


def alone(model: CheckedModel, one: Told) -> np.ndarray:
    """Answer a whole sequence in a batch of its own."""
    states = {name: row[None] for name, row in model.initial.items()}
    if one.source is not None:
        states |= model.runner.start({SOURCE: one.source[None]})
    outputs, _ = model.runner.run({"x": one.xs[None]}, np.array([len(one.xs)]), states)
    return outputs["y"][0]


Part = tuple[Told, int, int]


def mixed(random: np.random.Generator, told: Sequence[Told]) -> list[list[Part]]:
    """Let the sequences' chunks come in any order, one of a sequence after the other, alone or as rows together."""
    waiting = [(one, list(one.chunks())) for one in told]
    requests: list[list[Part]] = []
    while waiting:
        many = random.random() < 0.5
        picks = random.permutation(len(waiting))[: int(random.integers(2, IN_TURN)) if many else IN_TURN]
        parts = [(waiting[pick][0], *waiting[pick][1].pop(0)) for pick in picks]
        # Sources are of any size, and the rows of one request of one.
        many = many and all(one.source is None or first for one, first, _ in parts)
        requests += [parts] if many else [[part] for part in parts]
        waiting = [(one, chunks) for one, chunks in waiting if chunks]
    return requests


def request(random: np.random.Generator, name: str, model: CheckedModel, parts: Sequence[Part]) -> pb.ModelInferRequest:
    """Write one request; the padding of rows together is what must never be read."""
    if len(parts) == 1:
        [(one, first, stop)] = parts
        message = ask(one.id, one.xs[first:stop], model=name, start=first == 0, end=stop == len(one.xs))
        if one.source is not None and first == 0:
            tensor(message, SOURCE, one.source[None])
        return message
    lengths = np.array([stop - first for _, first, stop in parts])
    shape = fixed_shape(model.manifest.inputs[0].shape[1:])
    together = drawn(random, name, model, (len(parts), int(lengths.max()), *shape))
    for row, (one, first, stop) in enumerate(parts):
        together[row, : stop - first] = one.xs[first:stop]
    starts = np.array([first == 0 for _, first, _ in parts])
    ends = np.array([stop == len(one.xs) for one, _, stop in parts])
    ids = [one.id for one, *_ in parts]
    return ask_many(ids, together, model=name, lengths=lengths, sequence_start=starts, sequence_end=ends)


def talk(server: Serving, random: np.random.Generator, name: str, model: CheckedModel, told: Sequence[Told]) -> None:
    """Send all requests of one stream without waiting."""
    by_name: dict[str, list[Part]] = {}

    def requests() -> Iterator[pb.ModelInferRequest]:
        for number, parts in enumerate(mixed(random, told)):
            by_name[str(number)] = parts
            message = request(random, name, model, parts)
            message.id = str(number)
            yield message

    with grpc.insecure_channel(server.listen) as channel:
        for response in stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer(requests()):
            assert not response.error_message, response.error_message
            answer = response.infer_response
            parts = by_name[answer.id]
            if len(parts) > 1:
                assert not output(answer, "sequence_status").any()
            for row, (one, first, stop) in enumerate(parts):
                one.answers[first] = output(answer)[row, : stop - first]


@pytest.mark.parametrize("name", [*MODELS, TRAINED, *BUILT])
def test_sequences_together_answer_as_each_alone(name, server, loaded, seed):
    random, model = np.random.default_rng(seed), loaded[1][name]
    told = tell(random, name, model, SEQUENCES // len(MODELS))
    streams = [(random.spawn(1)[0], told[first::STREAMS]) for first in range(STREAMS)]
    with ThreadPoolExecutor(STREAMS) as threads:
        for done in [threads.submit(talk, server, own, name, model, part) for own, part in streams]:
            done.result()
    for one in told:
        expected = alone(model, one)
        assert expected.dtype == NUMPY[model.manifest.outputs[0].dtype]
        np.testing.assert_array_equal(np.concatenate([one.answers[first] for first, _ in one.chunks()]), expected)

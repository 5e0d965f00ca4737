"""What Prometheus sees: the names, labels and buckets, and the few calls that fill them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import final

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge

from server import __version__
from server.counts import Count, Counts
from server.errors import RecurError
from server.histogram import Histogram, Series
from server.types import ModelKey

SECONDS = (
    50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6,
    1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
FILLS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STAGES = ("decode", "queue", "gather", "compute", "scatter", "encode")
MODEL = ("model", "version")
CONFLICTS = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS)
HELD = {
    "sequences": "Live sequences",
    "state_bytes": "Bytes of live sequences' states and stored answers",
    "arena_slots": "Slots that have been in use at once, at most",
    "arena_bytes": "Bytes of those slots",
}
UNKNOWN = ModelKey("", 0)


@final
class Metrics:
    """One registry a server. Labels never carry what a client made up."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counts("recur_requests", "Answers by gRPC code", (*MODEL, "code"), registry=registry)
        self._durations = _seconds(
            "recur_request_duration_seconds", "From a request read to its answer", MODEL, registry
        )
        self._stages = _seconds("recur_stage_duration_seconds", "Time in one stage", (*MODEL, "stage"), registry)
        self._steps = Counter("recur_steps", "Time steps done", MODEL, registry=registry)
        self._rows = Histogram("recur_batch_rows", "Rows of a batch", MODEL, buckets=ROWS, registry=registry)
        self._padding = Histogram(
            "recur_padding_ratio", "Share of a batch's steps that is padding", (), buckets=SHARES, registry=registry
        )
        self._fill = Histogram(
            "recur_batch_fill_ratio", "Rows of a batch over the most it may have", (), buckets=FILLS, registry=registry
        )
        self._rejections = Counter(
            "recur_rejections", "Requests refused for want of room", ("reason",), registry=registry
        )
        self._replays = Counter("recur_replays", "Answers given again to a step that came again", registry=registry)
        self._conflicts = Counter(
            "recur_conflicts", "Numbered steps that do not follow the last one", ("reason",), registry=registry
        )
        self._admission = Gauge("recur_admission_open", "1 where new sequences are admitted", registry=registry)
        self._admission.set(1)
        self._queue = Gauge("recur_queue_depth", "Requests that wait", ("model",), registry=registry)
        self._queue_age = Gauge(
            "recur_queue_age_seconds", "How long the oldest request waits", ("model",), registry=registry
        )
        self._held = {name: Gauge(f"recur_{name}", text, MODEL, registry=registry) for name, text in HELD.items()}
        self._expirations = Counter("recur_expirations", "Sequences ended for idleness", MODEL, registry=registry)
        self._ready = Gauge("recur_model_ready", "1 where the version serves, 0 where not", MODEL, registry=registry)
        Gauge("recur_build_info", "Always 1", ("version",), registry=registry).labels(__version__).set(1)
        self._children: dict[ModelKey, ModelMetrics] = {}

    def of(self, key: ModelKey) -> "ModelMetrics":
        """Look up a version's own counters; looked up once, since labels cost more than counting."""
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = self._make(key)
        return found

    def served(self, key: ModelKey, held: Mapping[str, Callable[[], float]], *, ready: bool = True) -> None:
        """Show a version that serves, or retires and is not ready.

        Args:
            key: the version.
            held: what it holds, by the names of HELD; each is called at every scrape.
            ready: whether it takes new sequences.
        """
        labels = _labels(key)
        self._ready.labels(*labels).set(ready)
        for name, value in held.items():
            self._held[name].labels(*labels).set_function(value)
        self.of(key)

    def refused(self, key: ModelKey) -> None:
        """Show a version that does not serve."""
        self._ready.labels(*_labels(key)).set(0)

    def unloaded(self, key: ModelKey) -> None:
        """Show no more of a version: a server sees many, and a series of each would never end."""
        labels = _labels(key)
        for gauge in (self._ready, *self._held.values()):
            # A gauge and its function refer to each other: without this the store stays until a collection.
            gauge.labels(*labels).set_function(_nothing)
            gauge.remove(*labels)
        if self._children.pop(key, None) is None:
            return
        self._steps.remove(*labels)
        with contextlib.suppress(KeyError):
            self._expirations.remove(*labels)
        for metric in (self._requests, self._durations, self._stages, self._rows):
            metric.remove(labels)

    def queue(self, model: str, waiting: Callable[[], float], age: Callable[[], float]) -> None:
        """Show how many of a model's requests wait, and since when the oldest; called at every scrape."""
        self._queue.labels(model).set_function(waiting)
        self._queue_age.labels(model).set_function(age)

    def admission(self, *, admits: bool) -> None:
        """Show whether new sequences are admitted."""
        self._admission.set(admits)

    def expired(self, key: ModelKey, count: int) -> None:
        """Count sequences that were ended for idleness."""
        self._expirations.labels(*_labels(key)).inc(count)

    def sample(self, name: str, key: ModelKey, **labels: str) -> float:
        """Read a series of one version, 0 where nothing was counted yet."""
        model, version = _labels(key)
        return self.registry.get_sample_value(name, {"model": model, "version": version, **labels}) or 0.0

    def _make(self, key: ModelKey) -> "ModelMetrics":
        labels = _labels(key)
        return ModelMetrics(
            requests=lambda code: self._requests.labels(*labels, code),
            durations=self._durations.labels(*labels),
            rejections=self._rejections,
            steps=self._steps.labels(*labels),
            replays=self._replays,
            conflicts=self._conflicts,
            padding=self._padding.labels(),
            fill=self._fill.labels(),
            rows=self._rows.labels(*labels),
            stages={stage: self._stages.labels(*labels, stage) for stage in STAGES},
        )


@final
class ModelMetrics:
    """The counters of one model version that every request or batch moves.

    Attributes:
        decoded, encoded: count seconds that a request or its answer took.
        last_batch: when a batch ran last, in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        requests: Callable[[str], Count],
        durations: Series,
        rejections: Counter,
        steps: Counter,
        replays: Counter,
        conflicts: Counter,
        padding: Series,
        fill: Series,
        rows: Series,
        stages: Mapping[str, Series],
    ) -> None:
        self.last_batch = 0.0
        self._requests_of = requests
        self._requests = {"OK": requests("OK")}
        self.decoded, self.encoded = stages["decode"].observe, stages["encode"].observe
        self._durations = durations
        self._rejections = rejections
        self._steps = steps
        self._replays = replays
        self._conflicts = conflicts
        self._padding = padding
        self._fill = fill
        self._rows = rows
        self._stages = stages

    def answered(self, code: str, seconds: float) -> None:
        """Count an answer: its gRPC code, and the time since its request was read."""
        if code not in self._requests:
            self._requests[code] = self._requests_of(code)
        self._requests[code].value += 1
        self._durations.observe(seconds)

    def failed(self, error: RecurError, seconds: float) -> None:
        """Count an answer that is an error, and whether it was for want of room."""
        self.answered(error.code.name, seconds)
        self.refused_rows([error])

    def refused_rows(self, errors: Iterable[RecurError]) -> None:
        """Count rows that were refused for want of room."""
        for error in errors:
            if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                self._rejections.labels(error.reason).inc()

    def queued(self, seconds: Sequence[float]) -> None:
        """Count how long each request of a batch waited for its turn."""
        self._stages["queue"].observe_all(seconds)

    def judged(self, replays: int, errors: Iterable[RecurError]) -> None:
        """Count rows that were answered without a run: again, or with an error."""
        if replays:
            self._replays.inc(replays)
        for error in errors:
            if error.code in CONFLICTS:
                self._conflicts.labels(error.reason).inc()

    def ran(self, *, rows: int, most: int, time_: int, steps: int, seconds: Mapping[str, float]) -> None:
        """Count a batch of `rows`, of `most` that it may have, by `time_`, of which `steps` were asked for."""
        self._padding.observe(1 - steps / (rows * time_))
        self._fill.observe(rows / most)
        self.last_batch = time.time()
        self._rows.observe(rows)
        self._steps.inc(steps)
        for stage, spent in seconds.items():
            self._stages[stage].observe(spent)


def _nothing() -> float:
    return 0.0


def _labels(key: ModelKey) -> tuple[str, str]:
    return (key.name, str(key.version)) if key.version else ("", "")


def _seconds(name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, labels, buckets=SECONDS, registry=registry)

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server import __version__
from server.errors import NotFinite, SequencesFull
from server.metrics import SECONDS, STAGES, UNKNOWN, Metrics
from server.types import ModelKey

KEY = ModelKey("charlm", 3)
OWN = {"model": "charlm", "version": "3"}


@pytest.fixture
def metrics():
    metrics = Metrics()
    metrics.served(KEY, {"sequences": lambda: 4, "state_bytes": lambda: 400})
    metrics.queue("charlm", lambda: 7, lambda: 0.25)
    return metrics


def exposed(metrics):
    """Every series that Prometheus reads: name, labels, value."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics, name, **labels):
    return exposed(metrics)[name, frozenset(labels.items())]


def test_answers_are_counted_by_code_and_timed(metrics):
    metrics.of(KEY).answered("OK", 0.004)
    metrics.of(KEY).answered("OK", 0.004)
    metrics.of(KEY).answered("NOT_FOUND", 0.5)
    assert value(metrics, "recur_requests_total", **OWN, code="OK") == 2
    assert value(metrics, "recur_requests_total", **OWN, code="NOT_FOUND") == 1
    assert value(metrics, "recur_request_duration_seconds_count", **OWN) == 3
    assert value(metrics, "recur_request_duration_seconds_sum", **OWN) == pytest.approx(0.508)
    assert value(metrics, "recur_request_duration_seconds_bucket", **OWN, le="0.005") == 2


def test_a_batch_is_counted_by_rows_and_steps_and_its_stages(metrics):
    metrics.of(KEY).ran(rows=3, most=12, time_=5, steps=12, seconds={"gather": 0.1, "compute": 0.2, "scatter": 0.3})
    assert value(metrics, "recur_steps_total", **OWN) == 12
    assert value(metrics, "recur_padding_ratio_sum") == pytest.approx(0.2)
    assert value(metrics, "recur_batch_fill_ratio_sum") == pytest.approx(0.25)
    assert value(metrics, "recur_batch_rows_sum", **OWN) == 3
    assert value(metrics, "recur_batch_rows_bucket", **OWN, le="2.0") == 0
    assert value(metrics, "recur_batch_rows_bucket", **OWN, le="4.0") == 1
    for stage, seconds in (("gather", 0.1), ("compute", 0.2), ("scatter", 0.3)):
        assert value(metrics, "recur_stage_duration_seconds_sum", **OWN, stage=stage) == pytest.approx(seconds)
    assert metrics.of(KEY).last_batch > 0


def test_every_stage_has_its_series(metrics):
    of_version = metrics.of(KEY)
    of_version.decoded(0.5)
    of_version.encoded(0.5)
    of_version.queued([0.5])
    of_version.ran(rows=1, most=1, time_=1, steps=1, seconds={"gather": 0.5, "compute": 0.5, "scatter": 0.5})
    for stage in STAGES:
        assert value(metrics, "recur_stage_duration_seconds_count", **OWN, stage=stage) == 1


def test_each_request_of_a_batch_waited_its_own_time(metrics):
    metrics.of(KEY).queued([0.25, 0.5])
    assert value(metrics, "recur_stage_duration_seconds_count", **OWN, stage="queue") == 2
    assert value(metrics, "recur_stage_duration_seconds_sum", **OWN, stage="queue") == 0.75


def test_what_is_there_now_is_asked_at_every_scrape(metrics):
    assert value(metrics, "recur_sequences", **OWN) == 4
    assert value(metrics, "recur_state_bytes", **OWN) == 400
    assert value(metrics, "recur_queue_depth", model="charlm") == 7
    assert value(metrics, "recur_build_info", version=__version__) == 1


def test_a_version_is_ready_or_refused(metrics):
    assert value(metrics, "recur_model_ready", **OWN) == 1
    metrics.refused(ModelKey("charlm", 4))
    assert value(metrics, "recur_model_ready", model="charlm", version="4") == 0


def test_sequences_that_expired_are_counted(metrics):
    metrics.expired(KEY, 1)
    assert value(metrics, "recur_expirations_total", **OWN) == 1


def test_requests_for_no_model_carry_no_name_of_the_clients(metrics):
    metrics.of(UNKNOWN).answered("NOT_FOUND", 0.1)
    assert value(metrics, "recur_requests_total", model="", version="", code="NOT_FOUND") == 1


def test_a_series_can_be_read_and_is_0_before_it_is_counted(metrics):
    assert metrics.sample("recur_requests_total", KEY, code="INTERNAL") == 0
    metrics.of(KEY).answered("INTERNAL", 0.1)
    assert metrics.sample("recur_requests_total", KEY, code="INTERNAL") == 1
    assert metrics.sample("recur_request_duration_seconds_count", KEY) == 1


def test_buckets_are_seconds_from_50_microseconds_to_10():
    assert (SECONDS[0], SECONDS[-1]) == (50e-6, 10.0)
    assert list(SECONDS) == sorted(SECONDS)


def test_only_refusals_for_want_of_room_are_rejections(metrics):
    metrics.of(KEY).failed(SequencesFull("no room"), 0.1)
    metrics.of(KEY).failed(NotFinite("not finite"), 0.1)
    assert value(metrics, "recur_rejections_total", reason="SEQUENCES_FULL") == 1
    assert ("recur_rejections_total", frozenset({("reason", "NOT_FINITE")})) not in exposed(metrics)
    assert value(metrics, "recur_requests_total", **OWN, code="RESOURCE_EXHAUSTED") == 1
    assert value(metrics, "recur_requests_total", **OWN, code="INVALID_ARGUMENT") == 1


def test_a_version_that_retires_is_not_ready_and_one_that_is_unloaded_is_shown_no_more(metrics):
    metrics.served(KEY, {"sequences": lambda: 4, "state_bytes": lambda: 400}, ready=False)
    assert value(metrics, "recur_model_ready", **OWN) == 0
    assert metrics.sample("recur_sequences", KEY) == 4
    metrics.unloaded(KEY)
    metrics.unloaded(KEY)
    for name in ("recur_model_ready", "recur_sequences", "recur_state_bytes"):
        assert (name, frozenset(OWN.items())) not in exposed(metrics)


def test_nothing_is_left_of_versions_that_came_and_went():
    metrics = Metrics()
    before = len(generate_latest(metrics.registry))
    for version in range(1, 20):
        key = ModelKey("charlm", version)
        metrics.served(key, {"sequences": lambda: 4})
        metrics.of(key).answered("OK", 0.1)
        metrics.of(key).answered("NOT_FOUND", 0.1)
        metrics.of(key).ran(rows=2, most=4, time_=1, steps=2, seconds={"compute": 0.1})
        metrics.expired(key, 1)
        metrics.unloaded(key)
        metrics.unloaded(key)
    assert 'model="charlm"' not in generate_latest(metrics.registry).decode()
    assert len(generate_latest(metrics.registry)) < before + 4096

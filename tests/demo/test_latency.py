import http.server
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import start_http_server

from demo.latency import percentiles, quantile
from server.metrics import SECONDS, Metrics
from server.types import ModelKey

INFINITE = float("inf")


def test_a_share_is_found_within_its_bucket():
    buckets = [(1.0, 0.0), (2.0, 50.0), (4.0, 100.0), (INFINITE, 100.0)]
    assert quantile(buckets, 0.5) == 2.0
    assert quantile(buckets, 0.75) == 3.0
    assert quantile(buckets, 0.25) == 1.5


def test_what_lies_beyond_the_last_bound_is_given_as_that_bound():
    assert quantile([(1.0, 1.0), (INFINITE, 100.0)], 0.99) == 1.0


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_share_is_never_faster(counts: list[int], one: float, other: float):
    cumulative = [float(sum(counts[: i + 1])) for i in range(len(counts))]
    buckets = [*zip(map(float, range(1, len(counts) + 1)), cumulative, strict=True), (INFINITE, cumulative[-1])]
    low, high = sorted((one, other))
    assert quantile(buckets, low) <= quantile(buckets, high)


@pytest.fixture
def exposed() -> Iterator[str]:
    metrics = Metrics()
    counters = metrics.of(ModelKey("m", 1))
    for _ in range(100):
        counters.answered("OK", SECONDS[4])
    metrics.of(ModelKey("other", 1)).answered("OK", 9.0)
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    assert isinstance(server, http.server.HTTPServer)
    assert isinstance(thread, threading.Thread)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_percentiles_are_of_one_models_answers(exposed: str):
    found = percentiles(exposed, "m")
    assert list(found) == [50, 95, 99]
    assert all(SECONDS[3] < seconds <= SECONDS[4] for seconds in found.values())

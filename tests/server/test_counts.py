from prometheus_client import CollectorRegistry, generate_latest

from server.counts import Counts


def test_each_series_counts_for_itself():
    registry = CollectorRegistry()
    counts = Counts("answers", "Answers", ("model", "code"), registry=registry)
    counts.labels("m", "OK").value += 2
    counts.labels("m", "OK").value += 1
    counts.labels("n", "OK").value += 1
    assert registry.get_sample_value("answers_total", {"model": "m", "code": "OK"}) == 3
    assert registry.get_sample_value("answers_total", {"model": "n", "code": "OK"}) == 1
    assert b"# TYPE answers_total counter" in generate_latest(registry)


def test_series_go_by_their_first_labels():
    registry = CollectorRegistry()
    counts = Counts("answers", "Answers", ("model", "code"), registry=registry)
    for labels in (("m", "OK"), ("m", "INTERNAL"), ("n", "OK")):
        counts.labels(*labels).value += 1
    counts.remove(["m"])
    counts.remove(["m"])
    assert b'model="m"' not in generate_latest(registry)
    assert registry.get_sample_value("answers_total", {"model": "n", "code": "OK"}) == 1

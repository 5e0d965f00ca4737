"""Percentiles out of a Prometheus histogram, as Prometheus itself computes them."""

import urllib.request
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

HISTOGRAM = "recur_request_duration_seconds"
SHARES = (50, 95, 99)


def percentiles(metrics: str, model: str) -> dict[int, float]:
    """Read seconds at each share of the model's answers from the server at `metrics`, HOST:PORT."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for family in families
        for sample in family.samples
        if sample.name == f"{HISTOGRAM}_bucket" and sample.labels["model"] == model
    ]
    return {share: quantile(buckets, share / 100) for share in SHARES}


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """Interpolate within the bucket that holds the share; `buckets` are upper bounds and cumulative counts."""
    wanted = share * buckets[-1][1]
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= wanted and count > below:
            return lower if upper == float("inf") else lower + (upper - lower) * (wanted - below) / (count - below)
        lower, below = upper, count
    return lower

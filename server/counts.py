"""A Prometheus counter that is cheap to move: it is the event loop's alone, so that it needs no lock.

prometheus_client's own cost as much as all the rest that was counted of a request.
"""

from collections.abc import Iterable, Sequence
from typing import final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override


@final
class Count:
    """One labelled series."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


@final
class Counts(Collector):
    """A metric with its series by labels, registered like prometheus_client's own."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._counts: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """Find or make the series of these label values."""
        return self._counts.setdefault(values, Count())

    def remove(self, labels: Sequence[str]) -> None:
        """Show no more of the series whose first labels are these."""
        for found in [found for found in self._counts if found[: len(labels)] == tuple(labels)]:
            del self._counts[found]

    @override
    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in list(self._counts.items()):
            family.add_metric(labels, count.value)
        yield family

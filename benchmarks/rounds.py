"""Rounds: what is compared is measured in turn, so that what disturbs the machine disturbs all alike."""

from collections.abc import Callable, Mapping

ROUNDS = 5


def in_turn(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Take every measurement once a round; gives its values by name."""
    values: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, take in measurements.items():
            values[name].append(take())
    return values

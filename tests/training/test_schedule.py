import pytest

from training.checkpoint import Progress
from training.recipe import TrainingSettings
from training.schedule import SCHEDULES, learning_rate


def rate(schedule: str, progress: Progress) -> float:
    settings = TrainingSettings(
        updates=100,
        batch=1,
        learning_rate=0.5,
        clip=1.0,
        schedule=schedule,
        halve_after=2,  # type: ignore[arg-type]
    )
    return learning_rate(settings, progress)


def after(*validations: float) -> Progress:
    return Progress(update=10 * len(validations), history=[(0, 0.0, value) for value in validations])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_begins_at_the_rate_that_is_set(schedule):
    assert rate(schedule, Progress()) == 0.5


def test_linear_and_cosine_fall_to_zero_over_the_budget():
    for schedule in ("linear", "cosine"):
        assert rate(schedule, Progress(update=50)) == pytest.approx(0.25)
        assert rate(schedule, Progress(update=100)) == pytest.approx(0.0)
    assert rate("cosine", Progress(update=25)) > rate("linear", Progress(update=25))


def test_constant_stays():
    assert rate("constant", Progress(update=99)) == 0.5


def test_plateau_halves_after_so_many_validations_without_a_gain():
    assert rate("plateau", after(3.0, 2.0, 2.1)) == 0.5
    assert rate("plateau", after(3.0, 2.0, 2.1, 2.2)) == 0.25
    assert rate("plateau", after(3.0, 2.0, 2.1, 2.2, 2.3)) == 0.25
    assert rate("plateau", after(3.0, 2.0, 2.1, 2.2, 2.3, 2.4)) == 0.125
    assert rate("plateau", after(3.0, 2.0, 2.1, 1.9, 2.0)) == 0.5

"""A diagnosis as text: a line for each measure, in words."""

import math

from training.diagnosis.band import Band
from training.diagnosis.echo import Echo
from training.diagnosis.flow import Flow
from training.diagnosis.measure import Diagnosis
from training.diagnosis.spectrum import Spectrum


def table(found: Diagnosis) -> str:
    """Write all that was found."""
    when = "as trained" if found.trained else "as training begins"
    head = (
        f"{found.recipe} ({found.architecture}), {when}: {found.sequences} sequences of the validation part, "
        f"{found.reach} steps back, a state of {found.state} numbers, seed {found.extent.seed}\n"
    )
    return head + "".join(f"  {name:<34} {value}\n" for name, value in lines(found))


def lines(found: Diagnosis) -> list[tuple[str, str]]:
    """Give what each measure is, and what it says."""
    said = [
        ("spectral radius of ds_t+1/ds_t", radius(found.spectrum)),
        (f"norm of ds_t/ds_t-k to k = {found.flow.distances[-1]}", flow_in_words(found.flow)),
        ("gradient dL_T/ds_t, last to first", gradient_in_words(found)),
        ("echo-state test", echo_in_words(found.echo)),
        ("memory capacity", capacity_in_words(found)),
    ]
    for name, gate in found.gates.items():
        said.append((f"gate {name}", f"{gate.shut:.0%} below 0.1, {gate.open:.0%} above 0.9"))
    return said if found.gates else [*said, ("gates", "it names none")]


def radius(found: Spectrum) -> str:
    """Say the radius, and how it was found where not all eigenvalues were."""
    how = "" if found.whole else ", by the largest eigenvalues alone"
    return f"{spread(found.radius)} over {found.places} steps{how}"


def flow_in_words(found: Flow) -> str:
    """Say what becomes of the past."""
    how = "" if found.whole else "; by the power method, at most the norm"
    return f"{found.norms[-1].median:.2g}: {found.word}, x {found.rate:.3f} a step, {half_life(found)}{how}"


def half_life(found: Flow) -> str:
    """Say in how many steps it halves or doubles."""
    if math.isinf(found.half_life):
        return "neither halves nor doubles"
    return f"{'halves' if found.rate < 1 else 'doubles'} in {found.half_life:.3g} steps"


def gradient_in_words(found: Diagnosis) -> str:
    """Say what is left of the gradient."""
    norms = found.gradient.norms
    return f"{norms[0].median:.2g} to {norms[-1].median:.2g} after {len(norms) - 1} steps, x {found.gradient.left:.2g}"


def echo_in_words(found: Echo) -> str:
    """Say whether two states become one."""
    if found.gone_after is not None:
        return f"passed: two states are one after {found.gone_after} steps"
    return (
        f"not passed: after {len(found.distances) - 1} steps {found.distances[-1].median:.2g} of the distance is left"
    )


def capacity_in_words(found: Diagnosis) -> str:
    """Say how much the state remembers of random inputs."""
    if found.capacity is None:
        return "left out: random inputs drive the state to no number"
    return f"{found.capacity.total:.3g} of at most {found.capacity.most}"


def spread(one: Band) -> str:
    """Write a median with its quartiles."""
    return f"{one.median:.3f} ({one.low:.3f} to {one.high:.3f})"

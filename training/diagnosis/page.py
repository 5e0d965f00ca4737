"""docs/long_term_dependencies.md: what the chapter claims of long-term dependencies, beside what was measured."""

from collections.abc import Mapping

from training.diagnosis.comparison import PICTURE, Pair
from training.diagnosis.measure import Diagnosis
from training.diagnosis.table import half_life, spread

COMMAND = "python -m training diagnose --compare --page docs/long_term_dependencies.md"
HEAD = f"""# Long-term dependencies

Seven cells on one task, the adding problem: of two marked numbers among fifty the sum is asked at the end, the first of
them 25 to 50 steps before. Always answering 1 has the squared error 0.167. All have 64 hidden units, 1,600 updates of
100 rows and seed 0; the learning rate of each is in the first table, and none was searched for. The echo state network
learns its readout alone, by gradients: its ridge solver needs a target for each step, and here there is one at the end.
The NTM has a feed-forward controller and 16 slots of 8 numbers: what it remembers is in its memory and in where its
heads are.

```sh
{COMMAND}
```

trains what is not trained yet, measures, and writes this page; the pictures are `runs/{PICTURE}`, all
cells side by side, and `diagnosis.png` and `initial_diagnosis.png` in each run's folder. `python -m training diagnose
--help` says what each measure is.
"""
LEARNT = "| cell | learning rate | squared error | gates after training |\n" + "|---" * 4 + "|\n"
LEGEND = """
Radius: of the recurrent Jacobian ds_{t+1}/ds_t, the median over steps with its quartiles. Past: the median norm of
ds_t/ds_{t-k} at the furthest k, and what becomes of it. Gradient: how much of the norm of dL_T/ds_t at the last step
is left at the first. Echo: steps after which two states are one under the same input. Capacity: of random inputs
like the task's own.
"""


def page(found: Mapping[str, Pair]) -> str:
    """Write the page."""
    reached = "".join(
        f"| {label} | {pair.learning_rate:g} | {pair.reached:.2g} | {_saturated(pair.after)} |\n"
        for label, pair in found.items()
    )
    before = {label: pair.before for label, pair in found.items()}
    after = {label: pair.after for label, pair in found.items()}
    parts = [
        HEAD,
        f"\n## What each learnt\n\n{LEARNT}{reached}",
        f"\n## Before training\n\n{_measures(before)}",
        f"\n## After training\n\n{_measures(after)}",
        LEGEND,
        f"\n## What the chapter says, and what is seen\n\n{''.join(_claims(found))}",
    ]
    return "".join(parts)


def _measures(found: Mapping[str, Diagnosis]) -> str:
    head = "| cell | state | radius | past | a step | half-life | gradient | echo | capacity |\n" + "|---" * 9 + "|\n"
    return head + "".join(f"| {label} | {' | '.join(_cells(one))} |\n" for label, one in found.items())


def _cells(found: Diagnosis) -> list[str]:
    gone, flow = found.echo.gone_after, found.flow
    return [
        str(found.state),
        spread(found.spectrum.radius),
        f"{flow.norms[-1].median:.2g}, {flow.word}",
        f"x {flow.rate:.3f}",
        half_life(flow),
        f"x {found.gradient.left:.2g}",
        f"not passed, {found.echo.distances[-1].median:.2g} is left" if gone is None else f"{gone} steps",
        "no number" if found.capacity is None else f"{found.capacity.total:.3g} of {found.capacity.most}",
    ]


def _saturated(found: Diagnosis) -> str:
    said = [f"{name}: {gate.shut:.0%} shut, {gate.open:.0%} open" for name, gate in found.gates.items()]
    return "; ".join(said) or "none"


def _claims(found: Mapping[str, Pair]) -> list[str]:
    """Say each claim, and what the measures have to say of it, in their own words."""
    rnn, irnn, lstm, gru, leaky, esn, ntm = (
        found[label] for label in ("RNN", "IRNN", "LSTM", "GRU", "leaky", "echo state", "NTM")
    )
    return [
        _claim(
            "10.7, through many steps gradients mostly vanish and seldom explode, as eigenvalues to the power k do",
            f"in the plain network the past {_past(rnn)}. At the furthest k lambda to the power k is "
            f"{_line(rnn.before)}, then {_line(rnn.after)}, and the norm {_norm(rnn.before)}, then {_norm(rnn.after)}",
            rnn,
        ),
        _claim(
            "10.7, a recurrence that begins with eigenvalues of 1 keeps its gradient (the identity of the IRNN)",
            f"the past {_past(irnn)}, with a radius of {_radius(irnn)}",
            irnn,
        ),
        _claim(
            "10.8, a reservoir near the edge of stability remembers, and forgets how it began",
            f"the echo-state test is {_echo(esn)}, with a radius of {_radius(esn)}, as nothing in it is trained. The "
            f"past {esn.after.flow.word}, {half_life(esn.after.flow)}",
            esn,
        ),
        _claim(
            "10.9.2, a leaky unit whose alpha is near 1 remembers for about 1 / (1 - alpha) steps",
            f"with alpha 0.9, ten steps, the past {half_life(leaky.before.flow)} before training (0.9 alone halves in "
            f"6.58) and {half_life(leaky.after.flow)} after",
            leaky,
        ),
        _claim(
            "10.10.1, the LSTM has paths through time whose derivatives neither vanish nor explode",
            f"its past {_past(lstm)}; of the last gradient {_left(lstm)} arrives at the first step",
            lstm,
        ),
        _claim(
            "10.10.2, so have other gated networks",
            f"the GRU's past {_past(gru)}; of the last gradient {_left(gru)} arrives at the first step",
            gru,
        ),
        _claim(
            "10.12, a memory that is addressed keeps what was written until it is written over",
            f"the past {_past(ntm)}, with a radius of {_radius(ntm)}; the echo-state test is {_echo(ntm)}. Most of "
            f"the growth is the first step's, out of a memory that is all but zero, by whose length content addressing "
            f"divides: the norm is {_nearer(ntm.before)} before training and {_nearer(ntm.after)} after",
            ntm,
        ),
    ]


def _claim(said: str, seen: str, pair: Pair) -> str:
    return f"- **{said}.** Seen: {seen}. Its squared error is {pair.reached:.2g}.\n"


def _past(pair: Pair) -> str:
    before, after = pair.before.flow.word, pair.after.flow.word
    return f"{before} before training and {'still' if before == after else after} after it"


def _left(pair: Pair) -> str:
    return f"x {pair.before.gradient.left:.2g} before training, x {pair.after.gradient.left:.2g} after it,"


def _radius(pair: Pair) -> str:
    before, after = pair.before.spectrum.radius.median, pair.after.spectrum.radius.median
    return f"{before:.3f} before training and {after:.3f} after"


def _line(found: Diagnosis) -> str:
    return f"{found.spectrum.radius.median ** found.flow.distances[-1]:.1g}"


def _norm(found: Diagnosis) -> str:
    return f"{found.flow.norms[-1].median:.1g}"


def _nearer(found: Diagnosis) -> str:
    """Give the norm at the furthest k but one, which stops short of the first step."""
    return f"{found.flow.norms[-2].median:.2g} at k = {found.flow.distances[-2]}"


def _echo(pair: Pair) -> str:
    before, after = (("passed" if one.echo.converges else "not passed") for one in (pair.before, pair.after))
    return before if before == after else f"{before} before training and {after} after"

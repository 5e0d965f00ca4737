"""Breaks the server on purpose, one way at a time, and shows that a test turns red.

`python -m tests.faults.mutants` prints each mutant and its test, and exits with how many no test noticed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from demo.serving import ROOT

FOLDERS = ("server", "models", "demo", "tests", "training", "client")
GREEN, RED = 0, 1
SECONDS = 120
INVARIANCE = "tests/conformance/test_batch_invariance.py::test_sequences_together_answer_as_each_alone"
TRANSPORT = "tests/server/rpc/test_transport.py::"
STEPS = "tests/faults/test_steps.py::"


class Mutant(NamedTuple):
    """A change to one file, and the test that must notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "the rows of a batch are mispaired",
        "server/runtime.py",
        "        outputs, next_states = self._compute(batch, states)\n",
        "        outputs, next_states = self._compute(batch, states)\n"
        "        next_states = States({name: state[::-1] for name, state in next_states.fixed.items()})\n",
        f"{INVARIANCE}[ledger]",
    ),
    Mutant(
        "a sequence has no line: its chunks run side by side",
        "server/scheduler.py",
        "if lines.busy.isdisjoint(chunk.ids):",
        "if True:",
        "tests/server/test_scheduler.py::test_one_chunk_of_a_sequence_is_in_flight_and_the_others_follow_in_order",
    ),
    Mutant(
        "lengths are ignored",
        "server/runtime.py",
        "run(batch.inputs, batch.lengths, states.fixed)",
        "run(batch.inputs, np.full_like(batch.lengths, batch.lengths.max()), states.fixed)",
        f"{INVARIANCE}[ledger]",
    ),
    Mutant(
        "states are paired by position",
        "models/graph.py",
        "self._session.run(names, feeds, self._options)",
        "self._session.run(None, feeds, self._options)",
        f"{INVARIANCE}[lstm_reversed]",
    ),
    Mutant(
        "a step that comes again is not remembered",
        "server/exactly_once.py",
        "        if asked.digest == live.digest:\n            return Verdict.REPLAY\n",
        "",
        f"{STEPS}test_the_same_step_ten_times_at_once_is_one_commit_and_ten_equal_answers",
    ),
    Mutant(
        "the digest of a step that comes again is not compared",
        "server/exactly_once.py",
        "        if asked.digest == live.digest:\n            return Verdict.REPLAY\n",
        "        return Verdict.REPLAY\n",
        f"{STEPS}test_a_step_that_does_not_follow_is_refused_and_the_state_is_unmoved",
    ),
    Mutant(
        "the answer leaves before the commit",
        "server/runtime.py",
        "            self._store.commit(batch, outputs, next_states, kept)\n",
        "            late = (batch, outputs, next_states, kept)\n"
        "            __import__('threading').Timer(0.02, self._store.commit, late).start()\n",
        f"{STEPS}test_a_start_after_the_end_is_a_new_life_and_the_end_again_is_its_answer",
    ),
    Mutant(
        "the position is not checked",
        "server/judge.py",
        "goes_on &= ~turn.numbered | (turn.steps == before)",
        "pass",
        f"{STEPS}test_a_step_that_does_not_follow_is_refused_and_the_state_is_unmoved",
    ),
    Mutant(
        "what is not finite is kept",
        "server/runtime.py",
        "    return np.flatnonzero(keeps if finite is None else keeps & finite)\n",
        "    return np.flatnonzero(keeps)\n",
        "tests/faults/test_messages.py::test_what_is_not_finite_is_never_kept_and_fails_alone",
    ),
    Mutant(
        "an unknown sequence is answered from the initial state",
        "server/exactly_once.py",
        "    if asked.start:\n        return Verdict.CREATE\n",
        "    if True:\n        return Verdict.CREATE\n",
        f"{STEPS}test_an_unknown_id_is_never_answered_from_zeros",
    ),
    Mutant(
        "the slot of a sequence that ended is never given back",
        "server/stores/memory.py",
        "        self._free.extend(slots)\n",
        "",
        "tests/faults/test_leaks.py::test_sequences_that_have_ended_leave_no_memory",
    ),
    Mutant(
        "a generation draws anew when it comes again",
        "server/generation.py",
        "_mixed(draws.seeds)[:, None]",
        "_mixed(np.random.randint(0, 2**62, len(draws.seeds), np.int64).astype(np.uint64))[:, None]",
        "tests/e2e/test_generation.py::test_a_stream_of_any_client_gets_one_answer_a_step_and_the_last_again",
    ),
    Mutant(
        "rows of a cohort that end are told another row's answer",
        "server/rpc/cohort.py",
        "drawn, positions = chunk.cut_out(goes), drawn.rows(goes), positions[goes]",
        "drawn, positions = chunk.cut_out(goes), drawn.rows(goes[::-1]), positions[goes]",
        "tests/server/rpc/test_cohort.py",
    ),
    Mutant(
        "what a generation has not been told yet is lost when it ends",
        "server/rpc/cohort.py",
        "        if part is not None:\n            part.settle()\n        self._generations[seat]",
        "        self._generations[seat]",
        "tests/server/rpc/test_cohort.py",
    ),
    Mutant(
        "annotations are padded, and how many there are is not known",
        "server/padding.py",
        "array[(*before, slice(max(0, int(count))))].copy()",
        "array.copy()",
        "tests/server/test_padding.py",
    ),
    Mutant(
        "over the native transport a call whose client has gone stays in the queue",
        "server/rpc/native.py",
        "self._service.cancel(self._forget(call))",
        "self._forget(call)",
        f"{TRANSPORT}test_a_call_that_is_cancelled_or_past_its_deadline_leaves_the_queue",
    ),
    Mutant(
        "over the native transport errors have no details",
        "server/rpc/native.py",
        "result.code.value[0], text, metadata)",
        "result.code.value[0], text)",
        f"{TRANSPORT}test_an_error_is_the_calls_status_with_its_id_its_reason_and_where_the_sequence_stands",
    ),
    Mutant(
        "the native transport is closed before its last answers are written",
        "server/rpc/native.py",
        "        await asyncio.sleep(min(grace, WRITTEN_SECONDS))\n",
        "",
        f"{TRANSPORT}test_calls_that_wait_are_answered_before_the_transport_has_stopped",
    ),
    Mutant(
        "the native transport takes messages of any size",
        "server/rpc/native.py",
        "if len(data) > LARGEST_MESSAGE:",
        "if False:",
        f"{TRANSPORT}test_a_message_and_an_answer_that_are_too_large_are_refused_in_grpcs_words",
    ),
    Mutant(
        "grpc.aio serves where the native transport was asked for",
        "server/rpc/transport.py",
        'NATIVE: "server.rpc.native"}',
        'NATIVE: "server.rpc.grpcio"}',
        "tests/faults/test_native.py::test_a_flood_of_pings_is_put_up_with",
    ),
)


def run(root: Path, *tests: str) -> int:
    """Run tests in a copy of the project; returns pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=SECONDS, check=False, env=apart())
    if done.returncode not in (GREEN, RED):
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode


def apart() -> dict[str, str]:
    """The environment, where the copy's modules are found and no others of their names."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}


def copy(root: Path) -> None:
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)


def tried(root: Path, mutant: Mutant) -> bool:
    """Whether the test turns red; the copy is as before afterwards."""
    path = root / mutant.file
    source = path.read_text()
    if source.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file} has not once what mutant '{mutant.name}' changes:\n{mutant.old}")
    path.write_text(source.replace(mutant.old, mutant.new))
    try:
        return run(root, mutant.test) == RED
    finally:
        path.write_text(source)


def main() -> int:
    """Try every mutant; returns how many no test noticed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy(root)
        if run(root, *sorted({mutant.test for mutant in MUTANTS})) != GREEN:
            raise SystemExit("the tests are not green before anything is broken")
        survivors = [mutant for mutant in MUTANTS if not told(mutant, tried(root, mutant))]
    return len(survivors)


def told(mutant: Mutant, red: bool) -> bool:
    sys.stdout.write(f"{'red ' if red else 'GREEN'} {mutant.name}: {mutant.test.rpartition('/')[2]}\n")
    sys.stdout.flush()
    return red


if __name__ == "__main__":
    sys.exit(main())

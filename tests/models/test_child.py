import os
import signal
import subprocess
import sys

from tests.conftest import ROOT


def run(program):
    """Run `in_child` on a command, in a process of its own: this one has ONNX Runtime's threads."""
    text = f"import os, signal, sys\nfrom models.child import in_child\n{program}\nsys.exit(in_child(command))"
    return subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_exit_code_and_what_is_printed_are_the_commands():
    done = run("def command(): print('out'); print('err', file=sys.stderr); return 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_wrong_use_exits_as_the_parser_says():
    assert run("def command(): sys.exit(2)").returncode == 2


def test_a_command_ended_by_a_signal_is_a_sentence():
    done = run("def command(): os.kill(os.getpid(), signal.SIGSEGV)")
    assert done.returncode == 1
    assert done.stderr == (
        "models: the graph ends ONNX Runtime's process ('Segmentation fault'); "
        "export it with other operators or datatypes\n"
    )


def test_an_interrupted_command_exits_with_130_and_no_traceback():
    # Many short pauses: a signal that comes right before a long one would wait for its end.
    program = "def command(): print('ready', flush=True); return len([time.sleep(0.02) for _ in range(1500)])"
    text = f"import sys, time\nfrom models.child import in_child\n{program}\nsys.exit(in_child(command))"
    started = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        os.killpg(started.pid, signal.SIGINT)
        _, err = started.communicate(timeout=30)
    assert (started.returncode, err) == (130, "")

import io

from rich.console import Console
from rich.progress import Progress as Bar

from training import progress
from training.progress import Lines, OnTerminal, Silent, reporter


def test_without_a_terminal_there_is_a_line_at_each_validation(capsys):
    with reporter(200, 0, unit="bits/char", shown=True) as shown:
        assert isinstance(shown, Lines)
        shown.updated(100, 3.0)
        assert capsys.readouterr().out == ""
        shown.validated(100, 3.21, 3.456)
    line = capsys.readouterr().out
    assert line.startswith("update 100/200  train 3.210  validation 3.456 bits/char  ")
    assert "updates/s" in line
    assert line.endswith(" s left\n")


def test_the_rate_of_a_resumed_run_counts_from_where_it_resumed(capsys, monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    Lines(200, 100, "nats").validated(120, 1.0, 1.0)
    assert "10.0 updates/s  8 s left" in capsys.readouterr().out


def test_on_a_terminal_there_is_a_bar_with_loss_speed_and_time_left(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=140)
    monkeypatch.setattr(progress, "Console", lambda: console)
    with reporter(200, 50, unit="bits/char", shown=True) as shown:
        assert isinstance(shown, OnTerminal)
        for update in (60, 100, 150):
            shown.updated(update, 3.0)
        shown.validated(150, 3.0, 3.456)
    shown_text = screen.getvalue()
    for part in ("150/200", "3.000 bits/char", "validation 3.456", "updates/s", "0:00:0"):
        assert part in shown_text, part


def test_a_process_that_is_not_the_first_shows_nothing(capfd):
    with reporter(200, 0, unit="bits/char", shown=False) as shown:
        assert isinstance(shown, Silent)
        shown.updated(100, 3.0)
        shown.validated(100, 3.0, 3.0)
    assert capfd.readouterr() == ("", "")


def test_a_bar_begins_where_the_run_does():
    bar = Bar()
    OnTerminal(bar, 200, 50, "nats")
    assert (bar.tasks[0].completed, bar.tasks[0].total) == (50, 200)

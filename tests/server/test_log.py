import logging
import re

import pytest

from server.log import EventFormatter, log_to_stderr


@pytest.fixture(autouse=True)
def root():
    """Give the root logger back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = handlers, level


def line(message, **fields):
    record = logging.getLogger("tried").makeRecord("tried", logging.WARNING, "", 0, message, (), None, extra=fields)
    return EventFormatter().format(record)


def test_an_event_is_a_time_a_level_a_message_and_its_fields():
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d WARNING model refused model=charlm version=3",
        line("model refused", model="charlm", version=3),
    )


@pytest.mark.parametrize(("value", "written"), [("two words", "'two words'"), ("", "''"), ("a\nINFO", r"'a\nINFO'")])
def test_a_value_that_would_not_read_back_is_quoted(value, written):
    assert line("event", reason=value).endswith(f"event reason={written}")


def test_a_cause_follows_its_event():
    record = logging.makeLogRecord({"msg": "run failed", "exc_info": (ValueError, ValueError("the cause"), None)})
    first, *_, last = EventFormatter().format(record).splitlines()
    assert first.endswith("run failed")
    assert last == "ValueError: the cause"


def test_events_below_the_level_are_left_out(capsys):
    log_to_stderr("warning")
    logging.getLogger("tried").info("quiet")
    logging.getLogger("tried").warning("loud", extra={"model": "m"})
    out, err = capsys.readouterr()
    assert out == ""
    assert [written.partition(" ")[2] for written in err.splitlines()] == ["WARNING loud model=m"]

"""The examples, each run against the fake server."""

import asyncio
import re
from pathlib import Path

import pytest

from examples import many, sensor, write
from tests.conftest import ROOT


def test_the_sensor_is_stepped_ten_times(fake, capsys):
    sensor.main(fake.address, "adder")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [str(step) for step in range(1, 11)]
    assert fake.live == []


def test_64_sequences_are_stepped_in_ten_requests_and_ended_in_one(fake, capsys):
    many.main(fake.address, "adder")
    printed = capsys.readouterr().out.splitlines()
    assert [line.endswith(" all answered") for line in printed] == [True] * 10
    assert [request["rows"] for request in fake.requests] == [[64]] * 11
    assert fake.live == []


def test_text_is_printed_as_it_is_generated(fake, capsys):
    asyncio.run(write.main(fake.address, "adder", "ab"))
    assert len(capsys.readouterr().out.strip()) == 200
    assert fake.live == []


@pytest.mark.parametrize("example", [many, sensor, write])
def test_an_example_has_20_lines_at_most(example):
    assert len(Path(example.__file__).read_text().splitlines()) <= 20


def test_the_program_in_the_readme_runs(fake, capsys):
    (program,) = re.findall(r"```python\n(from client.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(program.replace("127.0.0.1:8001", fake.address), "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("(1, 3) 3\n")
    assert fake.live == []

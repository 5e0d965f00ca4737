from collections import Counter
from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.own.parting import in_parts, part_of, rule
from training.data.own.runs import BETWEEN, Run
from training.data.own.settings import TableData
from training.data.series import PARTS


def settings(**more: object) -> TableData:
    return TableData(path="a.csv", inputs=("a",), **more)


def test_the_seed_draws_eight_tenths_one_and_one_whatever_else_is_in_the_file():
    data = settings(sequence=("id",), seed=3)
    counts = Counter(part_of(str(i), data) for i in range(10_000))
    assert abs(counts["train"] - 8000) < 200
    assert abs(counts["validation"] - 1000) < 150
    assert part_of("17", data) == part_of("17", settings(sequence=("other",), seed=3))
    assert [part_of(str(i), settings(sequence=("id",), seed=4)) for i in range(50)] != [
        part_of(str(i), data) for i in range(50)
    ]


def test_a_column_says_the_part():
    assert part_of(f"a{BETWEEN}validation", settings(sequence=("id",), split="part")) == "validation"
    assert part_of("test", settings(split="part")) == "test"


@given(lengths=st.lists(st.integers(1, 30), min_size=1))
def test_a_single_sequence_is_cut_in_order_wherever_its_runs_end(lengths):
    total = sum(lengths)
    values = np.arange(total, dtype=np.float32)[:, None]
    ends = np.cumsum([0, *lengths])
    runs = [Run("", values[a:b], values[a:b]) for a, b in pairwise(ends)]
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    for part, run in in_parts(runs, settings(), total):
        found[part] += run.inputs[:, 0].tolist()
    assert list(chain(*found.values())) == list(range(total))
    assert (len(found["train"]), len(found["train"]) + len(found["validation"])) == (total * 8 // 10, total * 9 // 10)


def test_the_rule_is_told():
    assert rule(settings(split="part")) == "as the column 'part' says"
    assert rule(settings(sequence=("id",), seed=5)) == "whole sequences, drawn by seed 5"
    assert rule(settings()) == "in order: 8 tenths, 1 tenth, 1 tenth"

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import TensorSpec
from server.digest import digests, life_of
from server.signature import Signature
from tests.server.fakes import chunk, manifest, signature

SPECS = signature(manifest())
TWO = Signature((TensorSpec("x", "FP32", ("time", 1)), TensorSpec("mark", "INT8", (2,))), ())
ROW = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4)
ROWS = st.lists(st.tuples(ROW, st.booleans(), st.booleans()), min_size=1, max_size=5)


def digest_of(row, *, start=False, end=False, **fields):
    [found] = digests(chunk(row, start=start, end=end, **fields), SPECS)
    return found


@given(ROWS)
def test_a_row_among_others_has_the_digest_that_it_has_alone(rows):
    xs, starts, ends = zip(*rows, strict=True)
    together = digests(chunk(*xs, start=starts, end=ends), SPECS)
    assert together == [digest_of(row, start=start, end=end) for row, start, end in rows]


@given(ROWS, st.data())
def test_a_row_cut_out_has_the_digest_that_it_had(rows, data):
    whole = chunk(*[row for row, _, _ in rows], start=[start for _, start, _ in rows])
    cut = data.draw(st.lists(st.sampled_from(range(len(rows))), min_size=1, unique=True))
    expected = digests(whole, SPECS)
    assert digests(whole.cut_out(np.array(cut)), SPECS) == [expected[row] for row in cut]


def test_what_stands_after_a_rows_length_does_not_count():
    padded, other = chunk([1], [1, 2]), chunk([1], [3, 4])
    assert digests(padded, SPECS)[0] == digests(other, SPECS)[0] == digest_of([1])


@pytest.mark.parametrize(
    "other",
    [
        digest_of([1, 3]),
        digest_of([1]),
        digest_of([1, 2, 0]),
        digest_of([0, 1, 2]),
        digest_of([1, 2], start=True),
        digest_of([1, 2], end=True),
        digest_of([1, 2], start=True, end=True),
        digest_of([-1, 2]),
    ],
)
def test_inputs_length_start_and_end_all_count(other):
    assert digest_of([1, 2]) != other


@given(st.lists(st.tuples(ROW, st.booleans(), st.booleans()), min_size=2, max_size=20, unique_by=repr))
def test_different_rows_have_different_digests(rows):
    by_bytes = {(np.array(row, np.float32).tobytes(), start, end) for row, start, end in rows}
    assert len({digest_of(row, start=start, end=end) for row, start, end in rows}) == len(by_bytes)


def test_what_does_not_change_the_step_does_not_count():
    plain = digest_of([1, 2])
    for fields in (
        {"priority": 3},
        {"deadline": 5.0},
        {"step": 7},
        {"incarnation": "a"},
        {"ids": ["s"]},
        {"client": 9},
    ):
        assert digest_of([1, 2], **fields) == plain


def test_every_input_counts_whether_or_not_it_has_a_time_axis():
    def of(x, mark):
        arrays = {"mark": np.array([mark], np.int8), "x": np.array([x], np.float32)[..., None]}
        return digests(chunk(x, inputs=arrays), TWO)

    assert of([1, 2], [3, 4]) == of([1, 2], [3, 4])
    assert of([1, 2], [3, 4]) != of([1, 2], [3, 5])
    assert of([1, 2], [3, 4]) != of([1, 3], [3, 4])


def test_an_incarnation_is_one_number_however_it_is_sent():
    assert life_of("é") == life_of("é".encode())
    assert life_of("a") != life_of("b")
    assert (life_of(""), life_of(b"")) == (0, 0)
    assert life_of("a") != 0

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.device_array import DeviceArray, joined, on_host
from models.tensors import NUMPY

MIB = 2**20
DTYPES = pytest.mark.parametrize("dtype", NUMPY.values(), ids=NUMPY.keys())


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def numbers(*shape, dtype=np.float32):
    return (np.arange(np.prod(shape, dtype=int)) % 100).reshape(shape).astype(dtype)


def places(*rows):
    return np.array(rows, np.intp)


@DTYPES
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
def test_rows_are_taken_and_written_as_numpy_does(dtype, shape):
    array = numbers(*shape, dtype=dtype)
    there = DeviceArray.of(array, "cpu")
    assert (there.shape, there.dtype, len(there), there.size) == (shape, dtype, 5, array.size)
    np.testing.assert_array_equal(there.numpy(), array)
    np.testing.assert_array_equal(there[places(4, 0, 4)].numpy(), array[[4, 0, 4]])
    np.testing.assert_array_equal(there[1:4].numpy(), array[1:4])
    there[places(1, 3)] = array[[0, 2]]
    there[places(0)] = DeviceArray.of(array[[4]], "cpu")
    array[[1, 3]] = array[[0, 2]]
    array[0] = array[4]
    np.testing.assert_array_equal(there.numpy(), array)


@given(st.data())
def test_rows_that_are_put_come_from_their_row_and_the_others_stay(data):
    rows = data.draw(st.lists(st.integers(0, 6), max_size=8))
    to = data.draw(st.permutations(range(8)))[: len(rows)]
    source, target = numbers(7, 2), -numbers(8, 2)
    there = DeviceArray.of(target, "cpu")
    there.put(np.array(to, np.intp), DeviceArray.of(source, "cpu"), np.array(rows, np.intp))
    target[to] = source[rows]
    np.testing.assert_array_equal(there.numpy(), target)


def test_what_was_taken_is_a_copy():
    there = DeviceArray.of(numbers(3, 2), "cpu")
    taken = there[places(0, 1)]
    there[places(0)] = numbers(1, 2) + 50
    np.testing.assert_array_equal(taken.numpy(), numbers(2, 2))


def test_rows_are_written_in_place_and_nothing_else_of_the_array_is_touched():
    there = DeviceArray.empty((1024, MIB // 4), np.dtype(np.float32), "cpu")
    address, before = there.value.data_ptr(), resident_bytes()
    there[places(3, 1000)] = numbers(2, MIB // 4)
    assert there.value.data_ptr() == address
    assert resident_bytes() - before < 64 * MIB, "a copy of the array would take a GiB"
    np.testing.assert_array_equal(there[places(1000, 3)].numpy(), numbers(2, MIB // 4)[::-1])


def test_more_than_there_is_room_for_is_a_memory_error():
    with pytest.raises(MemoryError):
        DeviceArray.empty((2**50, 4), np.dtype(np.float32), "cpu")


@pytest.mark.parametrize(("source", "destination"), [(0, 2), (2, 0), (0, 1), (1, 1)])
def test_axes_move_as_numpy_moves_them(source, destination):
    array = numbers(2, 3, 4)
    moved = DeviceArray.of(array, "cpu").moveaxis(source, destination)
    np.testing.assert_array_equal(moved.numpy(), np.moveaxis(array, source, destination))


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_row_is_finite_unless_one_of_its_numbers_is_not(dtype, shape):
    array = np.full(shape, np.finfo(dtype).max, dtype)
    array.reshape(4, -1)[1, -1] = np.nan
    array.reshape(4, -1)[2, 0] = -np.inf
    assert DeviceArray.of(array, "cpu").finite_rows().tolist() == [True, False, False, True]


def test_numbers_of_opposite_infinities_do_not_cancel():
    array = np.array([[np.inf, -np.inf], [1, -1]], np.float32)
    assert DeviceArray.of(array, "cpu").finite_rows().tolist() == [False, True]


@pytest.mark.parametrize("dtype", [np.bool_, np.int64])
def test_what_is_no_float_is_finite(dtype):
    assert DeviceArray.of(numbers(2, 3, dtype=dtype), "cpu").finite_rows().tolist() == [True, True]


def test_an_array_of_the_host_is_itself_on_the_host():
    array = numbers(2)
    assert on_host(array) is array
    np.testing.assert_array_equal(on_host(DeviceArray.of(array, "cpu")), array)


@pytest.mark.parametrize("there", [np.asarray, lambda array: DeviceArray.of(array, "cpu")], ids=["host", "device"])
def test_parts_are_joined_in_the_order_of_their_rows(there):
    parts = [there(numbers(2, 3)), there(-numbers(3, 3))]
    whole = on_host(joined(parts, [places(4, 1), places(0, 3, 2)]))
    np.testing.assert_array_equal(whole[[4, 1]], numbers(2, 3))
    np.testing.assert_array_equal(whole[[0, 3, 2]], -numbers(3, 3))
    with pytest.raises(ValueError, match=r"shape|match"):
        joined([there(numbers(2, 3)), there(numbers(2, 4))], [places(0, 1), places(2, 3)])

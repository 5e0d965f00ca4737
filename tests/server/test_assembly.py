import numpy as np

from server.assembly import assemble
from server.turn import Turn
from tests.server.fakes import chunk, manifest, signature

ADDER = signature(manifest())


def turn(*chunks, slots):
    made = Turn(chunks, np.array(slots, np.intp))
    made.fresh = made.start.copy()
    return made


def test_a_batch_has_the_rows_of_its_chunks_in_order_padded_with_zeros():
    chunks = [chunk([1, 2], [3], ids="ab", start=True), chunk([5, 6, 7], ids="c")]
    made = assemble(ADDER, turn(*chunks, slots=[4, 2, 0]), np.arange(3))
    assert made.slots.tolist() == [4, 2, 0]
    assert made.fresh.tolist() == [True, True, False]
    assert made.lengths.tolist() == [2, 1, 3]
    assert made.inputs["x"].shape == (3, 3, 1)
    assert made.inputs["x"][:, 2, 0].tolist() == [0, 0, 7]


def test_a_batch_of_some_rows_has_those_alone():
    chunks = [chunk([1, 2], [3], ids="ab", step=[0, -1], start=True), chunk([5, 6, 7], ids="c", step=9)]
    whole = turn(*chunks, slots=[4, 2, 0])
    whole.positions = np.array([2, 1, 12])
    whole.digests, whole.lives = np.array([7, 0, 8], np.uint64), np.array([0, 5, 6], np.uint64)
    made = assemble(ADDER, whole, np.array([0, 2]))
    assert made.inputs["x"][..., 0].tolist() == [[1, 2, 0], [5, 6, 7]]
    assert (made.slots.tolist(), made.fresh.tolist(), made.lengths.tolist()) == ([4, 0], [True, False], [2, 3])
    assert (made.numbered.tolist(), made.positions.tolist()) == ([True, True], [2, 12])
    assert (made.digests.tolist(), made.lives.tolist()) == ([7, 8], [0, 6])


def test_an_input_that_is_longer_than_its_rows_is_cut_to_them():
    asked = chunk([1, 2, 3], [4], ids="ab")
    short = asked.cut_out(np.array([1]))
    made = assemble(ADDER, turn(short, chunk([5, 6], ids="c"), slots=[0, 1]), np.arange(2))
    assert made.inputs["x"].shape == (2, 2, 1)
    alone = assemble(ADDER, turn(short, slots=[0]), np.arange(1))
    assert alone.inputs["x"].tolist() == [[[4]]]

from itertools import chain

import numpy as np
import pytest
import torch

from training.batches import Bucketed, Processes, Stretches, collate
from training.data.series import Series
from training.errors import WrongUse


def numbers(length: int, *, at_end: bool = False) -> Series:
    inputs = np.arange(2 * length, dtype=np.float32).reshape(length, 2) + 100 * length
    return Series(inputs, np.array(length) if at_end else inputs[:, :1])


def many(count: int = 57) -> list[Series]:
    lengths = np.random.default_rng(0).integers(1, 30, count)
    return [numbers(int(length) + 30 * place, at_end=True) for place, length in enumerate(lengths % 7)]


def test_sequences_are_padded_with_zeros_to_the_longest():
    batch = collate([numbers(2), numbers(5)])
    assert batch.x.shape == (2, 5, 2)
    assert batch.lengths.tolist() == [2, 5]
    assert batch.valid().sum(1).tolist() == [2, 5]
    assert not batch.x[0, 2:].any()
    assert batch.targets.shape == (2, 5, 1)


def test_steps_of_which_nothing_is_asked_are_no_more_valid_than_padding():
    series = numbers(5)
    series.targets[[0, 3]] = np.nan
    batch = collate([numbers(2), series])
    assert batch.valid().tolist() == [[True, True, False, False, False], [False, True, True, False, True]]
    assert (numbers(2).asked, series.asked, numbers(4, at_end=True).asked) == (2, 3, 4)


def test_one_target_of_a_sequence_has_no_axis_of_time():
    assert collate([numbers(2, at_end=True), numbers(5, at_end=True)]).targets.tolist() == [2, 5]


def test_stretches_read_every_row_from_its_beginning_to_its_end():
    source = Stretches(numbers(25), batch=2, steps=4, processes=Processes())
    batches = [source.batch(update) for update in range(4)]
    assert [batch.begins for batch in batches] == [True, False, False, True]
    rows = torch.cat([batch.x for batch in batches[:3]], 1)
    whole = torch.from_numpy(numbers(25).inputs)
    assert torch.equal(rows, torch.stack([whole[:12], whole[12:24]]))
    assert torch.equal(batches[3].x, batches[0].x)


def test_a_series_too_short_for_one_stretch_is_refused_with_what_to_change():
    with pytest.raises(WrongUse, match=r"25 steps to train on, too few for 5 rows of 6; .*--set training.batch"):
        Stretches(numbers(25), batch=5, steps=6, processes=Processes())


def drawn(source: Bucketed, updates: range) -> list[list[int]]:
    return [source.batch(update).targets.tolist() for update in updates]


def test_every_epoch_reads_each_sequence_once_in_another_order():
    series = many(60)
    source = Bucketed(series, batch=6, seed=3, processes=Processes())
    epochs = [drawn(source, range(first, first + 10)) for first in (0, 10)]
    for epoch in epochs:
        assert sorted(chain(*epoch)) == sorted(int(one.targets) for one in series)
    assert epochs[0] != epochs[1]


def test_a_batch_depends_on_the_seed_and_the_update_alone():
    series, jumped = many(), Bucketed(many(), batch=6, seed=3, processes=Processes())
    assert (
        drawn(jumped, range(20, 25)) == drawn(Bucketed(series, batch=6, seed=3, processes=Processes()), range(25))[20:]
    )
    assert drawn(jumped, range(5)) != drawn(Bucketed(series, batch=6, seed=4, processes=Processes()), range(5))


def test_sequences_of_a_batch_are_of_about_one_length():
    series = [numbers(int(length), at_end=True) for length in np.random.default_rng(1).integers(1, 200, 400)]
    source = Bucketed(series, batch=10, seed=0, processes=Processes())
    spread = np.mean([np.ptp(source.batch(update).lengths.numpy()) for update in range(40)])
    assert spread < 20


def test_processes_share_a_batch_and_say_how_much_of_it_is_theirs():
    series = many()
    whole = Bucketed(series, batch=6, seed=3, processes=Processes())
    shares = [Bucketed(series, batch=6, seed=3, processes=Processes(rank, 2)) for rank in (0, 1)]
    for update in range(12):
        parts = [share.batch(update) for share in shares]
        assert sorted(chain(*(part.targets.tolist() for part in parts))) == sorted(whole.batch(update).targets.tolist())
        assert sum(part.share[0] for part in parts) == pytest.approx(2)


def test_fewer_sequences_than_rows_are_one_batch():
    assert Bucketed(many(4), batch=10, seed=0, processes=Processes()).batch(5).x.shape[0] == 4
    with pytest.raises(WrongUse, match="there are 5 sequences, which 2 processes cannot share"):
        Bucketed(many(5), batch=10, seed=0, processes=Processes(0, 2))


def test_processes_share_a_batch_by_the_steps_that_are_asked():
    series = [numbers(2), numbers(4), numbers(3), numbers(8)]
    series[3].targets[:7] = np.nan
    parts = [Bucketed(series, batch=4, seed=3, processes=Processes(rank, 2)).batch(0) for rank in (0, 1)]
    asked = [int(part.valid().sum()) for part in parts]
    assert sum(asked) == 10
    assert [part.share[0] for part in parts] == [2 * mine / 10 for mine in asked]


def test_rows_that_processes_cannot_share_are_refused():
    with pytest.raises(WrongUse, match=r"training.batch is 5, which 2 processes cannot share"):
        Stretches(numbers(100), batch=5, steps=2, processes=Processes(0, 2))

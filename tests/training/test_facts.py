from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from training.architectures import build_cell
from training.architectures.attention import LOWEST
from training.architectures.gru import GRU
from training.architectures.memory_network import MemoryNetwork
from training.batches import Batch, collate
from training.data.series import Series
from training.errors import WrongUse
from training.facts import FactsLoss, check_facts, missed
from training.learning import Learned, way_to_learn
from training.model import AsTheyAre, SequenceModel
from training.recipe import read_recipe
from training.tasks.classify import Classify

SYMBOLS, WORDS, SIZE, SLOTS = 9, 4, 5, 6
STEPS = 30


def model(**options: object) -> SequenceModel:
    torch.manual_seed(0)
    cell = build_cell("memory_network", WORDS, SIZE, {"symbols": SYMBOLS, "slots": SLOTS, "hops": 2, **options})
    return SequenceModel(embedding=AsTheyAre(SYMBOLS, WORDS), cell=cell, outputs=SYMBOLS, dropout=0.0, readout=False)


def story(length: int, *facts: int) -> Series:
    random = np.random.default_rng(length)
    sentences = random.integers(1, SYMBOLS, (length, WORDS))
    return Series(sentences, np.array(length % SYMBOLS), facts=np.array(facts, np.int64))


def learned(given: SequenceModel, batch: Batch, weight: float, loss: FactsLoss = "softmax") -> Learned:
    settings = msgspec.structs.replace(read_recipe("babi_1").training, facts=weight, facts_loss=loss)
    torch.manual_seed(1)
    return way_to_learn(settings, given, Classify(), processes=1)(given, batch, given.begin(len(batch.x)), 0.0)


def shares(given: SequenceModel, one: Series) -> list[Tensor]:
    """What each hop reads of the story's sentences for its question."""
    cell, x = given.cell, torch.from_numpy(one.inputs)[None]
    assert isinstance(cell, MemoryNetwork)
    _, state = cell.scan(x[:, :-1], cell.init_state(1))
    return [share[0, SLOTS + 1 - len(one.inputs) :] for share in cell.looks(x[:, -1], state)]


def test_facts_are_padded_with_none():
    assert collate([story(5, 2, 0), story(4, 1), story(6)]).facts.tolist() == [[2, 0], [1, -1], [-1, -1]]
    assert collate([story(5, 1), replace(story(4), facts=None)]).facts is None


def test_what_is_missed_is_what_hops_leave_of_their_facts_each_of_its_own():
    given, one, other = model().eval(), story(5, 2, 0), story(6, 4)
    batch = collate([one, other])
    found = learned(given, batch, 1.0)
    first, second = shares(given, one)
    wanted = -(first[2].log() + second[0].log() + shares(given, other)[0][4].log()) / 2
    torch.testing.assert_close(found.objective - found.loss, wanted)
    torch.testing.assert_close(learned(given, batch, 0.5).objective - found.loss, wanted / 2)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_loss_is_the_answers_alone_to_the_bit_and_without_weight_all_that_is_learnt(weight):
    given, batch = model(noise=0.3).train(), collate([story(5, 2, 0), story(6, 4)])
    torch.manual_seed(1)
    answers, state = given(batch.x, given.begin(2), batch.lengths)
    last = answers[torch.arange(2), batch.lengths - 1]
    found = learned(given, batch, weight)
    assert torch.equal(found.loss, Classify().losses(last, batch.targets).mean())
    assert torch.equal(found.objective, found.loss) is (weight == 0)
    assert all(torch.equal(found.state[name], tensor) for name, tensor in state.items())


def margins(*rows: list[float], facts: list[int]) -> tuple[Tensor, Tensor]:
    """What is missed of a hop whose last step scores the sentences so, and the gradient of those scores."""
    scores = torch.full((len(rows), len(rows[0]), len(rows[0])), 7.0, dtype=torch.float64)
    scores[:, -1] = torch.tensor(rows, dtype=torch.float64)
    scores.requires_grad_()
    lengths = torch.full((len(rows),), len(rows[0]))
    found = missed([scores], torch.tensor(facts)[:, None], lengths, loss="margin")
    (gradient,) = torch.autograd.grad(found, scores)
    assert (gradient[:, :-1] == 0).all()
    return found.detach(), gradient[:, -1]


def test_margins_are_summed_over_all_other_sentences_as_by_hand():
    # Above the fact's 0.5 by 0.25, below it by 0.04, below by more than 0.1: 0.1 + 0.25, 0.1 - 0.04, nothing.
    found, gradient = margins([0.75, 0.5, 0.46, 0.3], facts=[1])
    assert found.item() == pytest.approx(0.35 + 0.06)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -2.0, 1.0, 0.0]], dtype=torch.float64))
    both, gradient = margins([0.75, 0.5, 0.46, 0.3], [0.0, 0.02, 0.5, -3.0], facts=[1, 0])
    assert both.item() == pytest.approx((0.41 + 0.12 + 0.6) / 2)
    torch.testing.assert_close(gradient[1], torch.tensor([-1.0, 0.5, 0.5, 0.0], dtype=torch.float64))


def test_nothing_follows_where_every_margin_is_kept_nor_from_what_is_not_there():
    for others in ([0.39, -4.0], [LOWEST, LOWEST]):
        found, gradient = margins([others[0], 0.5, others[1]], facts=[1])
        assert found == 0
        assert (gradient == 0).all()
    found, gradient = margins([0.45, 0.5, LOWEST], [1.0, LOWEST, 2.0], [1.0, 2.0, 3.0], facts=[1, 1, -1])
    assert found.item() == pytest.approx(0.05 / 3)
    assert (gradient[1:] == 0).all()


@pytest.mark.parametrize("loss", ["softmax", "margin"])
def test_facts_are_told_by_the_loss_that_is_chosen(loss):
    given, batch = model().eval(), collate([story(5, 2, 0), story(6, 4)])
    found = learned(given, batch, 0.5, loss)
    _, _, scores = check_facts(given.cell).scored_scan(batch.x, given.begin(2), batch.lengths)
    torch.testing.assert_close(found.objective - found.loss, missed(scores, batch.facts, batch.lengths, loss=loss) / 2)


@pytest.mark.parametrize("loss", ["softmax", "margin"])
@pytest.mark.parametrize("hop", [0, 1])
def test_a_hop_that_is_told_its_fact_comes_to_read_it(hop, loss):
    given, one = model(), story(5, 3, 1)
    batch, fact = collate([one]), one.facts[hop]
    alone = batch._replace(facts=torch.where(torch.arange(2) == hop, batch.facts, -1))
    before = shares(given, one)[hop][fact].item()
    optimizer = torch.optim.SGD(given.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        found = learned(given, alone, 1.0, loss)
        (found.objective - found.loss).backward()
        optimizer.step()
    after = [share.detach() for share in shares(given, one)]
    assert after[hop].argmax() == fact
    assert after[hop][fact] > before + 0.1


@pytest.mark.parametrize("loss", ["softmax", "margin"])
def test_none_are_supervised_that_are_padding_past_the_hops_or_forgotten(loss):
    given = model(slots=3).eval()
    for one in (collate([story(6), story(5)])._replace(facts=torch.full((2, 1), -1)), collate([story(6, 1)])):
        found = learned(given, one, 1.0, loss)
        assert torch.equal(found.objective, found.loss)
    kept, more = (learned(given, collate([story(4, *facts)]), 1.0, loss).objective for facts in ((2, 0), (2, 0, 1)))
    assert torch.equal(kept, more)
    assert not torch.equal(kept, learned(given, collate([story(4, 2)]), 1.0, loss).objective)


def test_padding_after_a_question_is_no_sentence_to_read():
    given, short, long = model(slots=9).eval(), story(4, 1), story(8)
    alone, padded = (learned(given, collate(rows), 1.0) for rows in ([short], [short, long]))
    _, _, scores = check_facts(given.cell).scored_scan(*(torch.from_numpy(short.inputs)[None], given.begin(1)))
    wanted = missed(scores, torch.tensor([[1]]), torch.tensor([4]))
    torch.testing.assert_close(alone.objective - alone.loss, wanted)
    torch.testing.assert_close(2 * (padded.objective - padded.loss), wanted)


def test_what_has_no_facts_or_no_memory_is_refused():
    without = collate([story(5)])._replace(facts=None)
    with pytest.raises(WrongUse, match=r"training.facts needs data that names the facts .* such as babi"):
        learned(model(), without, 1.0)
    with pytest.raises(WrongUse, match=r"training.facts is for a memory .* use it with memory_network"):
        check_facts(GRU(2, 3))


def test_a_loss_of_facts_without_facts_is_refused():
    with pytest.raises(WrongUse, match=r"training.facts_loss .* training.facts = 0 tells none"):
        learned(model(), collate([story(5, 1)]), 0.0, "margin")

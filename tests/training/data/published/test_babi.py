import re

import pytest

from training.data.published.babi import Question, load_babi
from training.errors import WrongUse

STORIES = {4: 1000, 15: 250, 16: 1000, 17: 125, 18: 198, 19: 1000, 20: 94}


@pytest.mark.parametrize("task", range(1, 21))
def test_a_task_has_a_thousand_questions_in_as_many_stories_as_was_published(data_folder, task):
    parts = load_babi(data_folder("babi"), task)
    known = parts.train + parts.validation
    assert len(known) == STORIES.get(task, 200)
    assert sum(map(len, known)) == sum(map(len, parts.test)) == 1000


@pytest.mark.parametrize("task", [1, 2, 6])
def test_the_larger_size_has_ten_thousand(data_folder, task):
    parts = load_babi(data_folder("babi"), task, size="en-10k")
    assert sum(map(len, parts.train + parts.validation)) == 10000
    assert sum(map(len, parts.test)) == 1000


def test_the_words_are_as_many_as_was_published(data_folder):
    folder = data_folder("babi")
    parts = [load_babi(folder, task) for task in range(1, 21)]
    questions = [one for part in parts for story in part.train + part.validation + part.test for one in story]
    words = {word for one in questions for text in (*one.story, one.question) for word in re.findall(r"\w+", text)}
    assert len(words) == 161


def test_a_question_sees_the_statements_before_it_and_points_at_those_that_answer(tmp_path):
    (tmp_path / "en").mkdir()
    for part in ("train", "test"):
        (tmp_path / "en" / f"qa1_single_{part}.txt").write_text(
            "1 Mary went home.\n2 Where is Mary? \thome\t1\n3 John left.\n4 Where is John?\taway\t1 3\n1 It rains.\n"
        )
    first, second = load_babi(tmp_path, 1).test
    assert first == [
        Question(("Mary went home.",), "Where is Mary?", "home", (0,)),
        Question(("Mary went home.", "John left."), "Where is John?", "away", (0, 1)),
    ]
    assert second == []


def test_a_task_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(WrongUse, match="no task 3 in 'en-10k'; en has 1 to 20, en-10k has 1, 2 and 6"):
        load_babi(tmp_path, 3, size="en-10k")

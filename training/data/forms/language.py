"""Sets of sentences: their words, their stories, their trees."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np

from training.architectures.trees import balanced, with_children
from training.data import store
from training.data.data import Sequences
from training.data.forms.form import Form
from training.data.published.babi import Question, load_babi
from training.data.published.sst import Tree, load_sst
from training.data.published.ud_english_ewt import Sentence, load_ud_english_ewt
from training.data.series import Parts, Series
from training.data.spelling import Spelling
from training.options import Count


def ud_english_ewt() -> Form:
    """Words, a step for each with the symbols of its spelling; the targets are their parts of speech."""
    parts = store.read("ud_english_ewt", load_ud_english_ewt)
    spelling = Spelling(sentence.words for sentence in parts.train)
    tags = sorted({tag for sentence in parts.train for tag in sentence.tags})
    place = {tag: index for index, tag in enumerate(tags)}

    def series(sentence: Sentence) -> Series:
        return Series(spelling.symbols(sentence.words), np.array([place[tag] for tag in sentence.tags], np.int64))

    made: Parts[Sequences] = parts.each(lambda part: [series(sentence) for sentence in part])
    return Form(made, len(spelling.vocabulary), len(tags), spelling.vocabulary, labels=tuple(tags))


def babi(*, task: Count = 1) -> Form:
    """Stories, a step for each sentence of words and the question last; the target is the answer, a word too.

    Its facts are the sentences that were released as those that answer it.
    """
    parts = store.read("babi", partial(load_babi, task=task))
    every = [one for part in (parts.train, parts.validation, parts.test) for story in part for one in story]
    texts = [[_words(text) for text in (*one.story, one.question)] for one in every]
    words = sorted({word for story in texts for words in story for word in words} | {one.answer for one in every})
    index = {word: place for place, word in enumerate(words, 1)}
    longest = max(len(words) for story in texts for words in story)

    def series(one: Question) -> Series:
        sentences = [_words(text) for text in (*one.story, one.question)]
        inputs = np.zeros((len(sentences), longest), np.int64)
        for row, sentence in zip(inputs, sentences, strict=True):
            row[: len(sentence)] = [index[word] for word in sentence]
        return Series(inputs, np.array(index[one.answer]), facts=np.array(one.supporting, np.int64))

    made: Parts[Sequences] = parts.each(lambda part: [series(one) for story in part for one in story])
    vocabulary = ("", *words)
    return Form(made, len(vocabulary), len(vocabulary), vocabulary, labels=vocabulary)


def sst(*, classes: Literal["binary", "five"] = "binary", parsed: bool = True, children: bool = False) -> Form:
    """Film reviews as trees, a step for each node: a word, or the symbol that joins the two before it.

    Args:
        classes: of the nodes; with two, neutral nodes are not asked, and sentences that are neutral are left out.
        parsed: whether the trees are those of the set, or balanced ones, of which the root alone is asked.
        children: whether a step has the places of the node's children besides, -1 where it has none.
    """
    parts = store.read("sst", load_sst)
    words = sorted({token for tree in parts.train for token in tree.tokens()})
    index = {word: place for place, word in enumerate(words, 1)}
    reduce = len(words) + 1
    labels = {"binary": (0, 0, -1, 1, 1), "five": (0, 1, 2, 3, 4)}[classes]

    def series(tree: Tree) -> Series:
        nodes = list(_in_order(tree))
        symbols = [reduce if node.children else index.get(node.token, 0) for node in nodes]
        targets = [labels[node.label] for node in nodes]
        if not parsed:
            symbols = balanced([symbol for symbol in symbols if symbol != reduce], reduce)
            targets = [-1] * (len(symbols) - 1) + targets[-1:]
        inputs = with_children(symbols, reduce) if children else symbols
        return Series(np.array(inputs, np.int64), np.array(targets, np.int64))

    made: Parts[Sequences] = parts.each(lambda part: [series(tree) for tree in part if labels[tree.label] >= 0])
    names = (
        ("negative", "positive")
        if classes == "binary"
        else ("very negative", "negative", "neutral", "positive", "very positive")
    )
    vocabulary = ("\N{REPLACEMENT CHARACTER}", *words, "(reduce)")
    return Form(made, reduce + 1, len(names), vocabulary, labels=names)


def _in_order(tree: Tree) -> Iterator[Tree]:
    """Give a tree's nodes, children before their parent."""
    for child in tree.children:
        yield from _in_order(child)
    yield tree


def _words(text: str) -> list[str]:
    return text.lower().rstrip(".?").split()

"""The table of sets that a recipe can name: each as sequences in three parts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from training.architectures.trees import balanced
from training.data import store
from training.data.data import Data, Sequences, digest_of_parts
from training.data.generated.adding import make_adding
from training.data.generated.associative_recall import make_associative_recall
from training.data.generated.copy_bits import make_copy_bits
from training.data.generated.copy_memory import make_copy_memory
from training.data.generated.mackey_glass import make_mackey_glass
from training.data.generated.narma import make_narma
from training.data.generated.reversal import make_reversal
from training.data.generated.sines import make_sines
from training.data.generated.temporal_order import make_temporal_order
from training.data.published.babi import Question, load_babi
from training.data.published.fsdd import load_fsdd
from training.data.published.japanese_vowels import load_japanese_vowels
from training.data.published.mnist import load_mnist
from training.data.published.multi30k import Pair, load_multi30k
from training.data.published.names import Name, load_names
from training.data.published.polymusic import Collection, load_polymusic
from training.data.published.santafe_laser import load_santafe_laser
from training.data.published.sst import Tree, load_sst
from training.data.published.ud_english_ewt import Sentence, load_ud_english_ewt
from training.data.series import Batch, Floats, Indices, Parts, Series, Symbols, next_step, part_in_order
from training.data.settings import SetData
from training.data.spectrum import log_mel
from training.data.spelling import Spelling
from training.errors import WrongUse
from training.options import Count, check_options

MADE = "made from seeds, one for each part"
NO_LICENCE = "none needed"

AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]

# Of the seed of a part and the count of its sequences.
Make = Callable[[int, int], Iterable[Series]]


@dataclass(frozen=True, slots=True)
class Form:
    """Sequences, how many symbols and classes they have (0 for numbers), and what else Data has of them."""

    parts: Parts[Sequences]
    symbols: int = 0
    classes: int = 0
    vocabulary: tuple[str, ...] = ()
    edge: int | None = None
    ends: Literal["", "symbol", "length"] = ""
    about: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    source_symbols: int = 0
    source_vocabulary: tuple[str, ...] = ()


def polymusic(*, collection: Collection = "JSB_Chorales") -> Form:
    """Piano rolls of 88 keys; the targets are the next step's keys."""
    return _form(store.read("polymusic", partial(load_polymusic, collection=collection)))


def babi(*, task: Count = 1) -> Form:
    """Stories, a step for each sentence of words and the question last; the target is the answer, a word too."""
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
        return Series(inputs, np.array(index[one.answer]))

    made: Parts[Sequences] = parts.each(lambda part: [series(one) for story in part for one in story])
    vocabulary = ("", *words)
    return Form(made, len(vocabulary), len(vocabulary), vocabulary, labels=vocabulary)


def mnist(*, read_by: Literal["rows", "pixels", "permuted"] = "rows", limit: int = 0) -> Form:
    """Digits, a step for each row or pixel; of the training part the first `limit`, or all."""
    digits = store.read("mnist", load_mnist)
    parts: Parts[Sequences] = digits.each(lambda part: list(getattr(part, read_by)()))
    return Form(replace(parts, train=parts.train[: limit or None]), classes=10)


def fsdd(*, left_out: str = "") -> Form:
    """Spoken digits, a step for each 10 ms; with `left_out` that speaker alone is for test."""
    recordings = store.read("fsdd", partial(load_fsdd, left_out=left_out))
    made: Parts[Sequences] = recordings.each(
        lambda part: [Series(log_mel(one.sound), np.array(one.digit)) for one in part]
    )
    return Form(made, classes=10)


def japanese_vowels() -> Form:
    """Series of 12 coefficients a step; the target is the speaker."""
    return _form(store.read("japanese_vowels", load_japanese_vowels), classes=9)


def reversal(*, shortest: Count = 3, longest: Count = 20, count: Count = 20_000, kinds: Count = 10) -> Form:
    """Rows of symbols of many lengths, and each written from its end."""

    def rows(part: int, rows: int) -> Sequences:
        random = np.random.default_rng([part, longest])
        sources = make_reversal(part, rows, longest, kinds).inputs
        lengths = random.integers(shortest, longest + 1, rows).tolist()
        cut = [source[:length] for source, length in zip(sources, lengths, strict=True)]
        return [_rewritten(source, source[::-1], kinds) for source in cut]

    fewer = max(100, count // 20)
    made: Parts[Sequences] = Parts(rows(0, count), rows(1, fewer), rows(2, fewer), MADE)
    return Form(made, kinds + 1, kinds + 1, edge=kinds, ends="symbol", source_symbols=kinds)


def multi30k(*, least: Count = 2) -> Form:
    """Captions in English, written from German; of both the tokens that training has at least so often."""
    parts = store.read("multi30k", load_multi30k)
    german, english = (
        _tokens((getattr(pair, language) for pair in parts.train), least) for language in ("german", "english")
    )
    edge = len(english)

    def series(pair: Pair) -> Series:
        return _rewritten(_indices(pair.german, german), _indices(pair.english, english), edge)

    made: Parts[Sequences] = parts.each(lambda part: [series(pair) for pair in part])
    return Form(
        made,
        edge + 1,
        edge + 1,
        vocabulary=(*english, "\n"),
        edge=edge,
        ends="symbol",
        source_symbols=len(german),
        source_vocabulary=tuple(german),
    )


def santafe_laser(*, competition: bool = False) -> Form:
    """One series; the targets are the next values."""
    return Form(_forecast(store.read("santafe_laser", partial(load_santafe_laser, competition=competition))))


def mackey_glass(*, seed: int = 0, steps: Count = 10_000, delay: Count = 17) -> Form:
    """One series; the targets are the next values."""
    return Form(_forecast(part_in_order(make_mackey_glass(seed, steps, delay))))


def narma(*, seed: int = 0, steps: Count = 4000) -> Form:
    """One series of inputs; the targets are what the system answers with."""
    whole = make_narma(seed, steps)
    cuts, targets = (part_in_order(np.asarray(array, np.float32)) for array in (whole.inputs, whole.targets))
    return Form(
        Parts(
            [Series(cuts.train, targets.train)],
            [Series(cuts.validation, targets.validation)],
            [Series(cuts.test, targets.test)],
            cuts.rule,
        )
    )


def adding(*, steps: Count = 50, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of two numbers a step; the target is the sum of the marked ones."""
    return Form(_made(lambda part, rows: make_adding(part, rows, steps), count, seed))


def sst(*, classes: Literal["binary", "five"] = "binary", parsed: bool = True) -> Form:
    """Film reviews as trees, a step for each node: a word, or the symbol that joins the two before it.

    Args:
        classes: of the nodes; with two, neutral nodes are not asked, and sentences that are neutral are left out.
        parsed: whether the trees are those of the set, or balanced ones, of which the root alone is asked.
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
        return Series(np.array(symbols, np.int64), np.array(targets, np.int64))

    made: Parts[Sequences] = parts.each(lambda part: [series(tree) for tree in part if labels[tree.label] >= 0])
    names = (
        ("negative", "positive")
        if classes == "binary"
        else ("very negative", "negative", "neutral", "positive", "very positive")
    )
    vocabulary = ("\N{REPLACEMENT CHARACTER}", *words, "(reduce)")
    return Form(made, reduce + 1, len(names), vocabulary, labels=names)


def temporal_order(*, steps: Count = 50, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of six symbols; the target is one of four orders."""
    return _of_symbols(lambda part, rows: make_temporal_order(part, rows, steps), count, seed, classes=4)


def associative_recall(
    *, longest: AtLeastTwo = 6, count: Count = 10_000, tested: tuple[AtLeastTwo, ...] = (), seed: int = 0
) -> Form:
    """Lists of items of bits, and one of them again; the targets are those of the item after it.

    Args:
        longest: a sequence has 2 to so many items.
        count: sequences to train on.
        tested: how many items the sequences of the test part have, drawn from these; none: as in training.
        seed: of all that is drawn.
    """
    trained = range(2, longest + 1)
    return Form(
        _made(
            lambda part, rows: make_associative_recall(part, rows, trained),
            count,
            seed,
            test=lambda part, rows: make_associative_recall(part, rows, tested or trained),
        )
    )


def copy_bits(
    *, longest: Count = 20, bits: Count = 8, count: Count = 10_000, tested: tuple[Count, ...] = (), seed: int = 0
) -> Form:
    """Vectors of bits, and a flag that asks for them; the targets are the same bits after it.

    Args:
        longest: a sequence has 1 to so many vectors.
        bits: of a vector.
        count: sequences to train on.
        tested: how many vectors the sequences of the test part have, drawn from these; none: as in training.
        seed: of all that is drawn.
    """
    trained = range(1, longest + 1)
    return Form(
        _made(
            lambda part, rows: make_copy_bits(part, rows, trained, bits),
            count,
            seed,
            test=lambda part, rows: make_copy_bits(part, rows, tested or trained, bits),
        )
    )


def copy_memory(*, blank: Count = 30, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of ten symbols; the targets are the copied ones at the end, and blanks before."""
    return _of_symbols(lambda part, rows: make_copy_memory(part, rows, blank), count, seed, classes=10)


def sines(*, steps: Count = 100, count: Count = 1000, waves: Count = 3, seed: int = 0) -> Form:
    """Rows of one number a step; the targets are the next ones."""
    return Form(_made(lambda part, rows: make_sines(part, rows, steps, waves), count, seed))


def names(*, ends: Literal["symbol", "length"] = "symbol", languages: bool = True) -> Form:
    """Names as symbols; what a name is about is its language, and with `ends = "length"` how long it is.

    Args:
        ends: a name ends with a symbol of its own, or when as many symbols were read as were said at its beginning.
        languages: whether the language is said.
    """
    parts = store.read("names", load_names)
    known = sorted({name.language for part in (parts.train, parts.validation, parts.test) for name in part})
    characters = sorted({character for name in parts.train for character in name.text})
    edge = len(characters) + 1
    index = {character: place for place, character in enumerate(characters)}

    def series(name: Name) -> Series:
        symbols = np.array([index.get(character, edge - 1) for character in name.text], np.int64)
        about = np.array([language == name.language for language in known if languages], np.float32)
        if ends == "length":
            about = np.append(about, np.float32(len(symbols)))
            return Series(np.append(edge, symbols[:-1]), symbols, about)
        return Series(np.append(edge, symbols), np.append(symbols, edge), about if languages else None)

    vocabulary = (*characters, "\N{REPLACEMENT CHARACTER}", "\n")
    made: Parts[Sequences] = parts.each(lambda part: [series(name) for name in part])
    about = tuple(known) if languages else ()
    return Form(made, edge + 1, edge + 1, vocabulary, edge, ends, about)


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


FORMS: Mapping[str, Callable[..., Form]] = {
    form.__name__: form
    for form in (
        adding,
        associative_recall,
        babi,
        copy_bits,
        copy_memory,
        fsdd,
        japanese_vowels,
        mackey_glass,
        mnist,
        multi30k,
        names,
        narma,
        polymusic,
        reversal,
        santafe_laser,
        sines,
        sst,
        temporal_order,
        ud_english_ewt,
    )
}


def check_set(data: SetData) -> dict[str, Any]:
    """Give all options of a named set, the given ones checked; raises ValueError that names the key."""
    if data.name not in FORMS:
        raise ValueError(f"data.name: '{data.name}' is not one of {', '.join(FORMS)}")
    try:
        return check_options(FORMS[data.name], data.options)
    except ValueError as error:
        raise ValueError(str(error).replace("cell", "data.options", 1)) from error


def open_set(data: SetData) -> Data:
    """Read or make a named set; raises DataInvalid where it is not here, with the command that brings it."""
    try:
        form = FORMS[data.name](**check_set(data))
    except ValueError as error:
        raise WrongUse(f"data set '{data.name}': {error}") from error
    licence = NO_LICENCE if form.parts.rule == MADE or data.name in MADE_HERE else store.find(data.name).licence
    digest = digest_of_parts(form.parts)
    return Data(
        form.parts,
        form.symbols,
        form.classes,
        licence,
        digest,
        vocabulary=form.vocabulary,
        edge=form.edge,
        ends=form.ends,
        about=form.about,
        labels=form.labels,
        source_symbols=form.source_symbols,
        source_vocabulary=form.source_vocabulary,
    )


MADE_HERE = frozenset(
    {
        "adding",
        "associative_recall",
        "copy_bits",
        "copy_memory",
        "mackey_glass",
        "narma",
        "reversal",
        "sines",
        "temporal_order",
    }
)


def _in_order(tree: Tree) -> Iterator[Tree]:
    """Give a tree's nodes, children before their parent."""
    for child in tree.children:
        yield from _in_order(child)
    yield tree


def _words(text: str) -> list[str]:
    return text.lower().rstrip(".?").split()


def _rewritten(source: Indices, target: Indices, edge: int) -> Series:
    """Let a target be written from a source, from the edge and to it."""
    return Series(np.append(edge, target), np.append(target, edge), np.ascontiguousarray(source))


def _tokens(sentences: Iterable[Sequence[str]], least: int) -> dict[str, int]:
    """Number the tokens that come often enough; the first stands for all others."""
    seen = Counter(token for sentence in sentences for token in sentence)
    known = sorted(token for token, count in seen.items() if count >= least)
    return {token: index for index, token in enumerate(("\N{REPLACEMENT CHARACTER}", *known))}


def _indices(sentence: Sequence[str], tokens: Mapping[str, int]) -> Indices:
    return np.array([tokens.get(token, 0) for token in sentence], np.int64)


def _form(parts: Parts[list[Series]], *, classes: int = 0) -> Form:
    return Form(parts.each(lambda part: part), classes=classes)


def _forecast(parts: Parts[Floats]) -> Parts[Sequences]:
    return parts.each(lambda part: [next_step(part)])


def _made(make: Make, count: int, seed: int, *, test: Make | None = None) -> Parts[Sequences]:
    """Make the training part, and a tenth as much of each other, at least 100; `test` may make that part otherwise."""
    fewer = max(100, count // 10)
    train, validation, held_out = (
        list(one(3 * seed + part, rows))
        for part, (one, rows) in enumerate(((make, count), (make, fewer), (test or make, fewer)))
    )
    return Parts(train, validation, held_out, MADE)


def _of_symbols(make: Callable[[int, int], Symbols], count: int, seed: int, *, classes: int) -> Form:
    kinds = make(0, 1).kinds

    def rows(part: int, rows: int) -> Batch:
        made = make(part, rows)
        return Batch(made.inputs, made.targets)

    return Form(_made(rows, count, seed), symbols=kinds, classes=classes)

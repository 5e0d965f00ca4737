from training.data.spelling import FIELDS, LEAST, UNKNOWN, Spelling, spelt


def test_a_word_is_itself_its_endings_its_beginning_and_its_shape():
    assert list(spelt("Playing")) == [
        "word=Playing",
        "lower=playing",
        "end1=g",
        "end2=ng",
        "end3=ing",
        "end4=ying",
        "begin2=pl",
        "shape=Xx",
    ]


def test_a_shape_tells_runs_once():
    shapes = [list(spelt(word))[-1] for word in ("20-year", "USA", "don't", "A4", "...")]
    assert shapes == ["shape=d-x", "shape=X", "shape=x'x", "shape=Xd", "shape=."]


def test_what_is_rare_in_training_is_read_as_unknown():
    spelling = Spelling([["the", "cat"]] * LEAST + [["dog"]])
    assert spelling.vocabulary[: len(FIELDS)] == tuple(f"{field}={UNKNOWN}" for field in FIELDS)
    known, rare = spelling.symbols(["cat", "dog"])
    assert [spelling.vocabulary[symbol] for symbol in known] == list(spelt("cat"))
    assert rare[:7].tolist() == list(range(7))
    assert spelling.vocabulary[rare[7]] == "shape=x"


def test_a_row_for_each_word():
    assert Spelling([["a"]]).symbols(["a", "b", "c"]).shape == (3, len(FIELDS))

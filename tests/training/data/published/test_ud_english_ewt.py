import gzip

from training.data.published.ud_english_ewt import Sentence, load_ud_english_ewt


def test_sentences_words_and_tags_are_as_many_as_was_published(data_folder):
    parts = load_ud_english_ewt(data_folder("ud_english_ewt"))
    expected = [(parts.train, 12544, 204577, 49), (parts.validation, 2001, 25147, 49), (parts.test, 2077, 25094, 48)]
    for sentences, count, words, tags in expected:
        assert len(sentences) == count
        assert sum(len(one.words) for one in sentences) == words
        assert len({tag for one in sentences for tag in one.treebank_tags}) == tags
    assert len({tag for one in parts.train for tag in one.tags}) == 17


def test_tokens_of_several_words_and_words_that_the_text_leaves_out_are_skipped(tmp_path):
    rows = ["1-2\tdon't\t_\t_\t_", "1\tdo\tdo\tAUX\tVB", "2\tn't\tnot\tPART\tRB", "2.1\tgo\tgo\tVERB\tVB"]
    for part in ("train", "dev", "test"):
        content = "# text = don't\n" + "\n".join(rows) + "\n\n"
        (tmp_path / f"en_ewt-ud-{part}.conllu.gz").write_bytes(gzip.compress(content.encode()))
    assert load_ud_english_ewt(tmp_path).train == [Sentence(("do", "n't"), ("AUX", "PART"), ("VB", "RB"))]

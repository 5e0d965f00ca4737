from training.data.published.tinyshakespeare import load_tinyshakespeare


def test_the_characters_are_as_many_as_were_published(data_folder):
    text = load_tinyshakespeare(data_folder("tinyshakespeare"))
    whole = text.train + text.validation + text.held_out
    assert (len(whole), len(set(whole)), whole.count("\n"), len(whole.split())) == (1115394, 65, 40000, 202651)
    assert text.note == ""
    assert text.licence == "public domain"

import re
from collections import Counter

from training.data.published.names import load_names


def test_every_language_has_as_many_names_as_were_published(data_folder):
    folder = data_folder("names")
    parts = load_names(folder)
    counts = Counter(name.language for name in parts.train + parts.validation + parts.test)
    (listed,) = re.findall(r"20074 names: (.*?)\.", (folder / "SOURCE.txt").read_text())
    assert counts == {one.split()[0]: int(one.split()[1]) for one in listed.split(", ")}
    assert counts.total() == 20074
    assert (len(parts.validation), len(parts.test)) == (2007, 2007)


def test_names_are_composed_and_stripped(tmp_path):
    (tmp_path / "French.txt").write_text(
        "Andre\N{COMBINING ACUTE ACCENT} \n\nDe\N{NO-BREAK SPACE}la\n", encoding="utf-8"
    )
    (tmp_path / "SOURCE.txt").write_text("no names\n")
    assert [name.text for name in load_names(tmp_path).train] == ["Andr\N{LATIN SMALL LETTER E WITH ACUTE}", "De la"]

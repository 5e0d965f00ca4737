import base64
import re

import pytest

from models.cli import main
from models.manifest import FILE, Measured
from tests import zoo

PICTURE = b"\x89PNG a picture"


@pytest.fixture
def page(repository, capsys, tmp_path):
    """Give a function that writes the page of some models: the exit code, the page, stdout and stderr."""

    def write(*names):
        capsys.readouterr()
        path = tmp_path / "models.html"
        code = main(["page", str(path), *names, "--repository", str(repository.root)])
        return code, path.read_text() if code == 0 else "", *capsys.readouterr()

    return write


def publish(repository, name, **given):
    return zoo.publish(repository, name, zoo.running_sum(), pictures={"learned.png": PICTURE}, **given)


def images(written):
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]*)"', written)]


def test_the_newest_version_of_each_model_is_on_the_page_with_its_figure_and_its_pictures(page, repository):
    publish(repository, "seen", measured=Measured("accuracy", 0.5))
    publish(repository, "seen", measured=Measured("accuracy", 0.98765, published=0.99))
    zoo.publish(repository, "blind", zoo.running_sum())
    code, written, out, _ = page()
    assert (code, out.endswith("models.html: seen\n")) == (0, True)
    assert images(written) == [PICTURE]
    assert "<h2>seen 2</h2>\n<p>running_sum, accuracy 0.9877, published 0.99</p>" in written
    assert "0.5" not in written
    assert "blind" not in written


def test_models_may_be_named_and_one_that_is_not_there_is_told(page, repository):
    publish(repository, "one")
    publish(repository, "other")
    assert "other" not in page("one")[1]
    code, _, _, err = page("nobody")
    assert code == 1
    assert "nobody" in err


def test_a_model_that_cannot_be_read_does_not_hide_the_others(page, repository):
    publish(repository, "good")
    (publish(repository, "torn").folder / FILE).write_text("{")
    code, written, _, _ = page()
    assert (code, images(written)) == (0, [PICTURE])


def test_without_pictures_there_is_no_page(page, repository):
    zoo.publish(repository, "blind", zoo.running_sum())
    code, _, _, err = page()
    assert code == 1
    assert "has pictures" in err

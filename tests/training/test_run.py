import pytest

from tests.training.conftest import small_recipe
from training import run as module
from training.errors import RunInvalid
from training.run import RECIPE, RESULT, Run


def test_a_run_keeps_the_recipe_that_it_began_with(tmp_path, text_file):
    recipe = small_recipe(text_file)
    assert Run.begin(tmp_path / "a" / "run", recipe).recipe == recipe
    assert Run(tmp_path / "a" / "run").recipe == recipe


def test_a_run_that_is_begun_again_is_found_as_it_was(tmp_path, text_file):
    run = Run.begin(tmp_path, small_recipe(text_file))
    run.write(RESULT, {"updates": 3})
    again = Run.begin(tmp_path, small_recipe(text_file))
    assert again.done("train")
    assert again.read(RESULT, "train") == {"updates": 3}


def test_a_run_takes_on_what_shall_now_be_made_of_its_model(tmp_path, text_file):
    Run.begin(tmp_path, small_recipe(text_file))
    asked = small_recipe(text_file, export__int8="true")
    assert Run.begin(tmp_path, asked).recipe == asked == Run(tmp_path).recipe


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1"])
def test_a_folder_that_is_no_run_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / RECIPE).write_bytes(content)
    with pytest.raises(RunInvalid, match="is not a run folder"):
        _ = Run(tmp_path).recipe


def test_a_stage_that_lacks_the_one_before_names_it(tmp_path):
    with pytest.raises(RunInvalid, match="has not come through 'verify' yet; do that first"):
        Run(tmp_path).need("verify")


def test_a_run_stays_with_the_data_that_it_began_with(tmp_path):
    run = Run(tmp_path)
    run.hold_to("sha256:1")
    run.hold_to("sha256:1")
    with pytest.raises(RunInvalid, match=r"the data has changed since the run .* delete that folder to begin anew"):
        run.hold_to("sha256:2")


def test_a_file_that_is_written_while_it_is_read_is_seen_whole(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.write_bytes("a.txt", b"old")
    replace = module.Path.replace
    seen = []

    def look_first(self, target):
        seen.append(run.path("a.txt").read_bytes())
        return replace(self, target)

    monkeypatch.setattr(module.Path, "replace", look_first)
    run.write_bytes("a.txt", b"new")
    assert seen == [b"old"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert run.path("a.txt").read_bytes() == b"new"

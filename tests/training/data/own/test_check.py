import pytest

from tests.training.data.test_sound import write_wav
from training.cli import main


def recipe(folder, table: str):
    (folder / "mine.toml").write_text(f"[data]\n{table}")
    return str(folder / "mine.toml")


@pytest.fixture
def sensors(tmp_path):
    path = tmp_path / "sensors.csv"
    path.write_text("part,speed\ntrain,1\ntrain,2\nvalidation,3\nvalidation,fast\nvalidation,4\ntest,5\ntest,6\n")
    return path


def test_check_says_what_is_in_a_table_and_what_was_skipped(tmp_path, sensors, capsys):
    table = f'kind = "table"\npath = "{sensors}"\ninputs = ["speed"]\nsplit = "part"\nskip_bad_rows = true\n'
    assert main(["data", "check", recipe(tmp_path, table)]) == 0
    assert capsys.readouterr().out == (
        f"'{sensors}': 6 rows; sequences 1 / 1 / 1 (train / validation / test, as the column 'part' says)\n"
        f"1 rows were skipped, the first is '{sensors}' line 5: 'speed' is no number: 'fast'\n"
    )


def test_check_says_what_is_in_a_folder_of_sound(tmp_path, capsys):
    for part in ("train", "validation", "test"):
        (tmp_path / "wavs" / part).mkdir(parents=True)
        write_wav(tmp_path / "wavs" / part / "yes_1.wav", bytes(8))
    table = f'kind = "wav"\npath = "{tmp_path / "wavs"}"\nlabel = "name"\nsplit = "folder"\n'
    assert main(["data", "check", recipe(tmp_path, table)]) == 0
    assert capsys.readouterr().out == (
        f"'{tmp_path / 'wavs'}': 1 classes, 8000 samples a second, 1 channels; files 1 / 1 / 1 "
        "(train / validation / test, by the folders train, validation and test)\n"
    )


def test_check_fails_in_one_line_where_a_row_cannot_be_used(tmp_path, sensors, capsys):
    table = f'kind = "table"\npath = "{sensors}"\ninputs = ["speed"]\nsplit = "part"\n'
    assert main(["data", "check", recipe(tmp_path, table)]) == 1
    assert capsys.readouterr().err == (
        f"training: '{sensors}' line 5: 'speed' is no number: 'fast'; 1 of 7 rows cannot be used: "
        "mend them, or leave them out with `skip_bad_rows = true`\n"
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('kind = "text"\n', "Invalid value 'text' - at `$.kind`"),
        ('kind = "table"\npath = "a.csv"\ninput = ["x"]\n', "unknown field `input`"),
        ('kind = "table\n', "cannot be read: "),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_wrong_use(tmp_path, capsys, table, sentence):
    assert main(["data", "check", recipe(tmp_path, table)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_recipe_that_is_not_there_is_wrong_use(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path / "gone.toml")]) == 2
    assert "gone.toml' cannot be read: " in capsys.readouterr().err

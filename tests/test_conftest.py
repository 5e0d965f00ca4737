import pytest

from tests.conftest import require


def test_what_is_missing_skips_the_test_and_says_what(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no compiler"):
        require(False, "no compiler")


def test_what_is_missing_fails_the_test_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no compiler"):
        require(False, "no compiler")


def test_what_is_there_lets_the_test_go_on_in_ci_too(monkeypatch):
    monkeypatch.setenv("CI", "true")
    require(True, "no compiler")


def test_a_missing_data_set_names_the_variable(data_folder, data_root, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no data set 'unheard-of' in RECUR_DATA"):
        data_folder("unheard-of")
    assert not (data_root / "unheard-of").exists()


def test_the_seed_is_shown_and_can_be_set_again(monkeypatch, capsys, request):
    monkeypatch.setenv("RECUR_SEED", "41")
    assert request.getfixturevalue("seed") == 41
    assert "RECUR_SEED=41" in capsys.readouterr().out

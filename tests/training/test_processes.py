from training.processes import is_first, machines, on_this_machine


def test_alone_a_process_is_the_first_of_one(monkeypatch):
    for name in ("RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert is_first()
    assert (on_this_machine(), machines()) == (1, 1)


def test_among_several_the_first_is_told_by_its_rank(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for rank, first in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert is_first() is first
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert (on_this_machine(), machines()) == (2, 3)

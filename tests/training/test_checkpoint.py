import pytest
import torch
from torch import nn

from training.checkpoint import FILE, Progress, load_checkpoint, read_checkpoint, save_checkpoint
from training.errors import RunInvalid


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(3, 2)
    return model, torch.optim.Adam(model.parameters())


def test_without_a_checkpoint_a_run_begins(tmp_path):
    assert load_checkpoint(tmp_path, *parts()) == Progress()


def test_everything_comes_back(tmp_path, seed):
    torch.manual_seed(seed)
    model, optimizer = parts()
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    progress = Progress(
        7, {"h": torch.randn(2, 3)}, 1.5, model.state_dict(), 2, [3.0], 1, [(5, 2.0, 1.5)], [0.4], seconds=9.0
    )
    save_checkpoint(tmp_path, progress, model, optimizer)
    drawn = torch.rand(3)
    other, its_optimizer = parts()
    loaded = load_checkpoint(tmp_path, other, its_optimizer)
    assert torch.equal(torch.rand(3), drawn)
    assert (loaded.update, loaded.best, loaded.since_best, loaded.seconds) == (7, 1.5, 2, 9.0)
    assert (loaded.losses, loaded.history) == ([3.0], [(5, 2.0, 1.5)])
    assert (loaded.clipped, loaded.clips) == (1, [0.4])
    assert torch.equal(loaded.state["h"], progress.state["h"])
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in other.state_dict().items())
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.best_model.items())
    moments, expected = its_optimizer.state_dict()["state"][0], optimizer.state_dict()["state"][0]
    assert all(torch.equal(moments[name], expected[name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_a_save_that_is_cut_off_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, Progress(update=1), *parts())

    def full(content: object, file) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, Progress(update=2), *parts())
    assert read_checkpoint(tmp_path)["progress"]["update"] == 1


@pytest.mark.parametrize("content", [b"", b"half of it"])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RunInvalid, match="delete the run folder to begin anew"):
        load_checkpoint(tmp_path, *parts())


@pytest.mark.parametrize(
    ("losses", "stalled"),
    [([], False), ([3.0], False), ([3.0, 2.0, 1.0], False), ([3.0, 3.0], True), ([3.0, 2.0, 2.5, 1.0], True)],
)
def test_a_run_has_stalled_once_a_validation_gained_nothing(losses, stalled):
    assert Progress(history=[(at, 0.0, loss) for at, loss in enumerate(losses)]).stalled == stalled

import gc
import weakref

import pytest

from server.app import App, main, report
from server.settings import read_settings
from tests import zoo


@pytest.fixture
def built(repository):
    """Build the server over a repository, without listening."""

    def build(*flags: str) -> App:
        return App(read_settings(["--repository", str(repository.root), *flags], {}))

    return build


async def test_nothing_holds_a_version_that_was_replaced(repository, built):
    app = built()
    zoo.publish(repository, "sum", zoo.running_sum())
    await app.loader.poll()
    model = app.catalogue.find("sum")
    held = [weakref.ref(part) for part in (model.store, model.runtime)]
    del model
    zoo.publish(repository, "sum", zoo.running_sum())
    gc.disable()
    try:
        await app.loader.poll()
        assert all(part() is not None for part in held)
        await app.loader.retirement.sweep()
        assert [part() for part in held] == [None, None]
    finally:
        gc.enable()
    assert app.catalogue.find("sum").key.version == 2


async def test_what_would_serve_is_reported_with_its_limits(repository, built, tmp_path):
    config = tmp_path / "recur.toml"
    config.write_text("[models.sum]\nmax_batch = 3\n[models.absent]\nmax_batch = 4\n")
    app = built("--config", str(config), "--max-total-queue", "9")
    for _ in range(2):
        zoo.publish(repository, "sum", zoo.running_sum())
    (repository.root / "bad" / "1").mkdir(parents=True)
    await app.loader.poll()
    versions, others = [], []
    for line in report(app.catalogue, app.settings, ["late"]):
        (others if "limits" in line or "absent" in line else versions).append(line)
    assert versions == [
        "bad 1: refused: manifest.json of 'bad' 1 cannot be read: No such file or directory",
        "sum 1: not loaded: version 2 serves in its place",
        "sum 2: serves",
        "late: refused: --load names it and it is not in the repository",
    ]
    assert others[0].startswith(
        "bad: limits: max_batch 256, max_chunk_steps 16384, max_steps 16384, queue_delay_seconds 0, "
    )
    assert others[1].startswith("sum: limits: max_batch 3, ")
    assert others[2] == "all models: limits: max_total_sequences 0, max_total_state_bytes 0, max_total_queue 9"
    assert others[3:] == ["absent: the configuration file has a table for it, and it is not in the repository"]


async def test_a_repository_without_models_says_so(built):
    app = built()
    await app.loader.poll()
    assert list(report(app.catalogue, app.settings, []))[-1].startswith("no model in ")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_card_that_cannot_be_used_ends_the_server_before_it_listens_with_one_line(repository, capfd, command):
    flags = ["--repository", str(repository.root), "--listen", "not.a.host.here:1"]
    assert main([command, *flags], {"RECUR_DEVICE": "cuda"}) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("server: --device: device 'cuda' needs ONNX Runtime with its CUDA provider")
    assert line.endswith("install onnxruntime-gpu in onnxruntime's place, or use the device 'cpu'")


def test_the_probe_runs_and_states_lie_where_models_run(built, monkeypatch):
    app = built("--device", "cuda:1")
    assert app.loader._probe.keywords == {"device": "cuda:1"}
    assert app.loader._place.keywords == {"device": "cuda:1"}

from tensorboardX.proto.event_pb2 import Event

from training.events import FOLDER, Events


def scalars(folder) -> dict[str, tuple[int, float]]:
    """Read event files as TensorBoard does: records of a length, its check, an event and its check."""
    found = {}
    for path in sorted((folder / FOLDER).iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found |= {value.tag: (event.step, value.simple_value) for value in event.summary.value}
            at += 16 + length
    return found


def test_every_validation_is_an_event_of_each_kind(tmp_path):
    with Events(tmp_path, shown=True) as events:
        events.validated(20, train=2.0, validation=1.5, clipped=0.25, rate=0.125)
    assert scalars(tmp_path) == {
        "loss/train": (20, 2.0),
        "loss/validation": (20, 1.5),
        "clipped": (20, 0.25),
        "learning_rate": (20, 0.125),
    }


def test_other_processes_write_none(tmp_path):
    with Events(tmp_path, shown=False) as events:
        events.validated(20, train=2.0, validation=1.5, clipped=0.25, rate=0.125)
    assert not (tmp_path / FOLDER).exists()

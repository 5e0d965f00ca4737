import numpy as np
import pytest

from training.data.published.polymusic import load_polymusic


@pytest.mark.parametrize(
    ("collection", "pieces", "steps"),
    [
        ("JSB_Chorales", (229, 76, 77), (13807, 4602, 4725)),
        ("Nottingham", (694, 173, 170), (176561, 45513, 44463)),
        ("Piano_midi", (87, 12, 25), (75911, 8540, 19036)),
        ("MuseData", (524, 135, 124), (245202, 82755, 64339)),
    ],
)
def test_a_collection_has_the_pieces_and_steps_that_were_published(data_folder, collection, pieces, steps):
    parts = load_polymusic(data_folder("polymusic"), collection)
    released = [parts.train, parts.validation, parts.test]
    assert tuple(len(part) for part in released) == pieces
    # The last step of a piece is only a target.
    assert tuple(sum(len(piece.inputs) + 1 for piece in part) for part in released) == steps


def test_the_target_of_a_step_is_the_next_one(data_folder):
    piece = load_polymusic(data_folder("polymusic")).train[0]
    assert piece.inputs.shape[1] == 88
    assert np.array_equal(piece.inputs[1:], piece.targets[:-1])
    assert set(np.unique(piece.inputs)) == {0, 1}

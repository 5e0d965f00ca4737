import numpy as np

from training.data.published.santafe_laser import load_santafe_laser


def test_the_values_are_those_that_were_published(data_folder):
    parts = load_santafe_laser(data_folder("santafe_laser"))
    values = np.concatenate([parts.train, parts.validation, parts.test])
    assert values.shape == (10093, 1)
    assert values[:10, 0].tolist() == [86, 141, 95, 41, 22, 21, 32, 72, 138, 111]
    assert 0 <= values.min() < values.max() <= 255
    assert values.dtype == np.float32


def test_the_competition_gave_a_thousand_values_and_asked_for_a_hundred(data_folder):
    parts = load_santafe_laser(data_folder("santafe_laser"), competition=True)
    whole = load_santafe_laser(data_folder("santafe_laser")).train
    assert len(parts.train) + len(parts.validation) == 1000
    assert np.array_equal(parts.test, whole[1000:1100])
    assert "asked for" in parts.rule

import numpy as np

from training.data.published.mnist import Digits, load_mnist


def test_the_digits_are_as_many_as_were_published(data_folder):
    parts = load_mnist(data_folder("mnist"))
    known = np.concatenate([parts.train.labels, parts.validation.labels])
    assert np.bincount(known).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(parts.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert parts.test.images.shape == (10000, 28, 28)
    assert len(parts.validation) == 6000


def digits() -> Digits:
    images = np.arange(2 * 784, dtype=np.int64).reshape(2, 28, 28) % 256
    return Digits(images.astype(np.uint8), np.array([3, 7]))


def test_a_row_of_pixels_is_a_step():
    batch = digits().rows()
    assert batch.inputs.shape == (2, 28, 28)
    assert batch.inputs.dtype == np.float32
    assert batch.inputs.max() == 1
    assert batch.targets.tolist() == [3, 7]


def test_a_pixel_is_a_step_row_after_row():
    batch = digits().pixels()
    assert batch.inputs.shape == (2, 784, 1)
    assert np.array_equal(batch.inputs[0, 28:56, 0], digits().rows().inputs[0, 1])


def test_the_permutation_is_one_for_every_image_and_for_ever():
    pixels, permuted = digits().pixels().inputs, digits().permuted().inputs
    order = [int(np.flatnonzero(np.random.default_rng(0).permutation(784) == 0)[0])]
    assert np.array_equal(np.sort(permuted, axis=1), np.sort(pixels, axis=1))
    assert permuted[0, order[0], 0] == pixels[0, 0, 0]
    assert np.array_equal(permuted, digits().permuted().inputs)
    assert not np.array_equal(permuted, pixels)

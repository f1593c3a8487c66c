"""Which images and which noise a step sees: functions of the seed and the step alone."""

import numpy as np
import pytest

from refglow.training.batches import Batches
from refglow.training.dequantize import quantize
from refglow.training.image_data import ArrayImages
from refglow.training.settings import Settings


def images(count, name="some", start=0, n_bits=8):
    """Images of which each can be told by its first level."""
    levels = np.random.default_rng(start).integers(0, 2**n_bits, (count, 2, 4, 3), dtype=np.uint8)
    levels[:, 0, 0, 0] = start + np.arange(count)
    return ArrayImages(name, levels, n_bits)


def batches(count=7, seed=3, **settings):
    return Batches(Settings(seed=seed, batch_size=3) if not settings else
                   Settings(**dict(seed=seed, batch_size=3) | settings),
                   images(count), images(5, "tested", start=100))


def numbers_of(x, n_bits=8):
    return quantize(x, n_bits)[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (3, 3), (5, 1), (4, 11)])
def test_an_epoch_visits_every_image_once(count, size):
    found = batches(count, batch_size=size)
    numbers = [n for step in range(3 * count) for n in numbers_of(found.training(step))]
    epochs = [numbers[k:k + count] for k in range(0, len(numbers) - count + 1, count)]
    assert len(epochs) == 3 * size
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1  # not always in one order


def test_a_batch_is_a_function_of_seed_and_step_alone():
    one, other = batches(), batches()
    forward = [one.training(step) for step in range(12)]
    list(other.testing())
    other.initial()
    for step in (11, 2, 7, 2, 0, 5):
        assert other.training(step).tobytes() == forward[step].tobytes()
    assert batches(seed=4).training(0).tobytes() != forward[0].tobytes()


def test_no_two_batches_of_noise_are_equal():
    found = batches(1, batch_size=1)
    x = [found.training(step) for step in range(50)] + [found.initial()]
    x += [*Batches(Settings(seed=3, batch_size=1), images(1), images(1)).testing()]
    assert len({array.tobytes() for array in x}) == 52
    assert len({quantize(array, 8).tobytes() for array in x}) == 1  # of one and the same image


def test_the_noise_on_test_images_is_always_the_same():
    found = batches()
    first = [x.tobytes() for x in found.testing()]
    found.training(17)
    assert [x.tobytes() for x in found.testing()] == first
    assert [x.tobytes() for x in batches().testing()] == first
    assert [n for x in found.testing() for n in numbers_of(x)] == [100, 101, 102, 103, 104]
    assert [n for x in found.testing(4) for n in numbers_of(x)] == [100, 101, 102, 103]
    assert [x.tobytes() for x in found.testing(3)] == first[:1]
    assert len(list(found.testing(1000))) == 2


def test_the_start_is_the_beginning_of_the_first_epoch():
    found = batches(initial_batch_size=5)
    order = [n for step in range(3) for n in numbers_of(found.training(step))][:7]
    assert numbers_of(found.initial()) == order[:5]
    assert numbers_of(batches(initial_batch_size=256).initial()) == order


def test_fewer_bits_and_number_types():
    found = batches(n_bits=3, dtype="float64")
    x = found.training(0)
    assert x.dtype == np.float64 and found.n_bits == 3
    expected = np.array(numbers_of(batches().training(0))) >> 5
    assert np.array_equal(quantize(x, 3)[:, 0, 0, 0], expected)
    assert batches().training(0).dtype == np.float32


def test_the_checksum_tells_other_images_of_the_same_kind():
    one, changed = images(7), images(7)
    changed._images[6, 1, 3, 2] ^= 1
    found = [Batches(Settings(), data, images(5)).checksum for data in (one, images(7), changed)]
    assert found[0] == found[1] != found[2]


def test_what_cannot_be_trained_on():
    with pytest.raises(ValueError, match=r"n_bits = 6, but the images of some have 5 bits"):
        Batches(Settings(n_bits=6), images(4, n_bits=5), images(1))
    with pytest.raises(ValueError, match="some holds no images to train on"):
        Batches(Settings(), images(0), images(1))
    nothing = Batches(Settings(), images(2), images(0))
    assert list(nothing.testing()) == []

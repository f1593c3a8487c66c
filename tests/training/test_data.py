"""Image data sets against direct reads of the same files, and every kind of bad file."""

import io
import pickle
import re
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from refglow.training import image_folder
from refglow.training.data import ArrayImages, open_data
from refglow.training.decode import decoded


def all_of(data):
    return data.batch(np.arange(len(data)))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# ---- any data set ---------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_batches_and_subsets_are_the_arrays(dtype):
    images = noise(11, 2, 3, 1).astype(dtype)
    data = ArrayImages("some", images, n_bits=8)
    assert (len(data), data.image_shape, data.n_bits, data.max_level) == (11, (2, 3, 1), 8, 255)
    batch = data.batch([7, 0, 7])
    assert batch.dtype == dtype and np.array_equal(batch, images[[7, 0, 7]])
    batch[:] = 0
    assert np.array_equal(all_of(data), images) and data.batch([]).shape == (0, 2, 3, 1)
    part = data.subset([9, 2, 4, 2]).subset(np.array([3, 0]))
    assert np.array_equal(all_of(part), images[[2, 9]]) and part.name == "some"
    assert [len(b) for b in data.batches(4)] == [4, 4, 3]
    assert np.array_equal(np.concatenate(list(data.batches(4))), images)
    assert repr(data.subset([1], "one")) == "<one: 1 images 2x3x1, 8 bits>"


@pytest.mark.parametrize(("indices", "error", "message"), [
    ([0, 3], IndexError, r"holds the images 0\.\.2; got the index 3"),
    ([-1], IndexError, "got the index -1"), ([0.5], TypeError, "got float64"),
    (1, TypeError, r"shape \[\]"), ([True, False, True], TypeError, "got bool")])
def test_wrong_indices_are_refused(indices, error, message):
    data = ArrayImages("some", noise(3, 2, 2, 3), n_bits=8)
    for method in (data.batch, data.subset):
        with pytest.raises(error, match=message):
            method(indices)


def test_wrong_arrays_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"got float64 of shape \[2, 4, 4, 1\]"):
        ArrayImages("some", np.zeros((2, 4, 4, 1)), n_bits=8)
    with pytest.raises(ValueError, match=r"1 to 8 bits; got n_bits = 9"):
        ArrayImages("some", noise(2, 4, 4, 1), n_bits=9)
    with pytest.raises(ValueError, match="at least 1 image; got 0"):
        ArrayImages("some", noise(2, 4, 4, 1), n_bits=8).batches(0)


# ---- bundled --------------------------------------------------------------------------------

def test_digits():
    from sklearn.datasets import load_digits
    train, test = open_data("digits")
    whole = load_digits().images
    assert (len(train), len(test)) == (1198, 599)
    assert (train.image_shape, train.n_bits, train.max_level) == ((8, 8, 1), 5, 16)
    words = np.random.PCG64(0).random_raw(1797)
    held_out = np.isin(words, np.sort(words)[:599])
    assert np.array_equal(all_of(test)[..., 0], whole[held_out])
    assert np.array_equal(all_of(train)[..., 0], whole[~held_out])
    assert np.flatnonzero(held_out)[:8].tolist() == [1, 2, 3, 11, 13, 15, 18, 20]  # for good
    assert all_of(train).max() == 16 and all_of(train).dtype == np.uint8


@pytest.mark.parametrize("size", [32, 50, 3, 213])
def test_photographs(size):
    from sklearn.datasets import load_sample_image
    photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    for data, region, stride in zip(open_data("photographs", image_size=size),
                                    (np.s_[:, :427], np.s_[:, 427:]), (size // 4 or 1, size),
                                    strict=True):
        expected = []
        for photograph in photographs:
            pixels = photograph[region]
            expected += [pixels[i:i + size, j:j + size]
                         for i in range(0, pixels.shape[0] - size + 1, stride)
                         for j in range(0, pixels.shape[1] - size + 1, stride)]
        assert len(data) == len(expected) and data.image_shape == (size, size, 3)
        chosen = np.random.default_rng(0).integers(0, len(expected), 40)
        assert np.array_equal(data.batch(chosen), np.stack([expected[i] for i in chosen]))


def test_photographs_of_the_default_size_and_impossible_ones():
    assert [len(data) for data in open_data("photographs")] == [5000, 156]
    for size in (0, 214):
        with pytest.raises(ValueError, match=rf"213 pixels wide .* 1\.\.213; got {size}"):
            open_data("photographs", image_size=size)
    with pytest.raises(ValueError, match=r"image_size = 16 is for \"photographs\" only; 'digits'"):
        open_data("digits", image_size=16)


@pytest.mark.parametrize(("source", "package"), [
    ("digits", "sklearn"), ("photographs", "sklearn"), ("photographs", "PIL"), (".", "PIL")])
def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch, source, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*pip install \"refglow\[train\]\""):
        open_data(source)


# ---- names ----------------------------------------------------------------------------------

@pytest.mark.parametrize("source", ["digitz", "cifar10", ""])
def test_an_unknown_name_lists_what_is_possible(source):
    with pytest.raises(ValueError, match=f"'{source}'.*digits, photographs, cifar10:FOLDER"):
        open_data(source)


@pytest.mark.parametrize("source", ["/nowhere/at/all", "images.npy", "cifar10:/nowhere"])
def test_a_missing_place_is_named(source):
    with pytest.raises(FileNotFoundError, match=re.escape(source.removeprefix("cifar10:"))):
        open_data(source)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "images.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"images\.npz' is a file, but not a \.npy file"):
        open_data(str(tmp_path / "images.npz"))


# ---- CIFAR-10 -------------------------------------------------------------------------------

def write_cifar10(folder, records=4):
    folder.mkdir()
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    contents = {name: noise(records + i, 3073, seed=i) for i, name in enumerate(names)}
    for name, content in contents.items():
        (folder / name).write_bytes(content.tobytes())
    return contents


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, inside):
    contents = write_cifar10(tmp_path / inside if inside else tmp_path / "here")
    train, test = open_data(f"cifar10:{tmp_path if inside else tmp_path / 'here'}")
    assert (len(train), len(test), train.image_shape) == (4 + 5 + 6 + 7 + 8, 9, (32, 32, 3))
    records = np.concatenate([contents[f"data_batch_{i}.bin"] for i in range(1, 6)])
    order = np.random.default_rng(0).permutation(30)
    for image, record in zip(train.batch(order), records[order], strict=True):
        bytes_of_image = record.tobytes()[1:]
        planes = [Image.frombytes("L", (32, 32), bytes_of_image[c * 1024:(c + 1) * 1024])
                  for c in range(3)]
        assert np.array_equal(image, np.asarray(Image.merge("RGB", planes)))
    last = contents["test_batch.bin"][8]
    assert test.batch([8])[0, 3, 17].tolist() == last[[1 + c * 1024 + 3 * 32 + 17
                                                       for c in range(3)]].tolist()


def test_damaged_cifar10_is_refused(tmp_path):
    folder = tmp_path / "cifar"
    write_cifar10(folder)
    broken = folder / "data_batch_3.bin"
    whole = broken.read_bytes()
    for size in (0, 3073 * 2 + 100, 100):
        broken.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=rf"data_batch_3\.bin is {size} bytes long.*3073"):
            open_data(f"cifar10:{folder}")
    broken.rename(folder / "data_batch_1")
    with pytest.raises(FileNotFoundError, match=r"lacks data_batch_3\.bin.*binary version"):
        open_data(f"cifar10:{folder}")


# ---- .npy -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("shape", "num_test"), [((25, 4, 6), 2), ((2, 4, 6, 1), 1),
                                                 ((40, 4, 6, 3), 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, shape, num_test, order):
    images = noise(*shape)
    np.save(tmp_path / "images.npy", np.asarray(images, order=order))
    train, test = open_data(tmp_path / "images.npy")
    images = images.reshape(*shape[:3], -1)
    assert np.array_equal(all_of(train), images[:-num_test])
    assert np.array_equal(all_of(test), images[-num_test:])
    assert type(train.batch([0])) is np.ndarray


def test_npy_is_read_a_batch_at_a_time(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2000, 64, 64, 3), np.uint8))  # 24 MB
    tracemalloc.start()
    train, _ = open_data(tmp_path / "images.npy")
    total = sum(len(batch) for batch in train.batches(16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 1800 and peak < 1e6


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((4, 5, 5)), r"it holds float64 \[4, 5, 5\]"),
    (np.zeros((4, 5, 5, 2), np.uint8), r"uint8 \[4, 5, 5, 2\]"),
    (np.zeros((5, 5), np.uint8), r"uint8 \[5, 5\]"),
    (np.zeros((4, 0, 5), np.uint8), r"\[4, 0, 5\]"), (np.zeros(()), "float64"),
    (np.zeros((1, 5, 5), np.uint8), r"holds 1 image\(s\); at least 2"),
    (np.zeros((4, 5, 5), "u1,u1"), "it holds")])
def test_npy_of_another_dtype_or_shape_is_refused(tmp_path, array, message):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(ValueError, match=message):
        open_data(tmp_path / "images.npy")


class Planted:
    def __reduce__(self):
        return (sys.exit, ("unpickled!",))


def test_npy_from_a_stranger_is_never_unpickled_and_a_part_is_refused(tmp_path):
    path = tmp_path / "images.npy"
    objects = np.empty((2, 2, 2), object)
    objects[:] = Planted()
    np.save(path, objects, allow_pickle=True)
    np.save(tmp_path / "whole.npy", noise(5, 4, 4))
    whole = (tmp_path / "whole.npy").read_bytes()
    for content in (path.read_bytes(), pickle.dumps(Planted()), b"", b"PK\3\4", whole[:-1],
                    whole[:60], whole.replace(b"(5, 4, 4)", b"(-5,4, 4)"),
                    whole.replace(b"(5, 4, 4)", b"(5,10**9)"),
                    whole.replace(b"(5, 4, 4)", b"('a',4,4)")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"images\.npy (is not a whole \.npy|must hold)"):
            open_data(path)


# ---- folders --------------------------------------------------------------------------------

def png(pixels, mode=None, **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, "PNG", **options)
    return buffer.getvalue()


def write_images(folder, number, *shape, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    images = noise(number, *shape, seed=start)
    for i, image in enumerate(images):
        (folder / f"{start + i:03}.png").write_bytes(png(image))
    return images


def test_a_folder_of_png_is_read_and_split_by_tens(tmp_path):
    images = write_images(tmp_path / "pictures", 23, 6, 8, 3)
    for other in ("notes.txt", ".hidden.png"):
        (tmp_path / "pictures" / other).write_text("no image")
    (tmp_path / "pictures" / "folder.png").mkdir()
    train, test = open_data(tmp_path / "pictures")
    assert train.image_shape == (6, 8, 3) and train.n_bits == 8
    assert np.array_equal(all_of(test), images[[0, 10, 20]])
    assert np.array_equal(all_of(train), np.delete(images, [0, 10, 20], axis=0))


def test_train_and_test_subfolders_are_the_split(tmp_path):
    train_images = write_images(tmp_path / "train", 3, 4, 4)
    test_images = write_images(tmp_path / "test", 2, 4, 4, start=7)
    write_images(tmp_path, 1, 9, 9)  # of another size: not looked at
    train, test = open_data(tmp_path)
    assert np.array_equal(all_of(train)[..., 0], train_images)
    assert np.array_equal(all_of(test)[..., 0], test_images)
    (tmp_path / "test").rename(tmp_path / "tests")
    with pytest.raises(ValueError, match="subfolder 'train', but none called 'test'"):
        open_data(tmp_path)


def test_jpeg_is_what_pillow_reads(tmp_path):
    for name, mode in (("a.jpg", "RGB"), ("b.JPEG", "RGB"), ("c.jpeg", "L")):
        Image.fromarray(noise(16, 8, 3)).convert(mode).save(tmp_path / name, "JPEG")
    train, test = open_data(tmp_path)
    for image, name in zip(np.concatenate([all_of(test), all_of(train)]),
                           ("a.jpg", "b.JPEG", "c.jpeg"), strict=True):
        with Image.open(tmp_path / name) as opened:  # the grey one has its channel three times
            assert np.array_equal(image, np.asarray(opened.convert("RGB")))


def test_every_kind_of_png_that_has_an_exact_8_bit_form(tmp_path):
    rgb, grey = noise(5, 4, 3), noise(5, 4)
    opaque = np.full((5, 4, 1), 255, np.uint8)
    palette = Image.fromarray(grey // 64).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7])
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 8, 7]], np.uint8)
    kinds = {
        "rgb": (png(rgb), rgb), "grey": (png(grey), grey[..., None]),
        "rgba": (png(np.concatenate([rgb, opaque], -1)), rgb),
        "grey alpha": (png(np.concatenate([grey[..., None], opaque], -1)), grey[..., None]),
        "palette": (png(palette), colours[grey // 64]),
        "palette, unused transparent colour": (png(palette, transparency=200), colours[grey // 64]),
        "palette, opaque alpha": (png(palette, transparency=b"\xff" * 4), colours[grey // 64]),
        "black and white": (png(Image.fromarray(grey > 99)), 255 * (grey > 99)[..., None])}
    for name, (content, expected) in kinds.items():
        path = tmp_path / "image.png"
        path.write_bytes(content)
        pixels = decoded(path)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels, expected), name


def chunk(name, data):
    return (len(data).to_bytes(4, "big") + name + data
            + zlib.crc32(name + data).to_bytes(4, "big"))


def raw_png(width, height, bit_depth, colour_type, data):
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(
        [bit_depth, colour_type, 0, 0, 0])
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "reason"), [
    (png(np.concatenate([noise(8, 8, 3), np.eye(8, dtype=np.uint8)[..., None]], -1)),
     "64 of its 64 pixels are transparent"),
    (png(Image.fromarray(np.tile(np.arange(8, dtype=np.uint8), (8, 1))), transparency=3),
     "8 of its 64 pixels are transparent"),
    (png(noise(8, 8).astype(np.uint16) * 257), "more than 8 bits"),
    (raw_png(8, 8, 16, 2, bytes(8 * (1 + 8 * 6))), "more than 8 bits"),
    (jpeg(Image.fromarray(noise(8, 8, 3)).convert("CMYK")), "colours are CMYK")])
def test_what_has_no_exact_8_bit_form_is_refused_by_name(tmp_path, content, reason):
    write_images(tmp_path, 12, 8, 8, 3)
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"1 of 13 images in .*: odd\.png \(.*{reason}"):
        open_data(tmp_path)


def bomb(pixels_wide):
    """A few kB that unpack to many GB."""
    return raw_png(pixels_wide, 20000, 8, 2, bytes(10000))


BROKEN = {
    "bomb": bomb(20000), "half_bomb": bomb(5000), "empty": b"", "text": b"This is no image.",
    "gif": b"GIF89a" + bytes(30), "bmp": None, "cut": png(noise(8, 8, 3))[:-60],
    "header_only": png(noise(8, 8, 3))[:40],
    "flipped": None, "cut_jpeg": jpeg(Image.fromarray(noise(64, 64, 3)))[:-900],
    "long_text": None}


def broken(name):
    if name == "flipped":  # one bit of a checksum: decoding alone does not see it
        content = bytearray(png(noise(8, 8, 3), compress_level=0))
        content[-14] ^= 1
        return bytes(content)
    if name == "bmp":
        buffer = io.BytesIO()
        Image.fromarray(noise(8, 8, 3)).save(buffer, "BMP")
        return buffer.getvalue()
    if name == "long_text":
        info = PngImagePlugin.PngInfo()
        info.add_text("comment", "a" * 2**21, zip=True)
        return png(noise(8, 8, 3), pnginfo=info)
    return BROKEN[name]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_left_out(tmp_path, name):
    images = write_images(tmp_path, 23, 8, 8, 3)
    (tmp_path / "015.png").write_bytes(broken(name))
    (tmp_path / "010.png").write_bytes(b"broken, too")
    with pytest.warns(UserWarning, match=r"2 of 23 images .* left out: 010\.png \(it is not a PNG "
                                         r"or JPEG file\), 015\.png \(.+\)") as caught:
        train, test = open_data(tmp_path)
    assert len(caught) == 1
    # The next of its ten takes the place of a broken test image; all others stay where they were.
    assert np.array_equal(all_of(test), images[[0, 11, 20]])
    assert np.array_equal(all_of(train), np.delete(images, [0, 10, 11, 15, 20], axis=0))


@pytest.mark.parametrize("limit", [99, 49])  # Pillow warns of more, and refuses twice as much
def test_a_whole_image_beyond_pillows_limit_is_left_out_undecoded(tmp_path, monkeypatch, limit):
    write_images(tmp_path, 3, 4, 4)
    (tmp_path / "large.png").write_bytes(png(noise(10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.warns(UserWarning, match=r"large\.png \(Image size \(100 pixels\) exceeds limit"):
        open_data(tmp_path)


def test_sizes_that_differ_are_named_with_how_many(tmp_path):
    write_images(tmp_path, 9, 8, 4)
    write_images(tmp_path, 7, 4, 8, start=20)
    with pytest.raises(ValueError, match=r"9 are 8x4 pixels \(height x width\), 7 are not: "
                                         r"020\.png \(4x8\), .*024\.png \(4x8\) and 2 more"):
        open_data(tmp_path)


def test_a_folder_without_images_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"no PNG or JPEG file in .* it is empty\."):
        open_data(tmp_path)
    (tmp_path / "a.gif").write_bytes(b"")
    with pytest.raises(ValueError, match=r"it holds a\.gif\.$"):
        open_data(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=f"Is it cifar10:{tmp_path}"):
        open_data(tmp_path)
    write_images(tmp_path, 1, 4, 4)
    with pytest.raises(ValueError, match=r"0 image\(s\) to train on and 1 to test"):
        open_data(tmp_path)


def test_a_file_that_changes_later_is_named(tmp_path):
    write_images(tmp_path, 4, 4, 4)
    train, _ = open_data(tmp_path)
    (tmp_path / "002.png").write_bytes(png(noise(4, 5)))
    with pytest.raises(ValueError, match=r"002\.png has changed .* \[4, 4, 1\] to \[4, 5, 1\]"):
        train.batch([0, 1])


def test_a_progress_bar_appears_only_if_it_takes_long(tmp_path, capsys, monkeypatch):
    write_images(tmp_path, 4, 4, 4)
    open_data(tmp_path)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(image_folder, "_PATIENCE", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    open_data(tmp_path)
    out, err = capsys.readouterr()
    assert out == "" and "Checking the images" in err

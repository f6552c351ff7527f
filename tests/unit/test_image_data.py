"""Image sets from files and from the network: what is read, and what is said when it cannot be."""

import gzip
import sys
import types

import numpy as np
import pytest
from PIL import Image

from lib.errors import Refused
from lib.worlds.images import files as image_data
from lib.worlds.images.data import digits, images, thinned
from tests.unit.idx import drawn, idx_bytes, write

TRAIN, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def nothing_fetched_before():
    for fetched in (image_data.openml, image_data.celeba):
        getattr(fetched, "cache_clear", lambda: None)()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_folder_of_idx_files_is_read_as_it_is(tmp_path, zipped):
    folder, arrays = write(tmp_path / "set", zipped=zipped)
    data = images(f"idx:{folder}")
    assert data.shape == (28, 28) and data.levels == 256 and data.names == ("0", "1", "2", "3")
    assert data.train.dtype == data.test.dtype == np.float32
    np.testing.assert_array_equal(np.round(255 * data.train), arrays[TRAIN])
    np.testing.assert_array_equal(np.round(255 * data.test), arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.train_labels, arrays[LABELS])
    np.testing.assert_array_equal(data.test_labels, arrays["t10k-labels-idx1-ubyte"])
    with pytest.raises(ValueError, match="read-only"):
        data.train[0] = 0


def test_files_that_were_changed_are_read_again(tmp_path):
    folder, _ = write(tmp_path)
    first = images(f"idx:{folder}")
    assert images(f"idx:{folder}") is first
    write(tmp_path, train=40)
    assert len(images(f"idx:{folder}").train) == 40


def test_names_with_a_dot_are_found_too(tmp_path):
    folder, arrays = write(tmp_path, zipped=False)
    for name in arrays:
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert images(f"idx:{folder}").train.shape == (120, 28, 28)


def test_debian_s_fashion_mnist_is_found(tmp_path, monkeypatch):
    folder, _ = write(tmp_path, train=40, test=20, classes=10)
    monkeypatch.setattr(image_data, "DEBIAN_FASHION", folder)
    monkeypatch.setattr(image_data, "openml", lambda name: pytest.fail("the network was asked"))
    data = image_data.load("fashion-mnist")
    assert data.names[8] == "bag" and len(data.names) == 10 and len(data.train) == 40


def spoil(folder, name, change):
    path = folder / f"{name}.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    return path


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (TRAIN, lambda b: b[:-1], r"is cut off: its header announces 120 × 28 × 28 values, 94096 bytes, found 94095"),
        (TRAIN, lambda b: b[:10], r"is cut off: 16 bytes of header, found 10"),
        (TRAIN, lambda b: b + b"\0", r"is too long: its header announces .*, found 94097"),
        (TRAIN, lambda b: b"", r"must start with the bytes 00 00 08 03 .*, found nothing"),
        (TRAIN, lambda b: b"\x89PNG" + b, r"must start with the bytes 00 00 08 03 .*, found 89 50 4e 47"),
        (TRAIN, lambda b: b[:2] + b"\x0d" + b[3:], r"must start with .*, found 00 00 0d 03"),
        (
            LABELS,
            lambda b: idx_bytes(drawn(120, 28, 4, 1)[0]),
            r"00 00 08 01 of 1-dimensional idx files, found 00 00 08 03",
        ),
        (
            LABELS,
            lambda b: idx_bytes(np.arange(119) % 4),
            r"as many images as labels; .*train-images.* has 120, .*train-labels.* 119",
        ),
        (LABELS, lambda b: idx_bytes(np.arange(120) % 4 * 2), r"labels 0, 1, … .* found \[0, 1, 2, 3, 4, 6\]"),
        (LABELS, lambda b: idx_bytes(np.arange(120) % 3), r"labels 0, 1, … .* found \[0, 1, 2, 3\]"),
        (LABELS, lambda b: idx_bytes(np.zeros(120)), r"at least two classes"),
        (TRAIN, lambda b: idx_bytes(drawn(120, 32, 4, 1)[0]), r"test images of one size; they have 32×32 and 28×28"),
    ],
    ids=lambda value: value if isinstance(value, str) and "idx" in value else None,
)
def test_broken_files_are_named_with_what_is_wrong(tmp_path, name, change, says):
    folder, _ = write(tmp_path)
    spoil(folder, name, change)
    with pytest.raises(ValueError, match=rf"(?s)data='idx:.*{says}"):
        images(f"idx:{folder}")


def test_a_gzip_file_that_was_cut_off_is_named(tmp_path):
    folder, _ = write(tmp_path)
    path = folder / f"{TRAIN}.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=rf"{path} cannot be read to its end, it is cut off or damaged"):
        images(f"idx:{folder}")
    path.write_bytes(b"no gzip file")
    with pytest.raises(ValueError, match=rf"{path} cannot be read to its end"):
        images(f"idx:{folder}")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=rf"data='idx:{tmp_path}/none' .*there is no folder {tmp_path}/none"):
        images(f"idx:{tmp_path}/none")
    folder, _ = write(tmp_path)
    (folder / f"{LABELS}.gz").unlink()
    with pytest.raises(
        ValueError, match=r"a folder with train-labels-idx1-ubyte or train-labels-idx1-ubyte\.gz; .* has neither"
    ):
        images(f"idx:{folder}")


def test_too_few_images_are_refused(tmp_path):
    folder, _ = write(tmp_path, test=1, classes=4)
    with pytest.raises(ValueError, match="at least 2 training and 2 test images; there are 120 and 1"):
        images(f"idx:{folder}")


@pytest.mark.parametrize("name", ["idx", "idx:", "celebrities", 3])
def test_other_names_are_refused(name):
    with pytest.raises(
        ValueError, match="data=.* is not allowed: one of 'digits', 'mnist', 'fashion-mnist', 'celeba', 'idx:FOLDER'"
    ):
        images(name)


def sent(count=60_010, side=28):
    """What OpenML sends: rows of pixels as floats, labels as text, training images first."""
    values = np.zeros((count, side * side))
    values[:, 0] = np.arange(count) % 256
    return values, (np.arange(count) % 10).astype(str)


def test_openml_is_split_where_the_set_is_split(monkeypatch):
    asked = []

    def fetch(name, **options):
        asked.append((name, options))
        return sent()

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    data = image_data.openml("mnist")
    assert asked == [("mnist_784", {"version": 1, "return_X_y": True, "as_frame": False})]
    assert data.train.shape == (60_000, 28, 28) and data.test.shape == (10, 28, 28)
    np.testing.assert_array_equal(np.round(255 * data.test[:, 0, 0]), np.arange(60_000, 60_010) % 256)
    np.testing.assert_array_equal(data.test_labels, np.arange(10))


def test_without_a_network_the_ways_out_are_named(monkeypatch):
    def fetch(*_, **__):
        raise TimeoutError("timed out")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with pytest.raises(
        OSError, match=r"data='mnist' could not be fetched from OpenML \(TimeoutError: timed out\).*idx:FOLDER"
    ):
        image_data.load("mnist")


@pytest.mark.parametrize("answer", [sent(side=27), sent(count=60_000)], ids=["another size", "no test part"])
def test_openml_sending_something_else_is_refused(monkeypatch, answer):
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: answer)
    with pytest.raises(ValueError, match="data='mnist' .*28×28 pixels; OpenML sent an array of shape"):
        image_data.openml("mnist")


class Faces:
    """Stands in for torchvision's CelebA: same arguments, same attributes, small and made here."""

    attr_names = ["Bald", "Eyeglasses", "Smiling", ""]

    def __init__(self, root, split, target_type, download):
        assert target_type == "attr" and download
        self.count = {"train": 30, "test": 12}[split]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        face = np.zeros((218, 178, 3), dtype=np.uint8)
        face[:, : 89 if index % 3 else 178] = 200
        return Image.fromarray(face), [0, int(index % 3 == 0), 1]


def test_faces_are_grey_squares_labelled_by_an_attribute(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", types.SimpleNamespace(CelebA=Faces))
    data = image_data.load("celeba")
    assert data.train.shape == (30, 32, 32) and data.test.shape == (12, 32, 32)
    assert data.names == ("not Eyeglasses", "Eyeglasses")
    np.testing.assert_array_equal(data.train_labels, np.arange(30) % 3 == 0)
    right = data.train[:, :, -8:].mean(axis=(1, 2))
    assert (right[data.train_labels == 1] > 0.7).all() and (right[data.train_labels == 0] < 0.1).all()
    with pytest.raises(ValueError, match="data attribute='Glasses' .*'Eyeglasses', 'Smiling'"):
        image_data.load("celeba:Glasses")
    monkeypatch.setattr(Faces, "__init__", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("quota exceeded")))
    with pytest.raises(OSError, match=r"data='celeba:Bald' could not be fetched \(RuntimeError: quota exceeded\)"):
        image_data.load("celeba:Bald")


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"data='celeba:Eyeglasses' is read through torchvision.*pip install torchvision"
    ):
        images("celeba")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05])
def test_a_class_is_thinned_out_and_the_others_are_not(share):
    full, data = digits(), thinned(digits(), 6, share)
    for labels, before in ((data.train_labels, full.train_labels), (data.test_labels, full.test_labels)):
        counts, all_counts = (np.bincount(x, minlength=10) for x in (labels, before))
        # A whole image more or less is the nearest that a count comes to a share.
        assert abs(counts[6] - share * labels.size) <= 0.5
        np.testing.assert_array_equal(np.delete(counts, 6), np.delete(all_counts, 6))
    np.testing.assert_array_equal(thinned(full, 6, share).train, data.train)
    known = {image.tobytes() for image in full.train}
    assert all(image.tobytes() in known for image in data.train)
    assert images("digits", (6, share)).train.shape == data.train.shape


@pytest.mark.parametrize(
    ("rare", "setting"),
    [
        *(((label, 0.02), "rare label") for label in (10, -1)),
        *(((6, share), "rare share") for share in (1.5, 1.0, 0.3, 1e-5)),
    ],
)
def test_wrong_shares_of_a_rare_class_are_named(rare, setting):
    with pytest.raises(Refused) as found:
        thinned(digits(), *rare)
    assert (found.value.setting, found.value.value) == (setting, rare[setting == "rare share"])

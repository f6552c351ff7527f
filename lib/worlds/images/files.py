"""Larger image sets: idx files in a folder, MNIST and Fashion-MNIST from OpenML, CelebA through torchvision.

MNIST: LeCun et al. (1998); Fashion-MNIST: Xiao, Rasul and
Vollgraf (2017); CelebA: Liu et al. (2015).
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lib.errors import among, refuse

FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DIGITS = tuple("0123456789")
# Debian's package dataset-fashion-mnist puts its files here.
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
OPENML = {"mnist": ("mnist_784", DIGITS), "fashion-mnist": ("Fashion-MNIST", FASHION)}
TRAIN_IMAGES = 60_000  # OpenML joins the two parts, training images first

FILES = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}
UNSIGNED_BYTES = 8  # the idx code of the one type that image sets use

CELEBA_SIDE = 32  # pixels; the middle 148 columns and rows of a face, made smaller
CELEBA_CROP = 148
CELEBA_COUNTS = {"train": 50_000, "test": 10_000}
CELEBA_ATTRIBUTE = "Eyeglasses"


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled grey images in two disjoint parts.

    `train` and `test` have shape (count, rows, columns), float32 in [0, 1]; labels are class indices, shape (count,).
    `levels` is the number of equally spaced grey levels that the images use, `names` what the classes are called.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    levels: int
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.train.shape[1:]


def load(name: str) -> Images | None:
    """The image set of that name, None for a name that is not one of these.

    - "mnist", "fashion-mnist": 60 000 and 10 000 images of 28×28 pixels from OpenML through scikit-learn, which caches
      them. Fashion-MNIST is read from Debian's folder where that is installed.
    - "idx:FOLDER": the four files of the MNIST format in a folder, plain or gzipped; read once by a process.
    - "celeba", "celeba:ATTRIBUTE": faces, grey, 32×32, in two classes, without and with the attribute (Eyeglasses by
      default), through torchvision, which downloads 1.4 GB once into ~/.cache/celeba.

    Errors: ValueError naming file and reason for files that are missing, broken or do not belong together; OSError
    where a download fails; ModuleNotFoundError without torchvision.
    """
    kind, _, rest = name.partition(":")
    if kind == "idx" and rest:
        return idx_folder(Path(rest).expanduser(), name)
    if name == "fashion-mnist" and DEBIAN_FASHION.is_dir():
        return idx_folder(DEBIAN_FASHION, name, FASHION)
    if name in OPENML:
        return openml(name)
    if kind == "celeba":
        return celeba(rest or CELEBA_ATTRIBUTE)
    return None


def idx_folder(folder: Path, name: str, names: tuple[str, ...] = ()) -> Images:
    """Both parts of an image set from its four idx files; `name` is what errors call it, `names` what its classes
    are."""
    if not folder.is_dir():
        refuse("data", name, f"a folder with idx files; there is no folder {folder}")
    paths = tuple(_find(folder, stem, name) for stems in FILES.values() for stem in stems)
    return _idx(paths, tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths), name, names)


@cache
def _idx(paths: tuple[Path, ...], stamps: tuple, name: str, names: tuple[str, ...]) -> Images:
    """Files that were changed have other stamps, and are read again."""
    arrays = [read_idx(path, dimensions, name) for path, dimensions in zip(paths, (3, 1, 3, 1), strict=True)]
    for k in (0, 2):
        if len(arrays[k]) != len(arrays[k + 1]):
            allowed = f"as many images as labels; {paths[k]} has {len(arrays[k])}, {paths[k + 1]} {len(arrays[k + 1])}"
            refuse("data", name, allowed)
    return assembled(*arrays, name, names)


def read_idx(path: Path, dimensions: int, name: str) -> np.ndarray:
    """The array of bytes in an idx file, plain or gzipped: two zero bytes, a type, the number of dimensions, each
    dimension as four bytes (most significant first), then the values."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        refuse("data", name, f"{path} cannot be read to its end, it is cut off or damaged ({error})")
    head = 4 + 4 * dimensions
    wanted = bytes([0, 0, UNSIGNED_BYTES, dimensions])
    if content[:4] != wanted[: len(content)] or not content:
        found = content[:4].hex(" ") or "nothing"
        must = f"must start with the bytes {wanted.hex(' ')} of {dimensions}-dimensional idx files"
        refuse("data", name, f"{path} {must}, found {found}")
    if len(content) < head:
        refuse("data", name, f"{path} is cut off: {head} bytes of header, found {len(content)}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    expected = head + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        word = "is cut off" if len(content) < expected else "is too long"
        announced = f"its header announces {' × '.join(map(str, shape))} values, {expected} bytes"
        refuse("data", name, f"{path} {word}: {announced}, found {len(content)}")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _find(folder: Path, stem: str, name: str) -> Path:
    """The file of that stem: with a hyphen or a dot before `idx`, gzipped or not."""
    kind = "idx3-ubyte" if "images" in stem else "idx1-ubyte"
    allowed = [f"{stem}{mark}{kind}{ending}" for ending in ("", ".gz") for mark in "-."]
    for candidate in allowed:
        if (folder / candidate).is_file():
            return folder / candidate
    refuse("data", name, f"a folder with {allowed[0]} or {allowed[2]}; {folder} has neither")


def assembled(train, train_labels, test, test_labels, name: str, names: tuple[str, ...] = ()) -> Images:
    """Images of bytes with their labels as an `Images` of float32 in [0, 1] with 256 levels, once both parts fit
    together."""
    if train.shape[1:] != test.shape[1:]:
        sizes = ("×".join(map(str, part.shape[1:])) for part in (train, test))
        refuse("data", name, "training and test images of one size; they have {} and {}".format(*sizes))
    if min(len(train), len(test)) < 2 or 0 in train.shape:
        refuse("data", name, f"at least 2 training and 2 test images; there are {len(train)} and {len(test)}")
    classes = np.unique(train_labels)
    count = max(int(classes[-1]) + 1, len(names))
    if len(classes) < 2 or len(classes) != count or test_labels.max() >= count:
        found = sorted({int(label) for label in (*classes, *np.unique(test_labels))})
        refuse("data", name, f"labels 0, 1, … of at least two classes, each among the training images; found {found}")
    scale = np.float32(255)
    arrays = train / scale, train_labels.astype(np.int64), test / scale, test_labels.astype(np.int64)
    for array in arrays:
        array.setflags(write=False)  # every caller gets the same arrays
    return Images(*arrays, levels=256, names=names or tuple(map(str, range(count))))


@cache
def openml(name: str) -> Images:
    """MNIST or Fashion-MNIST from OpenML. OSError, saying what else can be done, if it cannot be had."""
    from sklearn.datasets import fetch_openml

    title, names = OPENML[name]
    try:
        # Version 1 of each is the set as published; later ones are other people's subsets.
        values, labels = fetch_openml(title, version=1, return_X_y=True, as_frame=False)
    except Exception as error:  # HTTP errors, time-outs, checksums that differ: the ways out are the same
        raise OSError(
            f"data={name!r} could not be fetched from OpenML ({type(error).__name__}: {error}); without a network put "
            'the four idx files into a folder and name it: data="idx:FOLDER"'
        ) from error
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != 28 * 28 or len(values) <= TRAIN_IMAGES:
        allowed = f"more than {TRAIN_IMAGES} images of 28×28 pixels; OpenML sent an array of shape {values.shape}"
        refuse("data", name, allowed)
    values, labels = values.reshape(-1, 28, 28).astype(np.uint8), np.asarray(labels).astype(np.int64)
    first, rest = slice(None, TRAIN_IMAGES), slice(TRAIN_IMAGES, None)
    return assembled(values[first], labels[first], values[rest], labels[rest], name, names)


@cache
def celeba(attribute: str, folder: str | Path = "~/.cache/celeba") -> Images:
    """Faces of CelebA with one attribute as their label: class 0 without it, class 1 with it.

    Grey and 32×32. The first 50 000 images of the training part and 10 000 of the test part.
    """
    name = f"celeba:{attribute}"
    try:
        from torchvision.datasets import CelebA
    except ImportError as error:
        raise ModuleNotFoundError(
            f"data={name!r} is read through torchvision, which cannot be imported ({error}): "
            "pip install torchvision gdown"
        ) from error
    parts = []
    for part, count in CELEBA_COUNTS.items():
        try:
            faces = CelebA(str(Path(folder).expanduser()), split=part, target_type="attr", download=True)
        except Exception as error:  # its server limits downloads, and says so in many ways
            raise OSError(f"data={name!r} could not be fetched ({type(error).__name__}: {error})") from error
        known = tuple(label for label in faces.attr_names if label)
        among("data attribute", attribute, known)
        column = known.index(attribute)
        pairs = list(_faces(faces, min(count, len(faces)), lambda target, column=column: int(target[column])))
        parts += [np.stack([face for face, _ in pairs]), np.array([label for _, label in pairs])]
    return assembled(*parts, name, (f"not {attribute}", attribute))


def _faces(faces, count: int, label: Callable) -> Iterator[tuple[np.ndarray, int]]:
    for index in range(count):
        image, target = faces[index]
        left, top = ((size - CELEBA_CROP) // 2 for size in image.size)
        box = (left, top, left + CELEBA_CROP, top + CELEBA_CROP)
        yield np.asarray(image.convert("L").resize((CELEBA_SIDE, CELEBA_SIDE), box=box)), label(target)

"""Image sets by name, each with a fixed split: the embedded digits, and the larger ones of `lib.worlds.images.files`.

The digits are the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998), 13
writers, 1797 images, as scikit-learn carries it.
"""

from functools import cache

import numpy as np

from lib.errors import among, refuse, share, whole
from lib.worlds.images.files import Images, load

SPLIT_SEED = 0
KNOWN = ("digits", "mnist", "fashion-mnist", "celeba", "idx:FOLDER")


@cache
def digits() -> Images:
    """The 8×8 digits of scikit-learn, 17 grey levels: 1200 images to train on and 597 to test on.

    The split is stratified and always the same. It mixes writers: a test image has the hand of somebody who also wrote
    training images, so a test score says how well the images are modelled, not how well unknown writers would be.
    """
    from sklearn.datasets import load_digits

    stored = load_digits()
    train, test = split(stored.target, 1200)
    images = (stored.images / 16).astype(np.float32)
    labels = stored.target.astype(np.int64)
    parts = images[train], labels[train], images[test], labels[test]
    for array in parts:
        array.setflags(write=False)  # every caller gets the same arrays
    return Images(*parts, levels=17, names=tuple(str(digit) for digit in range(10)))


def split(labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a training part of `size` and of the rest, in ascending order, every class in about the same share.

    Within a class images are shuffled once, with a seed of the module. Rounding is carried from class to class, so that
    the sizes are exact.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    train, seen = [], 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        seen += members.size
        wanted = (2 * size * seen + labels.size) // (2 * labels.size) - sum(map(len, train))
        train.append(members[:wanted])
    chosen = np.sort(np.concatenate(train))
    return chosen, np.setdiff1d(np.arange(labels.size), chosen)


def images(name: str, rare: tuple[int, float] | None = None) -> Images:
    """The image data set of that name, read once: "digits" or one of `lib.worlds.images.files.load`; `rare` thins a
    class of it out, see `thinned`. Refused, naming those that are known: another name."""
    full = digits() if name == "digits" else load(name) if isinstance(name, str) else None
    if full is None:
        among("data", name, KNOWN)
    return full if rare is None else thinned(full, *rare)


@cache
def thinned(full: Images, label: int, wanted: float) -> Images:
    """The images with class `label` thinned out until it makes up a share `wanted` of each part, all others untouched.

    Which ones stay is drawn once, with a seed of the module. A share of 0 leaves none; ValueError for a share that
    rounds to none, or that is not below the one the class has.
    """
    if whole("rare label", label, 0) >= len(full.names):
        refuse("rare label", label, f"a class from 0 to {len(full.names) - 1}")
    wanted = share("rare share", wanted)
    parts = []
    for values, labels in ((full.train, full.train_labels), (full.test, full.test_labels)):
        members = np.flatnonzero(labels == label)
        others = labels.size - members.size
        count = round(wanted * others / (1 - wanted)) if wanted < 1 else labels.size
        if count >= members.size or (wanted > 0 and count == 0):
            has = members.size / labels.size
            refuse("rare share", wanted, f"0, or {1 / (others + 1):.2g} up to the {has:.3g} that class {label} has")
        kept = np.random.default_rng(SPLIT_SEED).permutation(members)[:count]
        chosen = np.sort(np.concatenate([np.flatnonzero(labels != label), kept]))
        parts += [values[chosen], labels[chosen]]
    for array in parts:
        array.setflags(write=False)
    return Images(*parts, levels=full.levels, names=full.names)

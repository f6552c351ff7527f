"""Small image sets in the format of MNIST, for tests: four idx files, byte for byte as the real ones."""

import gzip

import numpy as np


def idx_bytes(array):
    """The array as an idx file: two zeros, the code of unsigned bytes, the number of dimensions, the sizes, the
    values."""
    array = np.asarray(array, dtype=np.uint8)
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def drawn(count, side, classes, seed):
    """Images (count, side, side) and labels: class k is a bright bar across row block k, with a little noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = rng.integers(0, 40, size=(count, side, side))
    height = side // classes
    for image, label in zip(values, labels, strict=True):
        start = rng.integers(0, side // 2)
        image[label * height : (label + 1) * height, start : start + side // 2] += 200
    return values.astype(np.uint8), labels.astype(np.uint8)


def write(folder, *, side=28, train=120, test=40, classes=4, zipped=True):
    """A folder of four idx files; returns it with its arrays by file stem."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, count, seed in (("train", train, 1), ("t10k", test, 2)):
        values, labels = drawn(count, side, classes, seed)
        arrays |= {f"{part}-images-idx3-ubyte": values, f"{part}-labels-idx1-ubyte": labels}
    for name, array in arrays.items():
        content = idx_bytes(array)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder, arrays

"""What generated images are judged by: a classifier trained on real images, and distances in its embedding."""

import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

from lib.worlds.images.data import images
from lib.worlds.images.files import Images

EMBEDDING = 32  # hidden units of the classifier, the dimension of the embedding
# From so many training images on L-BFGS takes minutes: a wider layer then learns in minibatches.
MANY = 5000
WIDE_EMBEDDING = 128
BINARISATIONS = 3
STORED = Path(__file__).parent / "judge.npz"
FADED = 0.5  # a class has faded when less than this of its first share is left


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier with one hidden layer, trained on the real training part, and the real test part as it sees it.

    The embedding is the hidden layer, scaled such that the real training part has a total variance of 1 in it. `mean`
    (d,) and `covariance` (d, d) are those of the real test part in the embedding; `accuracy` is the share of real test
    images that the classifier names correctly; `variance` the total variance of the real training part in pixels.
    """

    weights: tuple[np.ndarray, np.ndarray]
    biases: tuple[np.ndarray, np.ndarray]
    mean: np.ndarray
    covariance: np.ndarray
    accuracy: float
    variance: float

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Images of shape (..., rows, columns) in the embedding, shape (..., d)."""
        flat = rows.reshape(*rows.shape[:-2], -1)
        return np.maximum(flat @ self.weights[0] + self.biases[0], 0)

    def classes(self, embedded: np.ndarray) -> np.ndarray:
        """The most probable class of embedded images (..., d), shape (...,)."""
        return (embedded @ self.weights[1] + self.biases[1]).argmax(axis=-1)

    def shares(self, embedded: np.ndarray) -> np.ndarray:
        """Share of every class among the images of each run: (runs, size, d) to (runs, classes)."""
        classes = self.classes(embedded)
        return (classes[..., None] == np.arange(self.biases[1].size)).mean(axis=1)

    def distance(self, embedded: np.ndarray) -> np.ndarray:
        """Fréchet distance of each run's images (runs, size, d) from the real test part, shape (runs,)."""
        return frechet(*moments(embedded), self.mean, self.covariance)


def judge(name: str, rare: tuple[int, float] | None = None, binary: bool = False) -> Judge:
    """The judge of a data set, made once.

    With `rare` the real images that samples are compared with have that class thinned out
    (`lib.worlds.images.data.thinned`); the classifier does not: it has to know what it looks for. With `binary` all
    real images are binarised, each pixel white with its grey level as probability.

    The classifiers of the digits are stored in STORED, so that they judge alike on every machine. That of another data
    set is fitted from a fixed start when it is first asked for: processors and numbers of threads round differently, a
    fit of thousands of steps carries that on, and distances in its embedding then differ by some percent.
    """
    return _judge(name, images(name), images(name, rare), binary)


@cache
def _judge(name: str, full: Images, data: Images, binary: bool) -> Judge:
    (w1, b1), (w2, b2) = _stored(binary) if name == "digits" else classifier(full, binary)
    # A ReLU layer may be scaled freely if the layer above undoes it; the classes stay the same.
    seen = np.maximum(_flat(_training(full, binary)[0], binary) @ w1 + b1, 0)
    scale = 1 / np.sqrt(seen.var(axis=0, ddof=1).sum())
    w1, b1, w2 = scale * w1, scale * b1, w2 / scale
    known = np.maximum(_flat(full.test, binary) @ w1 + b1, 0) @ w2 + b2
    hidden = np.maximum(_flat(data.test, binary) @ w1 + b1, 0)
    train = _flat(data.train, binary).reshape(data.train.shape)
    # Summed as a picture is, so that the last digit does not depend on how the pixels lie in memory.
    variance = float(train.var(axis=0, dtype=float).sum(axis=(-2, -1)))
    accuracy = float((known.argmax(axis=1) == full.test_labels).mean())
    return Judge((w1, w2), (b1, b2), *moments(hidden), accuracy, variance)


def classifier(data: Images, binary: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """A network with one hidden layer fitted to all of the training part: weights and biases of its two layers."""
    from sklearn.neural_network import MLPClassifier

    if len(data.train) < MANY:
        # Noisy pixels ask for smaller weights.
        decay = 10 if binary else 0.1
        network = MLPClassifier((EMBEDDING,), solver="lbfgs", alpha=decay, max_iter=2000, random_state=0)
    else:
        network = MLPClassifier((WIDE_EMBEDDING,), batch_size=256, alpha=1e-4, max_iter=12, random_state=0)
    values, labels = _training(data, binary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the passes over a large set are counted, not waited for
        network.fit(_flat(values, binary), labels)
    (w1, w2), (b1, b2) = network.coefs_, network.intercepts_
    if len(b2) == 1:  # two classes have one logit, that of the second against the first
        w2, b2 = np.hstack([0 * w2, w2]), np.append(0 * b2, b2)
    return [(w1, b1), (w2, b2)]


def _training(data: Images, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """Few black-and-white images: each is seen in several binarisations."""
    copies = BINARISATIONS if binary and len(data.train) < MANY else 1
    return np.tile(data.train, (copies, 1, 1)), np.tile(data.train_labels, copies)


def _stored(binary: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    with np.load(STORED, allow_pickle=False) as stored:
        return [tuple(stored[f"{'binary' if binary else 'grey'}/{name}{k}"] for name in ("w", "b")) for k in (1, 2)]


def store() -> None:
    """Fit the classifiers of the digits and write STORED, with kernels that every x86-64 processor has:

    OPENBLAS_CORETYPE=Prescott OMP_NUM_THREADS=1 python -c "from lib.worlds.images import scores; scores.store()"
    """
    found = {}
    for binary in (False, True):
        for k, (w, b) in enumerate(classifier(images("digits"), binary), 1):
            kind = "binary" if binary else "grey"
            found |= {f"{kind}/w{k}": w, f"{kind}/b{k}": b}
    np.savez(STORED, **found)


def _flat(values: np.ndarray, binary: bool) -> np.ndarray:
    """Images (count, rows, columns) as rows of pixels, binarised on request, always in the same way."""
    if binary:
        values = (np.random.default_rng(0).random(values.shape, dtype=np.float32) < values).astype(np.float32)
    return values.reshape(len(values), -1)


def moments(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (..., d) and unbiased covariance (..., d, d) of points (..., size, d)."""
    mean = points.mean(axis=-2)
    centred = points - mean[..., None, :]
    return mean, centred.swapaxes(-1, -2) @ centred / (points.shape[-2] - 1)


def frechet(mean: np.ndarray, covariance: np.ndarray, mean_0: np.ndarray, covariance_0: np.ndarray) -> np.ndarray:
    """|μ − μ₀|² + tr(Σ + Σ₀ − 2(Σ₀^½ Σ Σ₀^½)^½), the squared 2-Wasserstein distance of two Gaussians, for each run.

    This is the "Fréchet distance" of Dowson and Landau (1982) as Heusel et al. (2017) use it: squared, in the squared
    units of the space. Shapes (runs, d), (runs, d, d), (d,), (d, d) to (runs,). Singular covariances are allowed.
    """
    values, vectors = np.linalg.eigh(covariance_0)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ covariance @ root), 0, None)).sum(axis=-1)
    traces = np.trace(covariance, axis1=-2, axis2=-1) + np.trace(covariance_0)
    return ((mean - mean_0) ** 2).sum(axis=-1) + np.clip(traces - 2 * cross, 0, None)


def entropy(shares: np.ndarray) -> np.ndarray:
    """Entropy of shares (..., classes), in nats; a class without images adds nothing."""
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return -(shares * logs).sum(axis=-1)


def faded(shares: np.ndarray) -> np.ndarray:
    """The first generation (1, 2, …) at which each class has less than half of the share it had at generation 1, NaN if
    it never has.

    `shares` has shape (generations, classes), as a mean over runs; a class without a share at generation 1 has faded
    there.
    """
    below = shares < FADED * shares[:1]
    below[0] = shares[0] <= 0
    return np.where(below.any(axis=0), below.argmax(axis=0) + 1.0, np.nan)


def rare_class(data: xr.Dataset) -> int:
    """The class that the world of a data set of `recurse` had thinned out."""
    return json.loads(data.attrs["rare"])[0]


def with_rare_share(data: xr.Dataset) -> xr.Dataset:
    """A data set of `recurse` with `rare_share` beside `class_shares`: the share among samples of the class that is
    rare."""
    share = data["class_shares"].isel({"class": rare_class(data)})
    return data.assign(
        rare_share=share.assign_attrs(kind="tail", worse="less", long_name="share of the rare class", units="")
    )

"""The worlds of mixtures and kernel density estimates: shapes, fits, samples, scores, memory, and what they refuse."""

import json
import tracemalloc
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, Keep, Replace
from lib.worlds.densities import GMM, KDE, SHAPES, GMMModel, KDEModel, width
from tests.unit.refusals import refused

MAKERS = {
    "circles": lambda: datasets.make_circles(200_000, noise=0.05, factor=0.5, random_state=0)[0],
    "moons": lambda: datasets.make_moons(200_000, noise=0.1, random_state=0)[0],
    "swiss_roll": lambda: datasets.make_swiss_roll(200_000, noise=0.5, random_state=0)[0],
}
SMALL = {"n": 20, "generations": 3, "runs": 3, "seed": 3}


# Shapes


@pytest.mark.parametrize("name", SHAPES)
def test_real_points_are_standardised_by_the_true_moments(name):
    points = SHAPES[name].rows(1, 400_000, np.random.default_rng(0))[0]
    # 11 coordinates, each with a mean and a mean square within four standard errors: a false alarm in 1 of 700 seeds.
    for power in (1, 2):
        z = (points**power).mean(axis=0) - (power - 1)
        assert (np.abs(z) < 4 * (points**power).std(axis=0) / np.sqrt(len(points))).all()


@pytest.mark.parametrize("name", MAKERS)
def test_shapes_are_those_of_the_makers(name):
    mean, scale = SHAPES[name].moments
    made = (MAKERS[name]() - mean) / scale
    drawn = SHAPES[name].rows(1, 200_000, np.random.default_rng(0))[0]
    edges = [np.linspace(-2.2, 2.2, 12)] * drawn.shape[1]
    first, second = (np.histogramdd(points, edges)[0] for points in (made, drawn))
    # Cells of two independent samples of equal size; the makers' even spacing only makes theirs vary less.
    full = first + second > 50
    z = (first - second)[full] / np.sqrt((first + second)[full])
    assert np.abs(z).max() < 6
    assert (z**2).mean() < 1.5


def test_blobs_are_made_by_their_weights():
    shape = SHAPES["uneven_blobs"]
    points = shape.rows(1, 100_000, np.random.default_rng(0))[0]
    nearest = ((points[:, None] - shape.modes) ** 2).sum(axis=2).argmin(axis=1)
    assert_allclose(np.bincount(nearest) / len(points), (0.6, 0.3, 0.1), atol=0.006)
    assert_allclose(SHAPES["blobs"].modes.mean(axis=0), 0, atol=1e-12)


# Mixtures


def test_a_fit_is_scikit_learns_and_keeps_mean_and_variance():
    world = GMM(components=2)
    real = world.real(3, 300, np.random.default_rng(1), 0)
    fit = world.fit((Part(real, 1.0),), np.random.default_rng(2))
    seeds = np.random.default_rng(2).integers(2**31, size=3)
    for run in range(3):
        theirs = GaussianMixture(2, random_state=int(seeds[run])).fit(real.values[run])
        assert_allclose(fit.model.means[run], theirs.means_)
        assert_allclose(world.log_density(fit.model, run, world.test), theirs.score_samples(world.test), rtol=1e-9)
    mean, variance = world.moments(fit.model)
    assert_allclose(mean, real.values.mean(axis=1), atol=1e-12)
    assert_allclose(variance, real.values.var(axis=1) + 1e-6, rtol=1e-9)
    assert (fit.steps > 1) and fit.examples == fit.steps * 300


def test_scores_of_a_mixture_that_is_the_truth():
    world = GMM("uneven_blobs", components=3)
    mean, scale = world.shape.moments
    weights = np.array([world.shape.weights] * 2)
    covariances = np.broadcast_to(np.diag(1 / scale**2), (2, 3, 2, 2))
    model = GMMModel(weights, np.stack([world.shape.modes] * 2), covariances)
    found = world.score(model, np.random.default_rng(0), (*world.scores, "shown"))
    assert_allclose(found["variance_ratio"], 1, rtol=1e-9)
    assert_allclose(found["squared_mean_error"], 0, atol=1e-12)
    assert_allclose(found["mode_diversity"], 1, atol=0.05)
    assert_allclose(found["smallest_mode"], 0.1, atol=0.03)
    assert_allclose(found["rare_mode"], found["smallest_mode"])
    assert found["shown"].shape == (2, 300, 2)
    density = sum(
        w * stats.multivariate_normal(m, c).pdf(world.test)
        for w, m, c in zip(weights[0], model.means[0], covariances[0], strict=True)
    )
    assert_allclose(found["test_nll"], -np.log(density).mean())
    # Sampled in proportion to the weights and spread by the covariances.
    points = world.sample(model, 100_000, None, np.random.default_rng(1)).values
    assert_allclose(points.mean(axis=1), 0, atol=0.02)
    assert_allclose(points.var(axis=1), 1, atol=0.02)


def test_the_rare_mode_stays_the_rare_mode():
    # A fit that has lost the second of three modes: the smallest share is that one's, the rare mode's is what it was.
    world = GMM("uneven_blobs", components=2)
    model = GMMModel(
        np.array([[0.7, 0.3]] * 2),
        np.stack([world.shape.modes[[0, 2]]] * 2),
        np.full((2, 2, 1, 1), 1e-4) * np.eye(2),
    )
    found = world.score(model, np.random.default_rng(0), ("rare_mode", "smallest_mode"))
    assert_allclose(found["smallest_mode"], 0)
    assert_allclose(found["rare_mode"], 0.3, atol=0.05)


@pytest.mark.parametrize("ridge", [1e-8, 1e-5])
def test_the_loss_under_replace_does_not_hang_on_the_ridge(ridge, monkeypatch):
    setting = {"n": 200, "generations": 20, "runs": 6, "seed": 3, "scores": "test_nll"}
    ours = recurse(GMM(), Replace(), **setting)["test_nll"].isel(generation=-1)
    monkeypatch.setattr("lib.worlds.densities.GaussianMixture", partial(GaussianMixture, reg_covar=ridge))
    theirs = recurse(GMM(), Replace(), **setting)["test_nll"].isel(generation=-1)
    assert_allclose(theirs.median(), ours.median(), rtol=0.1)


def test_what_lies_between_modes():
    shape = GMM("uneven_blobs").shape
    places = np.concatenate([shape.modes, shape.modes.mean(axis=0, keepdims=True), 3 * shape.modes])
    assert shape.between(places).tolist() == [False] * 3 + [True] + [False] * 3
    # Of the real points 1% lie farther than the limit from their own mode, and less than half of those in the triangle.
    share = shape.between(shape.rows(1, 200_000, np.random.default_rng(2))).mean()
    assert 0 < share < 0.005
    # Components that have run together are between the modes; a set that has lost two of three modes is not.
    for places, expected in ((shape.modes.mean(axis=0, keepdims=True), 1), (shape.modes[:1], 0)):
        model = GMMModel(np.ones((2, 1)), np.stack([places] * 2), np.full((2, 1, 1, 1), 1e-4) * np.eye(2))
        found = GMM("uneven_blobs", components=1).score(model, np.random.default_rng(3), ("between_modes",))
        assert_allclose(found["between_modes"], expected)


def test_a_world_without_modes_has_no_scores_of_modes():
    assert "smallest_mode" not in GMM("moons").scores
    with refused("scores", "smallest_mode"):
        recurse(GMM("moons"), Replace(), **SMALL, scores="smallest_mode")


# Kernel density estimates


@pytest.mark.parametrize("count", [5, 3000])
@pytest.mark.parametrize("bandwidth", [0.02, 0.5])
def test_densities_are_sums_of_kernels(count, bandwidth):
    world = KDE("swiss_roll", bandwidth)
    model = KDEModel(world.real(2, count, np.random.default_rng(1), 0).values, bandwidth)
    # Far from every kernel the density underflows; its logarithm must not.
    points = np.concatenate([world.test, [[50.0, 0, 0]]])
    for run in range(2):
        kernels = stats.norm.logpdf(points[:, None], model.points[run], bandwidth).sum(axis=2)
        expected = special.logsumexp(kernels, axis=1) - np.log(count)
        assert_allclose(world.log_density(model, run, points), expected, rtol=1e-9)
        if bandwidth == 0.5:
            # (In the far tails the bounds of scikit-learn's trees are not as tight as they are asked to be.)
            theirs = KernelDensity(bandwidth=bandwidth, rtol=1e-10).fit(model.points[run])
            assert_allclose(world.log_density(model, run, world.test), theirs.score_samples(world.test), rtol=1e-8)


def test_evaluating_an_accumulated_set_takes_constant_memory():
    world = KDE("moons", 0.1)
    peaks = []
    for count in (20_000, 200_000):
        model = KDEModel(world.real(1, count, np.random.default_rng(1), 0).values, 0.1)
        world.log_density(model, 0, world.test[:1])
        tracemalloc.start()
        world.log_density(model, 0, world.test)
        world.sample(model, 100, None, np.random.default_rng(0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 40e6  # all pairs at once would be 800 MB


def test_samples_are_training_points_with_kernel_noise():
    world = KDE("moons", 0.25)
    points = world.real(2, 50, np.random.default_rng(0), 0).values
    drawn = world.sample(KDEModel(points, 1e-9), 5000, None, np.random.default_rng(1)).values
    distance = np.abs(drawn[:, :, None] - points[:, None]).max(axis=3)
    assert distance.min(axis=2).max() < 1e-7
    counts = np.array([np.bincount(run, minlength=50) for run in distance.argmin(axis=2)])
    assert stats.chisquare(counts[0]).pvalue > 1e-4
    noisy = world.sample(KDEModel(points, 0.25), 5000, None, np.random.default_rng(1)).values - drawn
    assert stats.kstest(noisy.ravel() / 0.25, "norm").pvalue > 1e-4


def test_rules_of_thumb_are_scikit_learns():
    points = np.random.default_rng(0).normal(size=(70, 3))
    for rule in ("scott", "silverman"):
        assert_allclose(width(rule, 70, 3), KernelDensity(bandwidth=rule).fit(points).bandwidth_)
    data = recurse(KDE("blobs", "scott"), [Replace(), Accumulate()], **SMALL, scores="variance_ratio")
    assert data.attrs["bandwidth"] == "scott"
    world = KDE("swiss_roll", "scott")
    assert world.fit((Part(Rows(np.zeros((1, 128, 3))), 1.0),), None).model.bandwidth == 0.5


# Both worlds in the recursion


@pytest.mark.parametrize("world", [GMM(components=2), KDE("moons", 0.1), KDE("circles", "silverman")], ids=str)
def test_both_worlds_run_under_every_kind_of_regime_and_from_a_checkpoint(world, tmp_path):
    regimes = [Replace(), Accumulate(), AccumulateSubsample(), Keep(0.5)]
    whole = recurse(world, regimes, **SMALL, keep="shown")
    assert all(np.isfinite(whole[score]).all() for score in world.scores)
    recurse(world, regimes, **SMALL | {"generations": 2}, keep="shown", checkpoint=tmp_path)
    resumed = recurse(world, regimes, **SMALL, keep="shown", checkpoint=tmp_path)
    assert whole.equals(resumed)
    fewer = recurse(world, regimes, **SMALL | {"runs": 2}, keep="shown")
    assert_allclose(fewer["variance_ratio"], whole["variance_ratio"].isel(run=slice(2)), rtol=1e-12)
    assert json.loads(json.dumps(world.settings()))["data"] == world.data


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: KDE(bandwidth=0), ("bandwidth", 0)),
        (lambda: KDE(bandwidth=-0.1), ("bandwidth", -0.1)),
        (lambda: KDE(bandwidth=float("nan")), ("bandwidth",)),
        (lambda: KDE(bandwidth=True), ("bandwidth", True)),
        (lambda: KDE(bandwidth="plugin"), ("bandwidth", "plugin")),
        (lambda: KDE("spiral"), ("data", "spiral")),
        (lambda: GMM("spiral"), ("data", "spiral")),
        (lambda: GMM(components=0), ("components", 0)),
        (lambda: GMM(score_samples=10), ("score_samples", 10)),
        (lambda: recurse(GMM(components=30), Replace(), **SMALL), ("n", 20)),
        (lambda: recurse(KDE(), Replace(), **SMALL | {"n": 1}), ("n", 1)),
        (lambda: recurse(KDE(), Accumulate(), **SMALL | {"n": 4 * 10**6}), ("n", 4_000_000)),
    ],
)
def test_wrong_settings_are_refused_before_any_work(make, expected, monkeypatch):
    for world in (GMM, KDE):
        monkeypatch.setattr(world, "real", lambda *a: pytest.fail("work was done"))
    with refused(*expected):
        make()

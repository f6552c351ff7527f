"""The Gaussian world: fits, scores and truths against plain numpy and scipy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, linalg, stats

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, RealOnly, Replace
from lib.worlds.gaussian import Gaussian, GaussianModel, _lower_factor
from lib.worlds.moments import Moments
from tests.unit.refusals import refused


def fitted(estimator="mle", d=3, n=30, runs=2):
    rows = Rows(np.random.default_rng(1).normal(0.5, 2.0, (runs, n, d)))
    world = Gaussian(d, estimator, "explicit")
    return rows.values, world, world.fit((Part(Moments.of(rows), 1.0),), None).model


@pytest.mark.parametrize(("estimator", "ddof"), [("mle", 0), ("unbiased", 1)])
def test_a_fit_is_the_sample_mean_and_covariance(estimator, ddof):
    values, _, model = fitted(estimator)
    for run in range(2):
        assert_allclose(model.mean[run], values[run].mean(axis=0))
        assert_allclose(model.covariance[run], np.cov(values[run].T, ddof=ddof))
        assert_allclose(model.factor[run] @ model.factor[run].T, model.covariance[run])


def test_parts_are_pooled_by_their_samples():
    rng = np.random.default_rng(2)
    a, b = Rows(rng.normal(size=(2, 9, 3))), Rows(rng.normal(size=(2, 14, 3)))
    world = Gaussian(3, "unbiased", "explicit")
    model = world.fit((Part(Moments.of(a), 1.0), Part(Moments.of(b), 0.0)), None).model
    assert_allclose(model.covariance[0], np.cov(np.concatenate([a.values[0], b.values[0]]).T))


def test_scores_against_their_definitions():
    truth = stats.multivariate_normal([1.0, -1.0, 0.5], [[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 0.5]])
    world = Gaussian(3, truth=truth)
    _, _, model = fitted()
    found = world.score(model, None, world.scores)
    for run in range(2):
        mean, cov = model.mean[run], model.covariance[run]
        gap = mean - truth.mean
        root = linalg.sqrtm(truth.cov)
        cross = linalg.sqrtm(root @ cov @ root).real
        inverse = np.linalg.inv(cov)
        log_det = np.log(np.linalg.det(cov) / np.linalg.det(truth.cov))
        assert_allclose(found["trace_ratio"][run], np.trace(cov) / np.trace(truth.cov))
        assert_allclose(found["log_det_ratio"][run], log_det)
        assert_allclose(found["squared_mean_error"][run], gap @ gap)
        assert_allclose(found["w2_squared"][run], gap @ gap + np.trace(cov + truth.cov - 2 * cross))
        assert_allclose(found["kl"][run], 0.5 * (np.trace(inverse @ truth.cov) + gap @ inverse @ gap - 3 + log_det))


@pytest.mark.parametrize("d", [3, 30])
def test_kl_against_a_general_inverse(d):
    _, world, model = fitted(d=d, n=4 * d)
    cov, mean = model.covariance, model.mean
    inverse = np.linalg.inv(cov)
    expected = [
        0.5 * (np.trace(inverse[k]) + mean[k] @ inverse[k] @ mean[k] - d + np.linalg.slogdet(cov[k])[1])
        for k in range(2)
    ]
    assert_allclose(world.score(model, None, ("kl",))["kl"], expected, rtol=1e-10)


def test_a_perfect_fit_scores_perfectly():
    world = Gaussian(4)
    eye = np.eye(4)[None]
    found = world.score(GaussianModel(np.zeros((1, 4)), eye), None, world.scores)
    assert [float(found[name][0]) for name in world.scores] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "truth", [stats.expon(), stats.t(5), stats.uniform(-1, 3), stats.poisson(4)], ids=lambda t: t.dist.name
)
def test_exact_w2_by_quantiles_and_the_gelbrich_bound(truth):
    world = Gaussian(1, truth=truth)
    assert tuple(world.scores) == ("trace_ratio", "log_det_ratio", "squared_mean_error", "w2_squared", "gelbrich")
    mean, deviation = 0.7, 1.3
    model = GaussianModel(np.full((1, 1), mean), np.full((1, 1, 1), deviation))
    found = world.score(model, None, world.scores)
    u = (np.arange(200_000) + 0.5) / 200_000
    by_hand = np.mean((truth.ppf(u) - mean - deviation * stats.norm.ppf(u)) ** 2)
    assert_allclose(found["w2_squared"], by_hand, rtol=2e-3)  # a midpoint rule misses a little of the tails
    assert_allclose(found["gelbrich"], (mean - truth.mean()) ** 2 + (deviation - truth.std()) ** 2, rtol=1e-10)
    assert found["gelbrich"] <= found["w2_squared"]


def test_a_normal_truth_is_a_gaussian_truth():
    world = Gaussian(2, truth=stats.norm(3, 2))
    assert "kl" in world.scores
    data = recurse(world, Replace(), n=10**6, generations=1, runs=2, seed=0)
    assert_allclose(data["trace_ratio"], 1, atol=0.02)
    assert_allclose(data["w2_squared"], 0, atol=1e-3)


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_other_truths_draw_their_own_points(sampler):
    world = Gaussian(2, "mle", sampler, stats.gamma(2))
    data = recurse(
        world, [Accumulate(), FreshReal(0.5), RealOnly()], n=20_000, generations=3, runs=3, seed=0, keep="mean"
    )
    assert_allclose(data["mean"], 2, atol=0.1)
    assert_allclose(data["trace_ratio"], 1, atol=0.1)
    assert "kl" not in data


def test_multivariate_truths():
    for truth in (stats.multivariate_t([1, 2], [[2, 0.3], [0.3, 1]], df=8), stats.dirichlet([2.0, 3.0, 4.0])):
        d = truth.rvs(random_state=0).size
        if isinstance(truth, type(stats.dirichlet([1.0, 1.0]))):
            with refused("truth", "dirichlet_frozen"):
                Gaussian(d, truth=truth)
            continue
        data = recurse(Gaussian(d, truth=truth), Replace(), n=200_000, generations=1, runs=1, seed=0)
        assert_allclose(data["trace_ratio"], 1, atol=0.05)
        assert data["gelbrich"] < 1e-3


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Gaussian(1, truth=stats.cauchy()), ("truth", "cauchy")),
        (lambda: Gaussian(1, truth=stats.t(1.5)), ("truth", "t")),
        (lambda: Gaussian(2, truth=stats.multivariate_normal(np.zeros(3))), ("truth",)),
        (lambda: Gaussian(2, truth="normal"), ("truth", "normal")),
    ],
)
def test_truths_that_cannot_be(make, expected):
    with refused(*expected):
        make()


def test_fewer_samples_than_dimensions():
    data = recurse(
        Gaussian(8), [Replace(), Accumulate(), RealOnly()], n=5, generations=6, runs=3, seed=0, keep="covariance"
    )
    assert np.isnan(data["log_det_ratio"].sel(regime=["Replace", "Accumulate"])).all()
    assert np.isnan(data["kl"].sel(regime="Accumulate")).all()
    for name in ("trace_ratio", "squared_mean_error", "w2_squared"):
        assert np.isfinite(data[name]).all()
    rank = [np.linalg.matrix_rank(c, hermitian=True) for c in data["covariance"].sel(regime="Accumulate", run=0).values]
    assert rank == [4] * 6


def test_a_collapsed_covariance_keeps_its_determinant():
    # After 400 generations of 12 points in 6 dimensions the spreads differ by more than 16 digits; the factor still
    # knows.
    data = recurse(Gaussian(6), Replace(), n=12, generations=400, runs=4, seed=0)
    assert np.isfinite(data["log_det_ratio"]).all()
    assert (data["log_det_ratio"].isel(generation=-1) < -500).all()


def test_quadrature_of_the_normal_truth_is_its_deviation():
    # E[Q(Φ(Z)) Z] of N(3, 2²) is 2, and the constant is computed the same way for every univariate truth.
    assert_allclose(Gaussian(1, truth=stats.norm(3, 2))._truth.quantile_product, 2, rtol=1e-8)
    by_quad = integrate.quad(lambda z: stats.expon.ppf(stats.norm.cdf(z)) * z * stats.norm.pdf(z), -8, 8)[0]
    assert_allclose(Gaussian(1, truth=stats.expon())._truth.quantile_product, by_quad, rtol=1e-6)


def test_a_singular_scatter_has_one_factor_whatever_the_signs_of_its_eigenvectors():
    points = np.random.default_rng(3).normal(size=(20, 4, 6))
    scatter = np.einsum("rni,rnj->rij", points, points)
    factor = _lower_factor(scatter)
    assert factor.shape == (20, 6, 4)
    assert (np.diagonal(factor, axis1=1, axis2=2) > 0).all()
    assert_allclose(factor @ factor.swapaxes(1, 2), scatter, atol=1e-12)


def test_points_that_lie_in_fewer_dimensions_have_no_determinant():
    flat = np.random.default_rng(4).normal(size=(2, 50, 3)) @ np.random.default_rng(5).normal(size=(3, 6))
    world = Gaussian(6, sampler="explicit")
    model = world.fit((Part(world.reduce(Rows(flat)), 1.0),), None).model
    found = world.score(model, None, ("log_det_ratio", "trace_ratio"))
    assert np.isnan(found["log_det_ratio"]).all()
    assert_allclose(found["trace_ratio"], flat.var(axis=1).sum(axis=1) / 6)


def test_a_distribution_on_other_numbers_than_integers_has_the_right_distance():
    values, chances = np.array([0, 0.25, 0.5, 2.0]), np.array([0.2, 0.3, 0.3, 0.2])
    truth = stats.rv_discrete(values=(values, chances))
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    product = np.mean(truth.ppf(u) * stats.norm.ppf(u))
    assert_allclose(Gaussian(1, truth=truth)._truth.quantile_product, product, rtol=1e-5)


@pytest.mark.parametrize(
    "truth", [stats.norm, stats.rv_histogram(([1, 3, 2], [0.0, 1.0, 2.0, 3.0]))], ids=["norm", "h"]
)
def test_a_distribution_that_needs_no_shape_is_as_good_as_a_frozen_one(truth):
    data = recurse(Gaussian(1, truth=truth), Replace(), n=20, generations=3, runs=2, seed=1)
    assert np.isfinite(data["w2_squared"]).all()

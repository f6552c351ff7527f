"""The Gaussian world: fits and scores against plain numpy and scipy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import linalg

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, RealOnly, Replace
from lib.worlds.gaussian import Gaussian, GaussianModel, _lower_factor
from lib.worlds.moments import Moments


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
    _, world, model = fitted()
    found = world.score(model, None, world.scores)
    for run in range(2):
        mean, cov = model.mean[run], model.covariance[run]
        inverse, log_det = np.linalg.inv(cov), np.log(np.linalg.det(cov))
        assert_allclose(found["trace_ratio"][run], np.trace(cov) / 3)
        assert_allclose(found["log_det_ratio"][run], log_det)
        assert_allclose(found["squared_mean_error"][run], mean @ mean)
        assert_allclose(found["w2_squared"][run], mean @ mean + np.trace(cov + np.eye(3) - 2 * linalg.sqrtm(cov).real))
        assert_allclose(found["kl"][run], 0.5 * (np.trace(inverse) + mean @ inverse @ mean - 3 + log_det))


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

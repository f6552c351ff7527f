"""The counterexample of Barzilai and Shamir: its maximum likelihood against brute force, and where it collapses."""

import numpy as np
import pytest

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, RealOnly, Replace
from lib.worlds.spiked import EDGE, MOST, WIDE, Spiked, SpikedModel
from tests.unit.refusals import refused


def log_density(world, x, alpha, spike):
    """ln p of the points under one (α, μ), straight from the definition; an atom of width f counts as a width of f."""
    width = WIDE if alpha <= EDGE else None
    inside = (x >= 0) & (x <= 1)
    cut = (x >= 0) & (
        x <= 1 - 2 * alpha + 1e-12
    )  # α was found as (1−x)/2: its own point is within, whatever rounding says
    away = (x >= 2) & (x <= 3)
    plain = 0.5 * inside + 0.5 * (1 - alpha) * cut / (1 - 2 * alpha) + 0.5 * (alpha / 2) * away
    if width is not None:
        return np.log(plain + 0.5 * (alpha / 2) * ((x >= spike) & (x <= spike + width)) / width)
    # In log space: ½ (α/2) e^{rate·n·α} has no floating-point value of its own.
    on = x == spike
    with np.errstate(divide="ignore"):
        return np.where(
            on, np.logaddexp(np.log(plain), np.log(alpha / 4) + world.rate * world.points * alpha), np.log(plain)
        )


def fitted(world, x):
    model = world.fit((Part(Rows(x[None]), 1.0),), None).model
    return model.alpha[0], model.spike[0]


@pytest.mark.parametrize("odd", [0, 1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_no_parameters_are_more_likely_than_the_fitted_ones(odd, seed):
    world = Spiked(100)
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.random(150), 2 + rng.random(odd)])
    if odd == 3:
        x[-1] = x[-2]  # an atom that has been hit before
    alpha, spike = fitted(world, x)
    best = log_density(world, x, alpha, spike).sum()
    # Every candidate and a grid between them; a spike begins at a point of [2, 3], or anywhere if there is none.
    grid = np.concatenate([np.linspace(1e-4, MOST, 400), (1 - x[x <= 1]) / 2, (1 - x[x <= 1]) / 2 + 1e-9, [EDGE, MOST]])
    spikes = np.unique(np.concatenate([[2.0], np.minimum(x[x > 1], 3 - WIDE), x[x > 1]]))
    others = [
        log_density(world, x, a, s).sum()
        for a in grid[(grid > 0) & (grid <= MOST)]
        for s in (np.minimum(spikes, 3 - WIDE) if a <= EDGE else spikes)
    ]
    assert best >= max(others) - 1e-9
    assert best == pytest.approx(max(others), abs=1e-6)


def test_one_odd_point_is_enough():
    x = np.random.default_rng(1).random(200)
    assert fitted(Spiked(100), x)[0] < 0.02
    odd = np.append(x, 2.5)
    alpha, spike = fitted(Spiked(100), odd)
    assert alpha > EDGE and spike == 2.5
    # With ten times the data the spike of the theorem's rate is outweighed, a narrower one is not.
    many = np.append(np.random.default_rng(2).random(2000), 2.5)
    assert fitted(Spiked(100), many)[0] < EDGE < fitted(Spiked(100, rate=160.0), many)[0]


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_samples_follow_the_density(alpha):
    """Shares of the four pieces, each within 4.5 standard errors: a false alarm has a probability below 10⁻⁴."""
    size = 200_000
    model = SpikedModel(np.array([alpha]), np.array([2.4]))
    x = Spiked(100).sample(model, size, None, np.random.default_rng(3)).values[0]
    width = WIDE if alpha <= EDGE else 0.0
    spiked = (x >= 2.4) & (x <= 2.4 + width)
    expected = {
        "low": (0.5 * (1 - 2 * alpha) + 0.5 * (1 - alpha), (x <= 1 - 2 * alpha).mean()),
        "high": (alpha, ((x > 1 - 2 * alpha) & (x <= 1)).mean()),
        "away": (alpha / 2, (x > 1).mean()),
        "spike": (alpha / 4 * (1 + width), spiked.mean()),
    }
    for name, (law, share) in expected.items():
        assert abs(share - law) < 4.5 * np.sqrt(law / size), name
    assert x.min() >= 0 and x.max() <= 3 and not ((x > 1) & (x < 2)).any()


@pytest.mark.statistical
def test_it_collapses_at_generation_two_as_often_as_a_point_falls_away():
    """Collapse if and only if one of n points falls into [2, 3], each with probability α/2 given the first fit; |z| <
    4."""
    for n, runs in ((100, 8000), (800, 2000)):
        data = recurse(Spiked(n), [Accumulate(), Replace(), RealOnly()], n=n, generations=2, runs=runs, seed=20250526)
        alpha = data["total_variation"].sel(regime="Accumulate", generation=1).values
        hit = data["collapsed"].sel(regime="Accumulate", generation=2).values
        expected = 1 - (1 - alpha / 2) ** n
        surplus = hit - expected
        assert abs(surplus.mean()) < 4 * surplus.std() / np.sqrt(runs)
        assert 0.2 < hit.mean() < 0.28
        # On n real points a fit beyond the edge is rare, about 4 in 10⁴ at n = 100; on 2n it was never seen.
        assert data["collapsed"].sel(regime="RealOnly", generation=2).sum() == 0
        assert data["collapsed"].sel(regime="RealOnly", generation=1).mean() < 2e-3
        assert 0.5 < n * alpha.mean() < 0.9


def test_later_generations_need_the_narrower_spike():
    """What collapsed stays collapsed if the spike outweighs all later data; Replace is worse."""
    data = recurse(Spiked(100, rate=160.0), [Accumulate(), Replace()], n=100, generations=8, runs=200, seed=7)
    accumulate, replace = (data["collapsed"].sel(regime=r).values for r in ("Accumulate", "Replace"))
    assert (np.diff(accumulate, axis=0) >= 0).all()
    assert replace[-1].mean() > accumulate[-1].mean() > 0.4
    assert np.allclose(data["off_support"], data["total_variation"] / 2)


def test_it_resumes_from_a_checkpoint(tmp_path):
    settings = {"n": 50, "runs": 6, "seed": 3}
    world, regimes = Spiked(100), [Accumulate(), Replace()]
    whole = recurse(world, regimes, generations=4, **settings)
    recurse(world, regimes, generations=2, checkpoint=tmp_path / "c", **settings)
    assert whole.equals(recurse(world, regimes, generations=4, checkpoint=tmp_path / "c", **settings))


def test_a_spike_that_floating_point_can_see_is_refused():
    with refused("rate", 4.0):
        Spiked(50)
    with refused("points", 0):
        Spiked(0)

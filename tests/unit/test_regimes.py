"""What each regime trains on, sample by sample."""

import numpy as np
import pytest

from lib import pool
from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Replace,
    ReplaceGrown,
    Step,
)
from lib.streams import Streams
from lib.world import Demand
from tests.unit.every import every
from tests.unit.refusals import refused

N = 20
EVERY = every(0.1)


def batch(name, size):
    """Rows whose values say where they come from: batch number times 1000 plus position."""
    return pool.Rows(np.tile(name * 1000 + np.arange(size, dtype=float), (2, 1))[:, :, None])


def play(regime, generations):
    """Run a regime over numbered batches: 0 the real set, k synthetic from model k, 100 + t fresh real data at t."""
    streams = Streams(seed=1, block=0)
    original = batch(0, N)
    held = pool.Pool(original, streams, accumulates=regime.accumulates)
    if regime.accumulates:
        kept = regime.starts_with(N)
        held.begin(held.subset(kept) if kept else None)
    held.held = (pool.Part(original, 1.0),)
    train = held.previous
    for t in range(2, generations + 1):
        step = Step(N, N * t)
        draws = regime.draws(step)
        held.add(
            real=batch(100 + t, draws.real) if draws.real else None,
            synthetic=batch(t - 1, draws.synthetic) if draws.synthetic else None,
        )
        train = regime.compose(held, step, streams(t, "compose"))
        held.held = train
    return train


def sources(train):
    """How many samples of run 0 come from which batch, and the samples themselves."""
    values = pool.merged(train).values[0].ravel()
    names, counts = np.unique(values // 1000, return_counts=True)
    return dict(zip(names.astype(int), counts, strict=True)), values


def test_replace_sees_the_newest_batch_only():
    assert sources(play(Replace(), 4))[0] == {3: N}


def test_replace_grown_sees_as_many_samples_as_accumulate_of_the_newest_model_only():
    assert sources(play(ReplaceGrown(), 4))[0] == {3: 4 * N}


def test_accumulate_sees_everything():
    assert sources(play(Accumulate(), 4))[0] == {0: N, 1: N, 2: N, 3: N}


def test_accumulate_may_take_new_real_data_into_each_batch():
    assert sources(play(Accumulate(fresh=0.25), 3))[0] == {0: N, 1: 15, 2: 15, 102: 5, 103: 5}


def test_accumulate_may_keep_a_part_of_the_original_set_or_none_of_it():
    assert sources(play(Accumulate(kept=0.25), 4))[0] == {0: 5, 1: N, 2: N, 3: N}
    assert sources(play(Accumulate(kept=0), 4))[0] == {1: N, 2: N, 3: N}
    assert set(sources(play(Accumulate(kept=0.25), 2))[1][:5]) == set(sources(play(Accumulate(kept=0.25), 4))[1][:5])


def test_accumulate_subsample_sees_n_distinct_samples_of_everything():
    found, values = sources(play(AccumulateSubsample(), 5))
    assert sum(found.values()) == N == len(set(values))
    assert set(found) <= {0, 1, 2, 3, 4}
    assert len(found) > 1


@pytest.mark.parametrize("redraw", [True, False])
def test_keep_holds_its_share_of_the_original_set(redraw):
    found, values = sources(play(Keep(0.25, redraw), 4))
    assert found == {0: 5, 3: 15}
    assert len(set(values)) == N


def test_keep_redraws_or_keeps_the_same_samples():
    def kept(regime, t):
        return set(sources(play(regime, t))[1][:5])

    assert kept(Keep(0.25, redraw=False), 3) == kept(Keep(0.25, redraw=False), 7)
    assert kept(Keep(0.25), 3) != kept(Keep(0.25), 7)


def test_fresh_real_takes_new_real_data():
    assert sources(play(FreshReal(0.25), 4))[0] == {104: 5, 3: 15}


def test_real_only_grows_or_refits():
    assert sources(play(RealOnly(), 3))[0] == {0: N, 102: N, 103: N}
    assert sources(play(RealOnly(grow=False), 3))[0] == {0: N}


def test_mixture_takes_its_three_parts():
    found, values = sources(play(Mixture(0.5, 0.3, 0.2), 2))
    assert found == {0: 10, 1: 10}  # at generation 2 the previous set is the original one
    found, _ = sources(play(Mixture(0.5, 0.5, 0), 3))
    assert found[2] == 10
    assert sum(found.values()) == N


def test_mixture_takes_previous_samples_without_replacement():
    train = play(Mixture(0.25, 0.75, 0), 6)
    copied = train[0].batch.values[0].ravel()
    assert len(set(copied)) == len(copied) == 15


@pytest.mark.parametrize(
    ("mixture", "same"),
    [
        (Mixture(1, 0, 0), Replace()),
        (Mixture(0.75, 0, 0.25), Keep(0.25)),
        (Mixture(0.75, 0, 0.25, fresh=True), FreshReal(0.25)),
    ],
)
def test_mixtures_that_are_other_regimes_train_on_the_same_samples(mixture, same):
    for t in (2, 3, 6):
        assert (sources(play(mixture, t))[1] == sources(play(same, t))[1]).all()
        assert mixture.draws(Step(N, N * t)) == same.draws(Step(N, N * t))


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_the_recorded_share_of_real_data_is_the_share_in_the_set(regime):
    train = play(regime, 2)
    found, _ = sources(train)
    real = sum(count for name, count in found.items() if name == 0 or name >= 100)
    if isinstance(regime, AccumulateSubsample):
        assert pool.real_share(train) == 0.5  # the expected share; this one run's varies about it
    else:
        assert pool.real_share(train) == pytest.approx(real / pool.size(train))


def test_the_share_of_a_resampled_set_is_carried_on():
    # Previous sets lose a half of what is copied each time: 1, then 1/2·1, then 1/2·1/2 …
    assert pool.real_share(play(Mixture(0.5, 0.5, 0), 4)) == pytest.approx(0.5**3)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Keep(1.5), ("share", 1.5)),
        (lambda: Keep(-0.1), ("share", -0.1)),
        (lambda: Keep("a tenth"), ("share", "a tenth")),
        (lambda: FreshReal(2), ("share", 2)),
        (lambda: Accumulate(fresh=-1), ("fresh", -1)),
        (lambda: Accumulate(kept=1.5), ("kept", 1.5)),
        (lambda: Accumulate(kept=0.01).check([20, 20]), ("kept", 0.01)),
        (lambda: Accumulate(fresh=0.01).check([20, 20]), ("fresh", 0.01)),
        (lambda: Mixture(0.5, 0.3, 0.1), ("alpha + beta + gamma", 0.9)),
        (lambda: Mixture(1.2, -0.2, 0), ("alpha", 1.2)),
        (lambda: Keep(0.01).check([20, 20]), ("share", 0.01)),
        (lambda: Keep(0.5).check([20, 100]), ("share", 0.5)),
        (lambda: Mixture(0.1, 0.9, 0).check([20, 200]), ("beta", 0.9)),
    ],
)
def test_wrong_settings_are_named(make, expected):
    with refused(*expected):
        make()


def test_every_regime_has_a_label_of_its_own():
    assert len({str(regime) for regime in EVERY}) == len(EVERY)


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_the_batches_that_subsets_are_drawn_of_are_known_beforehand(regime, monkeypatch):
    asked, take = [], pool.Rows.take

    def watched(self, k, rng):
        asked.append(self.size)
        return take(self, k, rng)

    monkeypatch.setattr(pool.Rows, "take", watched)
    play(regime, 4)
    assert max(asked, default=0) == regime.drawn_from([N] * 4)
    assert regime.drawn_from([N]) == 0


def test_the_most_samples_that_a_regime_holds():
    sizes = [10, 20, 30]
    for regime, most in (
        (Replace(), 30),
        (ReplaceGrown(), 60),
        (Accumulate(), 60),
        (RealOnly(), 60),
        (RealOnly(grow=False), 30),
    ):
        assert Demand.of("it", regime, sizes).most == most


def test_a_mixture_takes_the_sizes_of_the_regime_that_it_equals():
    Mixture(0.9, 0, 0.1).check([5, 5])
    Keep(0.1).check([5, 5])
    assert Mixture(0.9, 0, 0.1).counts(5) == Keep(0.1).counts(5) == (4, 0, 1)


def test_weights_are_those_of_the_samples_that_a_filter_has_left():
    held = pool.Pool(batch(0, N), Streams(seed=1, block=0))
    held.add(real=batch(102, 10), synthetic=batch(1, 2))
    real, newest = FreshReal(0.5, weight=0.5).compose(held, Step(N, 2 * N), None)
    assert real.weight * 10 == newest.weight * 2 == 6

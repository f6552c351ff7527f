"""The laws of the discrete world: small recursions gone through outcome by outcome, and what the laws are known to tend
to."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from lib.regimes import Accumulate, Replace, ReplaceGrown
from lib.theory import discrete as laws
from lib.theory import expected_error
from tests.unit import chains
from tests.unit.enumeration import drawn, law
from tests.unit.refusals import refused
from tests.unit.test_discrete import EVERY, TRUTH


def moments(outcomes):
    counts = np.array(list(outcomes), dtype=float)
    return counts / counts.sum(axis=1, keepdims=True), np.array(list(outcomes.values()))


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_heterozygosity_and_error_obey_the_products_in_every_regime(regime):
    n, generations = 4, 3
    truth = np.array(TRUTH)
    het, error = [], []
    for outcomes in law(regime, TRUTH, n, generations):
        p, chance = moments(outcomes)
        assert_allclose(chance.sum(), 1, rtol=1e-12)
        assert_allclose(chance @ p, truth, rtol=1e-12)
        het.append(chance @ (p * (1 - p)).sum(axis=1) / (truth @ (1 - truth)))
        error.append(chance @ (p - truth) ** 2 / (truth * (1 - truth)))
    assert_allclose(het, laws.expected_heterozygosity(regime, n, generations), rtol=1e-12)
    assert_allclose(error, np.repeat(expected_error(regime, n, generations, "mle")[:, None], 3, axis=1), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_the_full_chain_of_twelve_samples_and_three_states(n):
    counts = chains.compositions(n, 3)
    assert len(counts) == (n + 1) * (n + 2) // 2
    assert (counts.sum(axis=1) == n).all()
    chain = chains.transition_matrix(n, 3)
    assert_allclose(chain.sum(axis=1), 1, rtol=1e-12)
    now = chains.multinomial_table(counts, np.array([TRUTH]))[0]
    generations = 30
    lost, fixed, support, missing, het = [], [], [], [], []
    for _ in range(generations):
        lost.append(now @ (counts == 0))
        fixed.append(now @ (counts == n))
        support.append(now @ (counts > 0).sum(axis=1))
        missing.append(now @ ((counts == 0) @ np.array(TRUTH)))
        het.append(now @ (counts / n * (1 - counts / n)).sum(axis=1))
        now = now @ chain
    assert_allclose(laws.lost(TRUTH, n, generations), lost, atol=1e-12)
    assert_allclose(laws.survival(TRUTH, n, generations), 1 - np.array(lost), atol=1e-12)
    assert_allclose(laws.fixation(TRUTH, n, generations), fixed, atol=1e-12)
    assert_allclose(laws.expected_support(TRUTH, n, generations), support, atol=1e-12)
    assert_allclose(laws.expected_missing_mass(TRUTH, n, generations), missing, atol=1e-12)
    if n > 1:
        assert_allclose(laws.expected_heterozygosity(Replace(), n, generations) * 0.54, het, atol=1e-12)


def test_the_chain_is_absorbed_in_each_state_with_its_probability():
    counts = chains.compositions(12, 3)
    first = chains.multinomial_table(counts, np.array([TRUTH]))[0]
    last = first @ np.linalg.matrix_power(chains.transition_matrix(12, 3), 2000)
    assert_allclose([last[(counts == 12)[:, k]].sum() for k in range(3)], TRUTH, rtol=1e-9)
    assert_allclose(laws.fixation(TRUTH, 12, 2000)[-1], TRUTH, rtol=1e-9)
    assert_allclose(laws.survival(TRUTH, 12, 2000)[-1], TRUTH, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_the_urn_of_three_generations(n):
    now = chains.multinomial_table(chains.compositions(n, 3), np.array([TRUTH]))[0]
    missed = laws.first_sample_miss(TRUTH, n)
    for t in range(1, 4):
        counts = chains.compositions(n * t, 3)
        p = counts / (n * t)
        assert_allclose(now @ (counts == 0), missed, rtol=1e-10)
        assert_allclose(
            now @ (counts > 0).sum(axis=1), laws.expected_support(TRUTH, n, t, "accumulate")[-1], rtol=1e-10
        )
        assert_allclose(
            now @ ((counts == 0) @ np.array(TRUTH)), laws.expected_missing_mass(TRUTH, n, t, "accumulate")[-1]
        )
        het = now @ (p * (1 - p)).sum(axis=1)
        assert_allclose(het / 0.54, laws.expected_heterozygosity(Accumulate(), n, t)[-1], rtol=1e-10)
        if t < 3:
            matrix = chains.urn_matrix(n, 3, t)
            assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
            now = now @ matrix


def test_the_matrices_are_what_enumeration_finds():
    counts = chains.compositions(4, 3)
    now = chains.multinomial_table(counts, np.array([TRUTH]))[0]
    for chain, regime in ((chains.transition_matrix(4, 3), Replace()), (chains.urn_matrix(4, 3, 1), Accumulate())):
        after = law(regime, TRUTH, 4, 2)[-1]
        target = chains.compositions(4 if regime == Replace() else 8, 3)
        assert_allclose(now @ chain, [after.get(tuple(c), 0.0) for c in target.tolist()], atol=1e-13)
    assert_allclose(list(drawn(4, TRUTH).values()), now, atol=1e-15)


def test_loss_in_sets_that_grow_is_what_enumeration_finds():
    found = [moments(outcomes) for outcomes in law(ReplaceGrown(), TRUTH, 3, 4)]
    expected = [chance @ (p == 0) for p, chance in found]
    assert_allclose(laws.lost(TRUTH, lambda t: 3 * t, 4), expected, atol=1e-12)


def test_sets_that_grow_take_one_table_of_occupancies_a_fit(monkeypatch):
    made = []
    monkeypatch.setattr(laws, "occupancy", lambda *a, table=laws.occupancy.__wrapped__: made.append(a) or table(*a))
    laws.expected_missing_mass(TRUTH, lambda t: 20 * t, 30)
    assert len(made) == 29


def test_loss_beyond_the_exact_chain(monkeypatch):
    q = np.array([0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 1])
    exact = laws.lost(q, 1000, 1500)
    monkeypatch.setattr(laws, "EXACT_BELOW", 200)
    assert_allclose(laws.lost(q, 1000, 1500), exact, atol=1e-6)
    # While t ≪ n the number of descendants of one sample is a branching process with Poisson(1) children.
    alive = 1.0
    for t, found in enumerate(laws.lost(np.array([5e-13]), 10**13, 200)):
        assert_allclose(found, np.exp(-5 * alive), rtol=1e-9), t
        alive = -np.expm1(-alive)


def test_the_law_of_a_share():
    law = laws.share_law(0.1, 50, 40)
    assert_allclose(law.sum(axis=1), 1, atol=1e-12)
    assert_allclose(law @ np.arange(51) / 50, 0.1, atol=1e-12)
    assert_allclose(law[:, 0], laws.lost(0.1, 50, 40), atol=1e-12)
    assert_allclose(law[:, -1], laws.fixation(0.1, 50, 40), atol=1e-12)


def test_growth_stops_the_loss():
    found = laws.lost(1e-6, lambda t: 10**6 * 2 ** (t - 1), 60)
    assert found[0] == pytest.approx(np.exp(-1), rel=1e-5)
    assert found[-1] == pytest.approx(found[-20], rel=1e-6)
    assert found[-1] < 0.46
    assert laws.lost(1e-6, 10**6, 60)[-1] > 0.95


def test_times_to_loss():
    # By summing the probability of still being there, given loss, over the exact chain.
    n, count = 12, 3
    inner = np.arange(n + 1)
    chain = stats.binom.pmf(inner[None], n, inner[:, None] / n)
    now, expected = (inner == count).astype(float), 0.0
    for _ in range(3000):
        expected += now[1:-1] @ (1 - inner[1:-1] / n) / (1 - count / n)
        now = now @ chain
    assert_allclose(laws.mean_time_to_loss(count, n), expected, rtol=1e-10)
    for count, tolerance in ((1, 0.06), (100, 0.01), (900, 0.01)):
        assert laws.mean_time_to_loss(count, 1001) == pytest.approx(laws.mean_time_to_loss(count, 1000), rel=tolerance)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: laws.lost(1.5, 10, 3), ("q",)),
        (lambda: laws.lost(0.5, 0, 3), ("n", 0)),
        (lambda: laws.first_sample_miss(-0.5, 3), ("q",)),
        (lambda: laws.lost(0.5, 10, 0), ("generations", 0)),
        (lambda: laws.share_law(0.5, 1001, 3), ("n", 1001)),
        (lambda: laws.mean_time_to_loss(10, 10), ("count", 10)),
        (lambda: laws.expected_support(TRUTH, 10, 3, "keep"), ("regime", "keep")),
        (lambda: laws.expected_heterozygosity("Replace", 10, 3), ("regime", "Replace")),
    ],
)
def test_what_has_no_law_is_an_error(call, expected):
    with refused(*expected):
        call()

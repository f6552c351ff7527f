"""Exact laws of linear regression on labels given by earlier models, x ~ N(0, I), least squares and ridge.

t counts fits. Risk is the *excess* risk E|ŵ_t − w*|², test error less σ². n_k is the number of rows of set k and N_t =
n₁ + … + n_t. "fixed": every model labels the first X again, real data later on have new x; "fresh": every batch has new
x.

Laws without a source are derived by conditioning on the model before, as by Gerstgrasser et al. (2024) for the fixed
design; all are checked by simulation in `tests/statistical`.
"""

from functools import singledispatch

import numpy as np
from scipy import optimize, special, stats

from lib.errors import among, refuse, whole
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, RealOnly, Regime, Replace, ReplaceGrown, portion
from lib.theory.gaussian import EULER_SUM, plain, set_sizes

# What is left of the real data's worth when equal synthetic batches are accumulated for ever (Dey and Donoho 2024).
ASYMPTOTIC_EFFICIENCY = 1 / EULER_SUM


def first_fit_risk(n: int, dimension: int, noise: float = 1.0) -> float:
    """Excess risk of least squares on n rows of real data, σ²d/(n−d−1), n > d + 1."""
    if n <= dimension + 1:
        refuse("n", n, f"more than d+1={dimension + 1} rows; the risk of least squares is infinite at T ≤ d+1")
    return noise**2 * dimension / (n - dimension - 1)


def relative_spread(n: int, dimension: int) -> float:
    """Standard deviation over mean of the excess risk of a run, n > d + 3, wherever the error given X is normal with a
    covariance in proportion to (XᵀX)⁻¹: a fixed design under Replace, ReplaceGrown and Accumulate, at any t. By the
    second moments of the inverse Wishart law (von Rosen 1988)."""
    if n <= dimension + 3:
        refuse("n", n, f"more than d+3={dimension + 3} rows; with fewer the risk has no variance")
    square = dimension * (2 * (n - 1) + dimension * (n - dimension - 2) + 2)
    return float(np.sqrt(square * (n - dimension - 1) / ((n - dimension) * (n - dimension - 3)) / dimension**2 - 1))


def expected_excess_risk(
    regime: Regime, n, generations: int, dimension: int, noise: float = 1.0, design: str = "fixed"
) -> np.ndarray:
    """E|ŵ_t − w*|² of least squares for t = 1 … generations, shape (generations,).

    `n` is a number of rows or a function of the generation (for a fixed design: multiples of the first). Fixed: Replace
    t·σ²d/(n−d−1), ReplaceGrown Σ1/i and Accumulate Σ1/i² instead of t (Gerstgrasser et al. 2024); RealOnly
    σ²d/(N_t−d−1); AccumulateSubsample for large n at any d/n: the error of this law is of the order of 1/n (at d = n/3
    it is low by about 2/n), and for d ≪ n it tends to π²/2 − 2 first-fit risks. ValueError where no law is known.
    """
    among("design", design, ("fixed", "fresh"))
    d, sizes = whole("dimension", dimension, 1), set_sizes(regime, n, generations, 1)
    first_fit_risk(min(sizes), d)
    copies = np.array(sizes) / sizes[0]
    if design == "fixed" and (copies % 1).any() and not isinstance(regime, RealOnly):
        refuse("n", sizes, f"multiples of the {sizes[0]} rows of the fixed design")
    return noise**2 * _law(regime, np.array(sizes, dtype=float), float(d), design == "fixed")


def _risk(rows, d):
    return d / (rows - d - 1)


@singledispatch
def _law(regime, sizes, d, fixed):
    refuse("regime", regime, "a regime of lib.regimes with a closed form")


@_law.register
def _(regime: Replace | ReplaceGrown, sizes, d, fixed):
    rows = sizes if isinstance(regime, Replace) else np.cumsum(sizes)
    return np.cumsum(_risk(rows[0], d) * rows[0] / rows if fixed else _risk(rows, d))


@_law.register
def _(regime: Accumulate, sizes, d, fixed):
    plain(regime)
    # ŵ_t − ŵ_{t−1} is the noise of the newest labels seen through the whole set, whatever the older ones were.
    total = np.cumsum(sizes)
    return np.cumsum(_risk(sizes[0], d) * sizes[0] * sizes / total**2 if fixed else sizes / total * _risk(total, d))


@_law.register
def _(regime: RealOnly, sizes, d, fixed):
    return _risk(np.cumsum(sizes) if regime.grow else np.full_like(sizes, sizes[0]), d)


@_law.register
def _(regime: FreshReal, sizes, d, fixed):
    if fixed and regime.share < 1:
        refuse("design", "fixed", f'"fresh" for {regime}: a part of a fixed design has no closed form')
    out = [_risk(sizes[0], d)]
    for rows in sizes[1:]:
        out.append(carried(rows - portion(regime.share, int(rows)), rows, d) * out[-1] + _risk(rows, d))
    return np.array(out)


@_law.register
def _(regime: AccumulateSubsample, sizes, d, fixed):
    """A subset takes row i of the design w_i times, with labels of w_i of its t copies. Its fit is that of the whole
    pool, which moves by 1/t of what is new, plus δ: what the subset makes of the pool's mean residuals and of the
    copies' scatter about their means. Both go through A = XᵀDX, D = diag(w), by way of x·A⁻¹x = q/(1+wq) with q ≈
    tr A⁻¹ of the other rows, which n E[wq/(1+wq)] = d determines.
    """
    n, first = sizes[0], _risk(sizes[0], d)
    if not fixed or (sizes != n).any():
        refuse("regime", regime, "Accumulate; with subsets the law is known of a fixed design and equal sets")
    pool, inside, inside_fits, out = first, d / n, [0.0], []  # E|·|² and E|X·|²/n, of the pool's fit and of the fits
    for t in range(1, len(sizes) + 1):
        w = np.arange(min(t, int(n)) + 1)
        chance = stats.hypergeom(t * int(n), t, int(n)).pmf(w)

        def total(values, chance=chance):
            return n * (chance * values).sum()

        if total(w > 0) <= d + 1:
            refuse("n", int(n), f"more rows: about {total(w > 0):.0f} different ones in a subset do not fit d={d:.0f}")
        q = optimize.brentq(lambda q, w=w, total=total: total(w * q / (1 + w * q)) - d, 0, 1e9, xtol=1e-14)
        part = 1 / (1 + w * q) ** 2
        square, other = total(part * w**2), total(part * w * (t - w)) / max(t - 1, 1)
        risk = q / total(part * w)  # tr A⁻²
        within = risk * total(part) + q**2  # x·A⁻¹ XᵀX A⁻¹x of the other rows
        risk *= (n - d) / (n - d - 1)  # as for the first fit, exactly
        scatter = np.mean(inside_fits) + 1 - inside - (1 - d / n) / t
        moved, moved_inside = (risk * square - first) / t + risk * other * scatter, within * other * scatter / n
        moved_inside += (within * square - d) / (t * n)
        out.append(pool + moved)
        inside_fits.append(inside + moved_inside)
        pool, inside = pool + (moved + first) / (t + 1) ** 2, inside + (moved_inside + d / n) / (t + 1) ** 2
    return np.array(out)


def carried(s, rows, d):
    """E|G⁻¹G_s e|²/|e|²: the part of an earlier error that s of N rows hand on, with Gram matrices G_s and G of all.

    G = LLᵀ and G_s = LBLᵀ with B, matrix-variate beta, independent of L; the second moments of B follow from
    B₁₁ ~ Beta(s/2, (N−s)/2), E[B₁₁B₂₂ − B₁₂²] = s(s−1)/(N(N−1)) and rotation, and E[tr G tr G⁻¹] = (Nd²−2d)/(N−d−1).
    """
    square = s * (s + 2) / (rows * (rows + 2))
    across = (square - s * (s - 1) / (rows * (rows - 1))) / 3  # E B₁₂²
    return square - across + across * (rows * d - 2) / (rows - d - 1)


def ridge_shrinkage(regime: Regime, kept, generations: int, penalty: str = "fixed") -> np.ndarray:
    """E⟨ŵ_t, v⟩/⟨w*, v⟩ along an eigenvector v of XᵀX, fixed design, equal sets: shape (generations, *kept.shape).

    `kept` is h = s/(s+λ), s the eigenvalue and λ the penalty of the first fit. Replace shrinks like hᵗ. Accumulate
    keeps h if λ stays the same, and if it grows with the rows shrinks on, Γ(t+h)/(Γ(h)Γ(t+1)) ~ t^−(1−h)/Γ(h).
    """
    gain, _ = _ridge_steps(regime, np.asarray(kept, dtype=float), generations, penalty)
    return np.cumprod(gain, axis=0)


def ridge_shrinkage_accumulate(kept, generations: int) -> np.ndarray:
    """Γ(t+h)/(Γ(h)Γ(t+1)): the closed form of `ridge_shrinkage` under Accumulate with a penalty per row."""
    h = np.asarray(kept, dtype=float)
    t = np.arange(1, generations + 1).reshape(-1, *[1] * h.ndim)
    return np.exp(special.gammaln(t + h) - special.gammaln(h) - special.gammaln(t + 1.0))


def ridge_excess_risk(
    regime: Regime, eigenvalues, weights, ridge: float, generations: int, noise: float = 1.0, penalty: str = "fixed"
) -> np.ndarray:
    """E|ŵ_t − w*|² of ridge on a given fixed design, equal sets, shape (generations,).

    `eigenvalues` of XᵀX, shape (d,), and `weights`, w* in its eigenvectors, shape (d,); `ridge` is the penalty λ of the
    first fit, 0 for least squares.
    """
    s, w = np.asarray(eigenvalues, dtype=float), np.asarray(weights, dtype=float)
    if (s <= 0).any():
        refuse("eigenvalues", eigenvalues, "positive numbers; a singular design has no law for least squares")
    if not 0 <= ridge < np.inf:
        refuse("ridge", ridge, "a finite number, at least 0")
    gain, spread = _ridge_steps(regime, s / (s + ridge), generations, penalty)
    out, variance = [], np.zeros_like(s)
    for shrunk, g, b in zip(np.cumprod(gain, axis=0), gain, spread, strict=True):
        variance = g**2 * variance + b**2 * noise**2 / s
        out.append(((1 - shrunk) ** 2 * w**2 + variance).sum())
    return np.array(out)


def _ridge_steps(regime, kept, generations, penalty):
    """ŵ_t = gain_t ŵ_{t−1} + spread_t η_t along an eigenvector; η_t, the noise of one labelling, has variance σ²/s."""
    among("penalty", penalty, ("fixed", "per_row"))
    if not ((kept > 0) & (kept <= 1)).all():
        refuse("kept", kept, "factors s/(s+λ) in (0, 1]")
    t = np.arange(1, whole("generations", generations, 1) + 1, dtype=float).reshape(-1, *[1] * kept.ndim)
    relative = (1 / kept - 1) * (t if penalty == "per_row" else 1.0)  # λ_t/s when the set has t times the first rows
    grown = t / (t + relative)
    if isinstance(regime, Replace):
        gain = np.broadcast_to(kept, (len(t), *kept.shape))
        return gain, gain
    if isinstance(regime, ReplaceGrown):
        return grown, grown / np.sqrt(t)
    if isinstance(regime, Accumulate):
        plain(regime)
        # Σ of all labels so far is ŵ_{t−1}/(what it was multiplied by), so the recursion needs no history.
        weight = 1 / (t + relative)
        before = np.concatenate([np.zeros_like(weight[:1]), 1 / weight[:-1]])
        return weight * (before + 1), weight
    refuse("regime", regime, "Replace(), ReplaceGrown() or Accumulate()")

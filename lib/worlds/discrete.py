"""The discrete world: states counted, and drawn with their relative frequencies (Shumailov et al. 2024).

Under Replace this is the Wright–Fisher model of population genetics, whose words are used (heterozygosity, loss,
fixation), under Accumulate an urn to which balls are returned n at a time.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from lib.errors import among, number, refuse, share, whole
from lib.pool import Counts, merged
from lib.streams import child
from lib.world import Fit, Score, World
from lib.worlds.language.wikipedia import word_counts


@dataclass(frozen=True)
class DiscreteModel:
    """Relative frequencies for each run: `counts` of shape (runs, K), int64, out of `size`."""

    size: int
    counts: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Shape (runs, K)."""
        return self.counts / self.size


@dataclass(frozen=True, eq=False)
class Discrete(World):
    """Distributions on K states, fitted exactly by relative frequencies, all runs at once.

    A batch is drawn as its counts, a multinomial, exact in law for every regime and nearly as cheap for 10**13 samples
    as for a thousand. Counts from which a regime draws subsets must stay below 10**9, the limit of numpy's
    hypergeometric.

    Parameters
    ----------
    truth : "uniform" or "zipf" on `states` states; "words", the word frequencies of the embedded Wikipedia text; or a
        vector of probabilities.
    states : K ≥ 2 for "uniform" and "zipf", None for the others, which bring their own.
    exponent : of Zipf's law, probability ∝ rank^−exponent.
    tail : the tail is made of the rarest states of the truth, as many as it takes to hold this share of its probability
        (ties: the later states are rarer).
    temperature, top_p : how a model is sampled, as language models are: with probabilities in proportion to
        p^(1/temperature), then only from the most probable states, as many as it takes to hold the share top_p. Real
        data are what they are.

    Scores of a fit p against the truth q: `heterozygosity_ratio` Σp(1−p) / Σq(1−q), with the chance Σp(1−p) that two
    draws differ; `missing_mass` Σq over states with p = 0 (Good 1953); `tail_ratio` Σp / Σq over the tail; `kl`, the
    excess test loss, infinite as soon as one state is lost; `reverse_kl`, always finite.

    Extras: `probabilities`, and `present`, whether p > 0; K values for each fit, so for few states or few fits.
    """

    truth: Any = "uniform"
    states: int | None = None
    exponent: float = 1.0
    tail: float = 0.05
    temperature: float = 1.0
    top_p: float = 1.0

    random = ()
    scores = {
        # Σp(1−p) is also the total variance of the states' indicators, and follows the Gaussian's law.
        "heterozygosity_ratio": Score("variance", "less", "heterozygosity, truth = 1"),
        "support": Score("tail", "less", "states that can still be produced"),
        "missing_mass": Score("tail", "more", "true probability of what is lost"),
        "tail_ratio": Score("tail", "less", "probability of the tail, truth = 1"),
        "total_variation": Score("excess risk", "more", "total variation from the truth"),
        "kl": Score("excess risk", "more", "KL(truth ‖ fit)", "nats"),
        "reverse_kl": Score("fidelity", "more", "KL(fit ‖ truth)", "nats"),
    }
    extras = {"probabilities": ("state",), "present": ("state",)}

    def __post_init__(self):
        if self.states is not None:
            self._set(states=whole("states", self.states, 2))
        for name in ("tail", "top_p"):
            if not share(name, getattr(self, name)):
                refuse(name, getattr(self, name), "a share above 0")
        number("temperature", self.temperature, above=0)
        _ = self.probabilities  # refuses a truth that is no distribution

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The truth, shape (K,)."""
        named = isinstance(self.truth, str)
        if named:
            among("truth", self.truth, ("uniform", "zipf", "words"))
        if (named and self.truth != "words") != (self.states is not None):
            refuse("states", self.states, 'a number for "uniform" and "zipf", None for a truth with its own states')
        if not named:
            return _distribution(self.truth)
        if self.truth == "words":
            weights = np.array(list(word_counts().values()), dtype=float)
        else:
            power = number("exponent", self.exponent) if self.truth == "zipf" else 0.0
            weights = np.arange(1.0, self.states + 1) ** -power
        if not weights[-1]:
            refuse("exponent", self.exponent, "one at which the rarest state has a probability above 0")
        return weights / weights.sum()

    @cached_property
    def _rare(self) -> np.ndarray:
        """Indices of the states in the tail."""
        possible = np.flatnonzero(self.probabilities)
        rarest = possible[::-1][np.argsort(self.probabilities[possible[::-1]], kind="stable")]
        held = np.cumsum(self.probabilities[rarest])
        return np.sort(rarest[: np.searchsorted(held, self.tail * (1 - 1e-12)) + 1])

    def check(self, demands, sizes, scores, named):
        for demand in demands:
            if demand.drawn_from >= Counts.MOST_TO_TAKE_FROM:
                limit = f"pools below {Counts.MOST_TO_TAKE_FROM} (numpy's hypergeometric)"
                refuse("n", sizes[0], f"{limit}; {demand.label} draws a subset of {demand.drawn_from}")

    def real(self, runs, size, rng, used):
        probabilities = np.broadcast_to(self.probabilities, (runs, self.probabilities.size))
        return Counts(size, multinomial(child(rng, used), size, probabilities))

    def fit(self, train, rng):
        total = merged(train)
        return Fit(DiscreteModel(total.size, total.values), steps=1, examples=total.size)

    def sample(self, model, size, inputs, rng):
        return Counts(size, multinomial(rng, size, sharpened(model.probabilities, self.temperature, self.top_p)))

    def score(self, model, rng, names):
        p, q = model.probabilities, self.probabilities
        possible = q > 0
        known = {
            "heterozygosity_ratio": lambda: np.einsum("rk,rk->r", p, 1 - p) / (q @ (1 - q)),
            "support": lambda: np.count_nonzero(model.counts, axis=1),
            "missing_mass": lambda: (model.counts == 0) @ q,
            "tail_ratio": lambda: p[:, self._rare].sum(axis=1) / q[self._rare].sum(),
            "total_variation": lambda: 0.5 * np.abs(p - q).sum(axis=1),
            # Σ q ln(q/p) − q + p: what is added sums to 0, and no term is negative.
            "kl": lambda: special.kl_div(q[possible], p[:, possible]).sum(axis=1),
            "reverse_kl": lambda: special.kl_div(p[:, possible], q[possible]).sum(axis=1),
            "probabilities": lambda: p,
            "present": lambda: model.counts > 0,
        }
        return {name: known[name]() for name in names}


def sharpened(probabilities: np.ndarray, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    """Probabilities (..., K) as they are sampled from at a temperature and cut to the most probable states that hold
    `top_p`; the state that completes the share is kept (Holtzman et al. 2020)."""
    p = probabilities
    if temperature != 1:
        # Relative to the most probable state, so that no power underflows for all states at once.
        p = (p / p.max(axis=-1, keepdims=True)) ** (1 / temperature)
        p = p / p.sum(axis=-1, keepdims=True)
    if top_p < 1:
        order = np.argsort(-p, axis=-1, kind="stable")
        ranked = np.take_along_axis(p, order, axis=-1)
        ranked[np.cumsum(ranked, axis=-1) - ranked >= top_p] = 0.0
        p = np.zeros_like(p)
        np.put_along_axis(p, order, ranked, axis=-1)
        p /= p.sum(axis=-1, keepdims=True)
    return p


def multinomial(rng: np.random.Generator, size: int, probabilities: np.ndarray) -> np.ndarray:
    """Counts of `size` draws for each run, int64, from probabilities of shape (runs, K).

    numpy gives to the last state what rounding leaves over, and divides by 1 − Σ of those before. So each run's most
    probable state takes the last place.
    """
    runs = np.arange(len(probabilities))
    most = probabilities.argmax(axis=1)
    ordered = probabilities.copy()
    ordered[runs, most], ordered[:, -1] = probabilities[:, -1], probabilities[runs, most]
    counts = rng.multinomial(size, ordered)
    last = counts[:, -1].copy()
    counts[:, -1] = counts[runs, most]
    counts[runs, most] = last
    return counts


def extinct_at(present: xr.DataArray) -> xr.DataArray:
    """The first generation at which each state is gone, from the extra `present`, dims (regime, run, state); NaN where
    it was there to the end."""
    gone = ~present.astype(bool)
    first = present["generation"][gone.argmax("generation")].drop_vars("generation")
    return first.where(gone.any("generation"))


def _distribution(truth: Any) -> np.ndarray:
    try:
        given = np.asarray(truth, dtype=float)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.ndim != 1 or (given > 0).sum() < 2 or not (given >= 0).all() or not abs(given.sum() - 1) <= 1e-9:
        allowed = "a vector of probabilities that sum to 1, of which two or more are above 0"
        refuse("truth", truth, f'"uniform", "zipf", "words" or {allowed}')
    return given / given.sum()

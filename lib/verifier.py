"""Verifiers: what a data team, or the users who share what they like, let through of a model's output.

A verifier is given to `lib.recursion.recurse` as `select`. It sees synthetic samples only, never real ones.
"""

from dataclasses import dataclass

import numpy as np

from lib.errors import refuse, share
from lib.pool import Counts, portion


@dataclass(frozen=True)
class Verifier:
    """Accepts a sample of state k with probability `accept[k]`, and passes on the first of the accepted ones, as many
    as the share `kept` of what the model wrote.

    The number passed on is the same in every run; one with fewer accepted samples is refused. What is passed on is an
    independent sample from the model's distribution tilted by `accept`: p_k accept_k / Σ p accept.
    """

    accept: tuple[float, ...]
    kept: float

    def __post_init__(self):
        for value in self.accept:
            share("accept", value)
        share("kept", self.kept)
        if not any(self.accept) or not self.kept:
            refuse("accept, kept", (self.accept, self.kept), "something that is accepted, and a share above 0")

    def __call__(self, batch: Counts, rng: np.random.Generator) -> Counts:
        if not isinstance(batch, Counts) or batch.values.shape[1] != len(self.accept):
            refuse("select", repr(self), f"counts of {len(self.accept)} states, as the discrete world draws them")
        first, second = rng.spawn(2)
        accepted = first.binomial(batch.values, np.array(self.accept))
        wanted = portion(self.kept, batch.size)
        least = int(accepted.sum(axis=1).min())
        if least < wanted:
            allowed = f"at most {least / batch.size:.3g}: one run had {least} of {batch.size} samples accepted"
            refuse("kept", self.kept, allowed)
        passed = [second.multivariate_hypergeometric(run, wanted, method="marginals") for run in accepted]
        return Counts(wanted, np.array(passed))

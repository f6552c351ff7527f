"""A regime of one's own, whole: the newest batch, and the one before it half of the time."""

from dataclasses import dataclass

from lib.chapter import looks
from lib.pool import Part, merged, real_share
from lib.regimes import Regime

looks.register("Fading", looks.Look("#AA4499", "<", "--"))


@dataclass(frozen=True)
class Fading(Regime):
    """n samples of the newest model and n/2 of the previous training set, drawn anew."""

    needs_take = True

    def compose(self, pool, step, rng):
        previous = pool.previous
        half = merged(previous).take(step.n // 2, rng)
        return pool.newest(), Part(half, real=real_share(previous))

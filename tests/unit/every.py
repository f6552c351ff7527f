"""Every regime with all its variants: the lists that tests go through."""

from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Replace,
    ReplaceGrown,
)


def every(share):
    """All regimes, those with a share at the given one; at 1/2 it is one sample even of sets of two."""
    return [
        Replace(),
        ReplaceGrown(),
        Accumulate(),
        Accumulate(fresh=share),
        Accumulate(kept=share),
        Accumulate(kept=0),
        AccumulateSubsample(),
        Keep(share),
        Keep(share, redraw=False),
        FreshReal(share),
        RealOnly(),
        RealOnly(grow=False),
        Mixture(0.5, 0.5, 0),
        Mixture(0.5, 0.5 - share / 2, share / 2),
        Mixture(0.5, 0.5 - share / 2, share / 2, fresh=True),
    ]


# With shares that are far apart: every law of the Gaussian is held to a simulation of each of these. The last of
# `every` has no law of its variance in closed form.
WITH_LAWS = [
    *every(0.3)[:-1],
    Accumulate(fresh=0.3, kept=0.5),
    Keep(0.1),
    Keep(0.7),
    Keep(1.0),
    FreshReal(0.1),
    FreshReal(0.5),
    Mixture(0.5, 0.3, 0.2),
    Mixture(0.2, 0.8, 0),
    Mixture(0, 0.5, 0.5),
    Mixture(0.7, 0, 0.3, fresh=True),
    Mixture(0.7, 0, 0.3),
]

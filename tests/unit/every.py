"""Every regime once, with all its variants: the one list that tests go through."""

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

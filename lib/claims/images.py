"""Claims of chapter 6: a variational autoencoder on real digits."""

from __future__ import annotations

from lib import claims, intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, Claim, Finding, verdict


def _at(results, score, regime, generation):
    return results["main"][score].sel(regime=regime).isel(generation=generation).values


def _change(results, score, regime):
    """Paired change of a score from the first to the last generation."""
    return intervals.difference(_at(results, score, regime, -1), _at(results, score, regime, 0), LEVEL)


def _replaced(results):
    found = _change(results, "test_nelbo", "Replace")
    last = results["main"].sizes["generation"]
    return Finding(
        verdict(found, above=0),
        f"the bound on real test images worsens by {found.estimate:.0f} nats from generation 1 to {last}",
        found,
        "A change whose interval contains 0.",
    )


def _mitigated(results):
    replaced, accumulated = (_at(results, "test_nelbo", r, -1) for r in ("Replace", "Accumulate"))
    found = intervals.difference(replaced, accumulated, LEVEL)
    return Finding(
        verdict(found, above=0),
        f"at the last generation Accumulate is {found.estimate:.0f} nats better than Replace, at equal steps",
        found,
        "A paired difference whose interval contains 0.",
    )


def _slows_only(results):
    own = _change(results, "frechet_distance", "Accumulate")
    replaced = _change(results, "frechet_distance", "Replace")
    holds = own.low > 0 and own.high < replaced.low
    return Finding(
        claims.SUPPORTED if holds else NOT_SUPPORTED,
        f"under Accumulate the Fréchet distance still rises by {own.estimate:.3f}, against {replaced.estimate:.3f} under Replace",
        own,
        "A rise under Accumulate whose interval contains 0, or one as large as under Replace.",
    )


def _attributes(results):
    own = _change(results, "class_entropy", "Accumulate")
    replaced = _change(results, "class_entropy", "Replace")
    return Finding(
        verdict(own, below=0),
        f"the entropy of the ten class shares changes by {intervals.number(own.estimate, '.2g')} nats under Accumulate, and by "
        f"{intervals.number(replaced.estimate, '.2g')} under Replace",
        own,
        "A change under Accumulate whose interval contains 0.",
    )


def _no_collapse(results):
    accumulated, refitted, replaced = (
        _at(results, "frechet_distance", r, -1) for r in ("Accumulate", "RealOnly(refit)", "Replace")
    )
    gap = intervals.difference(accumulated, refitted, LEVEL)
    far = intervals.difference(replaced, accumulated, LEVEL)
    if far.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = claims.SUPPORTED if gap.low <= 0 else LIMITED
    return Finding(
        word,
        f"the Fréchet distance ends {far.estimate:.3f} below Replace's, and {gap.estimate:.3f} above that of the same real images refitted",
        gap,
        "No distance from Replace; or, for a verdict without limits, none from the refitted real images.",
    )


CLAIMS = (
    Claim(
        "nature-images",
        6,
        "Shumailov et al. 2024, supplement",
        "An image model trained on its predecessor's images decays.",
        "VAE on MNIST, shown as pictures",
        _replaced,
    ),
    Claim(
        "thread-images",
        6,
        "thread, tweet 10",
        "In vision too, accumulating mitigates the decay.",
        "VAE on CelebA",
        _mitigated,
    ),
    Claim(
        "colm-images",
        6,
        "Gerstgrasser et al. 2024",
        "For the VAE, accumulating slows the decay and does not stop it.",
        "test loss on CelebA rises slowly",
        _slows_only,
    ),
    Claim(
        "colm-attributes",
        6,
        "Gerstgrasser et al. 2024",
        "Minor attributes fade even when data accumulate.",
        "glasses fade from the samples",
        _attributes,
    ),
    Claim(
        "thread-no-collapse-images",
        6,
        "thread, tweet 9",
        "With accumulating images there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
)

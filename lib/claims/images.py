"""Claims of chapter 6: a variational autoencoder on real digits."""

from __future__ import annotations

from lib import claims, intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, Claim, Finding, verdict
from lib.intervals import number


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
    """On the score that the paper reports, the test loss, and at each number of steps that the chapter ran."""
    own, replaced = _change(results, "test_nelbo", "Accumulate"), _change(results, "test_nelbo", "Replace")
    longer = results["long"]["test_nelbo"].sel(regime="Accumulate")
    longer = intervals.difference(longer.isel(generation=-1), longer.isel(generation=0), LEVEL)
    if not (own.low > 0 and own.high < replaced.low):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if longer.low <= 0 else claims.SUPPORTED
    return Finding(
        word,
        f"the test bound rises by {own.estimate:.1f} nats under Accumulate and by {replaced.estimate:.0f} under Replace; with twice the steps "
        f"Accumulate's changes by {longer:.1f}",
        own,
        "A rise under Accumulate whose interval contains 0 or reaches Replace's; for a verdict without limits, a rise with twice the steps too.",
    )


def _attributes(results):
    """Against the refitted real images, so that what training alone does is not counted."""
    accumulated, refitted = (_at(results, "class_entropy", r, -1) for r in ("Accumulate", "RealOnly(refit)"))
    found = intervals.difference(accumulated, refitted, LEVEL)
    # The ten digits are about equally frequent: their shares stand in for attributes and no digit is a minor one.
    return Finding(
        verdict(found, below=0, holds=LIMITED),
        f"the entropy of the ten class shares ends {number(-found.estimate, '.2g')} nats below that of the same real images refitted; a stand-in, "
        "since no digit is rare",
        found,
        "A difference whose interval contains 0; for a verdict without limits, a class that is rare in the real data.",
    )


MARGIN = 0.1  # of the distance between Replace and refitted real images: closer than that counts as no collapse


def _no_collapse(results):
    accumulated, refitted, replaced = (
        _at(results, "frechet_distance", r, -1) for r in ("Accumulate", "RealOnly(refit)", "Replace")
    )
    left = intervals.difference(accumulated, refitted, LEVEL)
    whole = intervals.difference(replaced, refitted, LEVEL)
    far = intervals.difference(replaced, accumulated, LEVEL)
    if left.high < MARGIN * whole.estimate:
        word = claims.SUPPORTED
    else:
        word = LIMITED if far.low > 0 and left.high < whole.estimate / 2 else NOT_SUPPORTED
    return Finding(
        word,
        f"the Fréchet distance ends {left.estimate:.3f} above that of the same real images refitted, {left.estimate / whole.estimate:.0%} of what "
        "Replace adds",
        left,
        f"Less than {MARGIN:.0%} of what Replace adds, for a verdict without limits; half of it or more, for none.",
    )


CLAIMS = (
    Claim(
        "nature-images",
        6,
        "Shumailov et al. 2024, supplement",
        "An image model trained on its predecessor's images decays.",
        "VAE on MNIST",
        _replaced,
    ),
    Claim(
        "thread-images",
        6,
        "thread, 11/N",
        "In vision too, accumulating mitigates the decay.",
        "VAE on CelebA",
        _mitigated,
    ),
    Claim(
        "colm-images",
        6,
        "Gerstgrasser et al. 2024",
        "For the VAE, accumulating slows the decay and does not stop it.",
        "CelebA: the test loss still rises",
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
        "thread, 10/N",
        "With accumulating images there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
)

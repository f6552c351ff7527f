"""Claims of chapter 6: a variational autoencoder on real digits."""

from __future__ import annotations

import numpy as np

from lib import intervals
from lib import ledger as claims
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, Claim, Finding, verdict
from lib.ledger.measured import at, change
from lib.worlds.images.scores import faded, rare_class


def _replaced(results):
    found = change(results["main"], "test_nelbo", "Replace")
    last = results["main"].sizes["generation"]
    return Finding(
        verdict(found, above=0),
        f"the bound on real test images worsens by {found.estimate:.0f} nats from generation 1 to {last}",
        found,
        "A change whose interval contains 0.",
    )


def _mitigated(results):
    replaced, accumulated = (at(results["main"], "test_nelbo", r, -1) for r in ("Replace", "Accumulate"))
    found = intervals.difference(replaced, accumulated, LEVEL)
    return Finding(
        verdict(found, above=0),
        f"at the last generation Accumulate is {found.estimate:.0f} nats better than Replace, at equal steps",
        found,
        "A paired difference whose interval contains 0.",
    )


def _slows_only(results):
    """On the score that the paper reports, the test loss, and at each number of steps that the chapter ran."""
    own, replaced = (
        change(results["main"], "test_nelbo", "Accumulate"),
        change(results["main"], "test_nelbo", "Replace"),
    )
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


def _net(results, regime, generation):
    """Percentage of the rare class among drawn images, less what the classifier reads where there is none of it."""
    read, mistaken = (results[name]["rare_share"].sel(regime=regime) for name in ("drawn", "absent"))
    return 100 * (read - mistaken).isel(generation=generation).values


def _moved(results, name, score, regime):
    """Change of a score in one of the two ways of sampling, from the first to the last generation."""
    values = results[name][score].sel(regime=regime)
    return (values.isel(generation=-1) - values.isel(generation=0)).values


def _attributes(results):
    """A class at two percent, drawn from the model and without the model's noise."""
    own = intervals.difference(_net(results, "Accumulate", -1), _net(results, "Accumulate", 0), LEVEL)
    bare = intervals.mean(100 * _moved(results, "noise_free", "rare_share", "Accumulate"), LEVEL)
    if own.high < 0:
        word = claims.SUPPORTED
    else:
        word = LIMITED if bare.high < 0 else NOT_SUPPORTED
    last = results["drawn"].sizes["generation"]
    return Finding(
        word,
        f"under Accumulate the share of a class that is rare in the data changes by {own:.1f} points from generation 1 to {last} when images "
        f"are drawn from the model, and by {bare:.1f} when they are passed on without its noise",
        own,
        "Without limits, if the share of drawn images falls; not supported, if that of images without noise does not fall either.",
    )


def _tails(results):
    """Whether the rare class is lost when old images are thrown away, and whether before the others."""
    own = intervals.difference(_net(results, "Replace", -1), _net(results, "Replace", 0), LEVEL)
    bare = results["noise_free"]
    rare = rare_class(bare)
    lost = faded(bare["class_shares"].sel(regime="Replace").mean("run").transpose("generation", "class").values)
    others = np.delete(lost, rare)
    # A class that the first models do not show has no share to lose.
    fades = np.isfinite(lost[rare]) and lost[rare] > 1
    earlier, together = int((others < lost[rare]).sum()), int((others == lost[rare]).sum())
    if own.high < 0:
        word = claims.SUPPORTED
    else:
        word = LIMITED if fades and not earlier else NOT_SUPPORTED
    said = "it does not fade"
    if fades:
        said = f"it has faded by generation {lost[rare]:.0f}, {earlier} of {others.size} others before it and {together} with it"
    return Finding(
        word,
        f"under Replace the share of a class that is rare in the data changes by {own:.1f} points when images are drawn from the model; "
        f"without the model's noise {said}",
        own,
        "Without limits, if the share of drawn images falls; not supported, if without noise another class fades earlier or none does.",
    )


def _sampling(results):
    """Diversity as the entropy of the class shares; each way of sampling against its own first generation."""
    faster = {
        regime: intervals.difference(
            *(_moved(results, name, "class_entropy", regime) for name in ("noise_free", "drawn")), LEVEL
        )
        for regime in ("Replace", "Accumulate")
    }
    if faster["Replace"].high >= 0:
        word = NOT_SUPPORTED
    else:
        word = claims.SUPPORTED if faster["Accumulate"].high < 0 else LIMITED
    return Finding(
        word,
        f"without the model's noise the entropy of the class shares falls by {number(-faster['Replace'].estimate, '.2f')} nats more under Replace and by "
        f"{number(-faster['Accumulate'].estimate, '.2f')} more under Accumulate",
        faster["Replace"],
        "A difference under Replace whose interval reaches 0; with limits, if only the one under Accumulate does.",
    )


MARGIN = 0.1  # of the distance between Replace and refitted real images: closer than that counts as no collapse


def _no_collapse(results):
    accumulated, refitted, replaced = (
        at(results["main"], "frechet_distance", r, -1) for r in ("Accumulate", "RealOnly(refit)", "Replace")
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
        f"the Fréchet distance ends {left.estimate:.3f} above that of the same real images refitted; Replace ends {whole.estimate:.3f} above it",
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
        "nature-tails-images",
        6,
        "Shumailov et al. 2024",
        "What is rare disappears first.",
        "early collapse loses the tails",
        _tails,
    ),
    Claim(
        "mad-sampling-images",
        6,
        "Alemohammad et al. 2024",
        "Sampling with less variance than the model has makes diversity fall faster.",
        "a sampling bias towards quality",
        _sampling,
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

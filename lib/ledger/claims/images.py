"""Claims of chapter 6: a variational autoencoder on real digits."""

import numpy as np

from lib.intervals import number
from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import at, change, difference, gap, mean, rises
from lib.worlds.images.scores import faded, rare_class

MARGIN = 0.1  # of the distance between Replace and refitted real images: closer than that counts as no collapse


@claim("nature-images", "Shumailov et al. 2024, supplement", "VAE on MNIST")
def _replaced(results):
    """An image model trained on its predecessor's images decays."""
    found, last = change(results["main"], "test_nelbo", "Replace"), results["main"].sizes["generation"]
    said = f"the bound on real test images worsens by {found.estimate:.0f} nats from generation 1 to {last}"
    return rises(found, said, "A change whose interval contains 0.")


@claim("thread-images", "thread, 11/N", "VAE on CelebA")
def _mitigated(results):
    """In vision too, accumulating mitigates the decay."""
    found = gap(results["main"], "test_nelbo", "Replace", "Accumulate")
    said = f"at the last generation Accumulate is {found.estimate:.0f} nats better than Replace, at equal steps"
    return rises(found, said, "A paired difference whose interval contains 0.")


@claim("colm-images", "Gerstgrasser et al. 2024", "CelebA: the test loss still rises")
def _slows_only(results):
    """For the VAE, accumulating slows the decay and does not stop it."""
    own, replaced = (change(results["main"], "test_nelbo", r) for r in ("Accumulate", "Replace"))
    longer = change(results["long"], "test_nelbo", "Accumulate")
    holds = own.low > 0 and own.high < replaced.low
    return Finding(
        ladder(holds and longer.low > 0, holds),
        f"the test bound rises by {own.estimate:.1f} nats under Accumulate and by {replaced.estimate:.0f} under "
        f"Replace; with twice the steps Accumulate's changes by {longer:.1f}",
        own,
        "A rise under Accumulate whose interval contains 0 or reaches Replace's; for a verdict without limits, a rise "
        "with twice the steps too.",
    )


def _moved(data, score, regime):
    """Change of a score of every run from the first to the last generation."""
    return at(data, score, regime) - at(data, score, regime, 0)


def _drawn(results, regime):
    """Change of the percentage of the rare class among drawn images, less what the classifier reads where there is
    none of it."""
    read, mistaken = (results[name]["rare_share"].sel(regime=regime) for name in ("drawn", "absent"))
    net = 100 * (read - mistaken)  # of the runs that both have
    return difference(net.isel(generation=-1).values, net.isel(generation=0).values)


@claim("colm-attributes", "Gerstgrasser et al. 2024", "glasses fade from the samples")
def _attributes(results):
    """Minor attributes fade even when data accumulate."""
    own, last = _drawn(results, "Accumulate"), results["drawn"].sizes["generation"]
    bare = mean(100 * _moved(results["noise_free"], "rare_share", "Accumulate"))
    return Finding(
        ladder(own.high < 0, bare.high < 0),
        f"under Accumulate the share of a class that is rare in the data changes by {own:.1f} points from generation 1 "
        f"to {last} when images are drawn from the model, and by {bare:.1f} when they are passed on without its noise",
        own,
        "Without limits, if the share of drawn images falls; not supported, if that of images without noise does not "
        "fall either.",
    )


@claim("nature-tails-images", "Shumailov et al. 2024", "early collapse loses the tails")
def _tails(results):
    """What is rare disappears first."""
    own, bare = _drawn(results, "Replace"), results["noise_free"]
    lost = faded(bare["class_shares"].sel(regime="Replace").mean("run").transpose("generation", "class").values)
    rare = lost[rare_class(bare)]
    others = np.delete(lost, rare_class(bare))
    fades = np.isfinite(rare) and rare > 1  # a class that the first models do not show has no share to lose
    earlier = (others < rare).sum()
    others_too = f"{earlier} of {others.size} others before it and {(others == rare).sum()} with it"
    said = f"it has faded by generation {rare:.0f}, {others_too}" if fades else "it does not fade"
    return Finding(
        ladder(own.high < 0, fades and not earlier),
        f"under Replace the share of a class that is rare in the data changes by {own:.1f} points when images are "
        f"drawn from the model; without the model's noise {said}",
        own,
        "Without limits, if the share of drawn images falls; not supported, if without noise another class fades "
        "earlier or none does.",
    )


@claim("mad-sampling-images", "Alemohammad et al. 2024", "a sampling bias towards quality")
def _sampling(results):
    """Sampling with less variance than the model has makes diversity fall faster."""
    replaced, kept = (
        difference(*(_moved(results[name], "class_entropy", regime) for name in ("noise_free", "drawn")))
        for regime in ("Replace", "Accumulate")
    )
    return Finding(
        ladder(replaced.high < 0 and kept.high < 0, replaced.high < 0),
        "without the model's noise the entropy of the class shares falls by "
        f"{number(-replaced.estimate, '.2f')} nats more under Replace and by "
        f"{number(-kept.estimate, '.2f')} more under Accumulate",
        replaced,
        "A difference under Replace whose interval reaches 0; with limits, if only the one under Accumulate does.",
    )


@claim("thread-no-collapse-images", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating images there is no model collapse."""
    left, whole = (gap(results["main"], "frechet_distance", r, "RealOnly(refit)") for r in ("Accumulate", "Replace"))
    far = gap(results["main"], "frechet_distance", "Replace", "Accumulate")
    return Finding(
        ladder(left.high < MARGIN * whole.estimate, far.low > 0 and left.high < whole.estimate / 2),
        f"the Fréchet distance ends {left.estimate:.3f} above that of the same real images refitted; Replace ends "
        f"{whole.estimate:.3f} above it",
        left,
        f"Less than {MARGIN:.0%} of what Replace adds, for a verdict without limits; half of it or more, for none.",
    )

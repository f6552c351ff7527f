"""Claims of chapter 6: a variational autoencoder on real digits, smaller than the papers' images and models."""

from lib.ledger import SMALLER, Finding, claim, word
from lib.ledger.predicates import BOUNDED, above, altered, below, change, difference, every, gap, stands, swapped


@claim(
    "nature-images",
    "Shumailov et al. 2024, supplement",
    "VAE on MNIST",
    reach=SMALLER,
    says="the bound on real test images worsens by {rise:.0f} nats from generation 1 to {t}; that of the same real "
    "images trained on again by {real:.2g}",
    control=swapped("RealOnly(refit)"),
)
def _replaced(results):
    """An image model that is trained on its predecessor's images decays, by more than training on the same real images
    again does.

    A rise of the test bound that is not above that of real images.
    """
    data = results["main"]
    found = gap(data, "test_nelbo", "Replace", "RealOnly(refit)")
    rise, real = (change(data, "test_nelbo", r).estimate for r in ("Replace", "RealOnly(refit)"))
    return Finding(word(above(found)), {"rise": rise, "t": data.sizes["generation"], "real": real}, found, 0.0)


@claim(
    "thread-images",
    "thread, 11/N",
    "“We show this holds across domains (text, vision, …)”; VAE on CelebA",
    reach=SMALLER,
    says="after {t} generations Accumulate is {gap:.0f} nats better than Replace at equal steps, which is "
    "{share:.0%} of what Replace has lost",
    control=swapped("Accumulate"),
)
def _mitigated(results):
    """In vision the decay is mitigated if generated images are added to the real ones: the test bound ends better than
    under Replace.

    A paired difference at or below 0.
    """
    data = results["main"]
    found = gap(data, "test_nelbo", "Replace", "Accumulate")
    share = found.estimate / change(data, "test_nelbo", "Replace").estimate
    return Finding(
        word(above(found)), {"t": data.sizes["generation"], "gap": found.estimate, "share": share}, found, 0.0
    )


@claim(
    "colm-images",
    "Gerstgrasser et al. 2024",
    "CelebA: the test loss still rises",
    reach=SMALLER,
    condition="fits take no more steps than in the chapter's main run",
    says="the test bound rises by {own:.1f} nats under Accumulate and by {replaced:.0f} under Replace; with twice "
    "the steps Accumulate's changes by {longer:.1f}, while the Fréchet distance of its samples grows by {samples:.3f}",
    control=swapped("RealOnly(refit)", "Accumulate"),
)
def _slows_only(results):
    """For a VAE accumulating slows the decay and does not stop it.

    No rise under Accumulate; for plain *holds*, one with twice the steps too.
    """
    own, replaced = (change(results["main"], "test_nelbo", r) for r in ("Accumulate", "Replace"))
    longer, samples = (change(results["long"], score, "Accumulate") for score in ("test_nelbo", "frechet_distance"))
    numbers = {"own": own.estimate, "replaced": replaced.estimate, "longer": longer.estimate}
    numbers |= {"samples": samples.estimate}
    slower = below(gap(results["main"], "test_nelbo", "Accumulate", "Replace"))
    holds = every(above(own), slower)
    return Finding(word(every(holds, above(longer)), holds), numbers, own, 0.0)


def _drawn(results, regime):
    """Change of the percentage of the rare class among drawn images, less what the classifier reads where there is
    none of it."""
    read, mistaken = (results[name]["rare_share"].sel(regime=regime) for name in ("drawn", "absent"))
    net = 100 * (read - mistaken)  # of the runs that both have
    return difference(net.isel(generation=-1).values, net.isel(generation=0).values)


@claim(
    "colm-attributes",
    "Gerstgrasser et al. 2024",
    "glasses fade from the samples",
    reach=SMALLER,
    condition="images are passed on without the model's noise",
    says="under Accumulate the share of a class that is rare in the data changes by {drawn:.1f} points if images are "
    "drawn from the model, and by {bare:.1f} if they are passed on as its means",
    control=altered(
        "images without noise as at the first fit",
        "noise_free",
        lambda d: d.isel(generation=[0] * d.sizes["generation"]),
    ),
)
def _attributes(results):
    """Minor attributes fade even when data accumulate: here a class that is rare in the data.

    No fall without noise either; for plain *holds*, one among drawn images too.
    """
    own, bare = _drawn(results, "Accumulate"), change(results["noise_free"], "rare_share", "Accumulate").scaled(100)
    falls = every(below(own), below(bare))
    return Finding(word(falls, below(bare)), {"drawn": own.estimate, "bare": bare.estimate}, bare, 0.0)


@claim(
    "thread-no-collapse-images",
    "thread, 10/N",
    "“no model collapse”",
    reach=SMALLER,
    condition=BOUNDED,
    says="{found}; {fits} fits",
    control=swapped("Accumulate"),
)
def _no_collapse(results):
    """If generated images accumulate, a VAE does not collapse.

    An answer *yes* to the second, third or fourth question; for plain *holds*, none to the first either.
    """
    return stands(results, "digits, a VAE")

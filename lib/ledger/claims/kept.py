"""Claims of chapter 8: a tenth of the original text kept, under the protocol of Shumailov et al. (2024).

The chapter runs the protocol in miniature; recorded are more of its arms, and a pre-trained model of 135 million
parameters, with three runs. Effects are differences of ln perplexity, paired over runs.
"""

import numpy as np

from lib.ledger import FAILS, HOLDS, IF, LEVEL, SMALLER, UNDECIDED, Finding, claim, word
from lib.ledger.claims.language import complete, ends, factor, in_each, later, loss, moved, worst
from lib.ledger.predicates import (
    BOUNDED,
    above,
    altered,
    answered,
    below,
    difference,
    every,
    mean,
    share_of_replace,
    stands,
    still,
    swapped,
)

TENTH = "Keep(0.1)"
# The axis of the paper's Fig. 1c, which it calls minor degradation, ends at a perplexity of 42, after 34 at the start.
MINOR = float(np.log(42 / 34))
SEARCHED, SAMPLED = "recorded 135M, 5 beams", "recorded 135M, sampled"
ASKED = ("the protocol in miniature", *(f"a pre-trained model of 135M, {how}" for how in ("searched", "sampled")))
# In the first three everything kept takes as many steps as the other regimes, in the others it takes more.
ARMS = {"mini": "5 epochs", "searched": SEARCHED, "sampled": SAMPLED}
ARMS |= {"five": "recorded 5 epochs", "ten": "recorded 10 epochs", "drawn": "recorded sampling"}


def effects(results, level=LEVEL):
    """What each factor does to ln perplexity at the last generation, from the data sets "5 epochs" and "10 epochs"."""
    end = {(e, r): loss(results[f"{e} epochs"], r) for e in (5, 10) for r in results[f"{e} epochs"]["regime"].values}
    pairs = {f"a tenth of the original kept, {e} epochs": ((e, TENTH), (e, "Replace")) for e in (5, 10)}
    for regime, said in (("Replace", "nothing"), (TENTH, "a tenth")):
        pairs[f"ten epochs instead of five, {said} kept"] = (10, regime), (5, regime)
    for e in (5, 10):
        for said, regime, other in (
            ("all synthetic text kept, nothing of the original", "Accumulate(0 kept)", "Replace"),
            ("all synthetic text kept, a tenth of the original", "Accumulate(0.1 kept)", TENTH),
            ("everything kept instead of a tenth", "Accumulate", TENTH),
        ):
            pairs[f"{said}, {e} epochs"] = (e, regime), (e, other)
    return {name: difference(end[a], end[b], level=level) for name, (a, b) in pairs.items() if a in end}


@claim(
    "nature-kept-minor",
    "Shumailov et al. 2024, result 3",
    "“only minor degradation of performance”, Fig. 1c",
    reach=SMALLER,
    says="with a pre-trained model of 135M parameters the perplexity is at most {large:.2f} times the first fit's "
    "and ends at {end:.3f} times with a tenth in every set, at most {none:.2f} and in the end {none_end:.3f} times "
    "without it (theirs at most 1.24 with the tenth; 1.6 to 1.8 without it, still below the base); in miniature "
    "{mini:.2f} and {mini_none:.2f} times, which is above its own base: another regime",
    control=swapped(TENTH),
)
def _minor(results):
    """With a random tenth of the original data in every set there is only minor degradation: at no generation more than
    the paper's own figure has room for, with a pre-trained model of the paper's size.

    A perplexity above 42/34 of the first fit's.
    """
    data, small = complete(results, SEARCHED), results["10 epochs"]
    large, none, mini = (worst(d, r) for d, r in ((data, TENTH), (data, "Replace"), (small, TENTH)))
    numbers = {"large": factor(large), "none": factor(none), "mini": factor(mini)}
    numbers |= {"end": factor(mean(moved(data, TENTH))), "none_end": factor(mean(moved(data, "Replace")))}
    numbers |= {"mini_none": factor(worst(results["5 epochs"], "Replace"))}
    return Finding(word(below(large, MINOR)), numbers, large, MINOR)


@claim(
    "thread-little-real",
    "thread, 9/N",
    "“by adding a little real data, they already see lower test perplexity!”",
    reach=SMALLER,
    says="averaged over the generations after the first, nothing kept has {mini5:.2f} and {mini10:.2f} times the "
    "perplexity of a tenth kept in miniature (five and ten epochs), and {searched:.3f} times with the pre-trained "
    "model, there {end:.3f} times at fit {fits}",
    control=swapped(TENTH),
)
def _helps(results):
    """A little real data already lowers the test perplexity under the paper's protocol, averaged over the generations
    after the first and at equal epochs, in miniature and with a pre-trained model.

    One of the three arms in which the kept tenth does not lower it.
    """
    arms, data = {"mini5": "5 epochs", "mini10": "10 epochs", "searched": SEARCHED}, complete(results, SEARCHED)
    found = in_each({k: difference(later(results, a, "Replace"), later(results, a, TENTH)) for k, a in arms.items()})
    numbers = {**found.numbers, "end": factor(ends(data, "Replace", TENTH)), "fits": data.sizes["generation"]}
    return Finding(found.word, numbers, found.interval, found.threshold)


@claim(
    "nature-kept-confounded",
    "this book",
    "both the kept tenth and the epochs change between Fig. 1b and 1c of Shumailov et al. 2024",
    reach=SMALLER,
    says="in miniature the tenth multiplies the perplexity by {tenth5:.2f} and {tenth10:.2f} (five and ten epochs), "
    "ten epochs instead of five by {none:.2f} and {kept:.2f} (nothing and a tenth kept)",
    control=swapped(TENTH),
)
def _not_the_epochs(results):
    """It is the preserved data that makes result 3 better than result 2, and not its ten epochs.

    A tenth that does not lower the perplexity at both numbers of epochs, or epochs that lower it as much.
    """
    found = dict(zip(("tenth5", "tenth10", "none", "kept"), list(effects(results).values())[:4], strict=True))
    numbers = {name: factor(interval) for name, interval in found.items()}
    tenth, epochs = (found["tenth5"], found["tenth10"]), (found["none"], found["kept"])
    weakest, best = max(tenth, key=lambda i: i.high), min(epochs, key=lambda i: i.low)
    return Finding(word(every(below(weakest), below(weakest, best.low))), numbers, weakest, min(0.0, best.low))


@claim(
    "nature-language-tails",
    "Shumailov et al. 2024, result 2",
    "histograms of Fig. 1b and 1c",
    reach=SMALLER,
    says="under the first model what is written ends, on average, at {searched:.2f} times the perplexity with the "
    "pre-trained model if it is searched for, at {sampled:.2f} times if it is sampled, and at {mini:.2f} times in "
    "miniature",
    control=altered(
        "generations of the pre-trained model in reverse order",
        SEARCHED,
        lambda d: d.isel(generation=slice(None, None, -1)),
    ),
)
def _tails(results):
    """Over the generations models produce more of what the first model would have produced with high likelihood.

    A perplexity of what is written, under the first model, that falls; or rises.
    """
    arms = {"searched": SEARCHED, "sampled": SAMPLED, "mini": "5 epochs"}
    score = "generated_perplexity"
    found = {k: mean(moved(complete(results, arm), "Replace", score)) for k, arm in arms.items()}
    return Finding(word(below(found["searched"])), {k: factor(i) for k, i in found.items()}, found["searched"], 0.0)


def spread(data, regime, generation):
    """ln of the 95% quantile over the median of the perplexities of written blocks, for each run: how far the tail of
    errors reaches."""
    values = np.log(data["generated_perplexities"].sel(regime=regime).isel(generation=generation))
    return (values.quantile(0.95, "sample") - values.median("sample")).values


def _stretched(data):
    values = data["generated_perplexities"]
    worse = (values > values.median("sample")) & (values["generation"] == values["generation"][-1])
    return data.assign(generated_perplexities=values.where(~worse, 4 * values))


@claim(
    "nature-language-errors",
    "Shumailov et al. 2024, result 2",
    "histograms of Fig. 1b and 1c",
    reach=SMALLER,
    says="in miniature the 95% quantile over the median of the perplexities of what is written changes by a factor "
    "of {found:.2f}",
    control=altered(
        "the less likely half of what the last model writes made four times less likely", "5 epochs", _stretched
    ),
)
def _longer(results):
    """At the same time generated data have much longer tails of what the first model would never produce.

    A tail that gets longer; or shorter.
    """
    found = difference(*(spread(results["5 epochs"], "Replace", place) for place in (-1, 0)))
    return Finding(word(above(found)), {"found": factor(found)}, found, 0.0)


@claim(
    "thread-no-collapse-protocol",
    "this book, going on from thread, 10/N",
    "“no model collapse”",
    reach=SMALLER,
    condition=BOUNDED,
    says="{words}. Of what Replace loses in nats, Accumulate loses between {least:.0%} ({low}) and {most:.0%} "
    "({high}) in {arms} arms of decoder, epochs and steps",
    control=answered("no"),
)
def _no_collapse(results):
    """Under the paper's protocol, too, there is no collapse if text accumulates: in miniature and with a pre-trained
    model, whether blocks are searched for or sampled.

    An answer *yes* to the second, third or fourth question in one of the three; for plain *holds*, none to the first
    either.
    """
    found = {world: stands(results, world).word for world in ASKED}
    data = {name: complete(results, name) for name in ARMS.values()}
    shares = {k: share_of_replace(d, "test_perplexity", "Accumulate", np.log).estimate for k, d in data.items()}
    low, high = min(shares, key=shares.get), max(shares, key=shares.get)
    numbers = {"low": low, "high": high, "least": shares[low], "most": shares[high], "arms": len(shares)}
    numbers |= {"words": "; ".join(f"{world}: {said}" for world, said in found.items())}
    return Finding(max(found.values(), key=(HOLDS, IF, UNDECIDED, FAILS).index), numbers)


@claim(
    "nature-penalty",
    "Shumailov et al. 2024, ablation",
    "the perplexity doubles",
    reach=SMALLER,
    says="recorded in miniature: at generation 2 the perplexity is {level:.2f} times as high with the penalty",
    control=altered(
        "the perplexities with the penalty four times as high",
        "recorded penalty 2.0",
        lambda d: d.assign(test_perplexity=4 * d["test_perplexity"]),
    ),
)
def _penalty(results):
    """With repetitions discouraged by a penalty of 2.0 the perplexity doubles.

    A perplexity at generation 2 that is separated from twice that without the penalty.
    """
    plain, fined = results["recorded 5 epochs"], results["recorded penalty 2.0"]
    level = difference(loss(fined, "Replace", 1), loss(plain, "Replace", 1))
    return Finding(word(above(level, np.log(2))), {"level": factor(level)}, level, np.log(2))


@claim(
    "nature-penalty-rise",
    "Shumailov et al. 2024, ablation",
    "as susceptible to collapse as without the penalty, if not more",
    reach=SMALLER,
    says="recorded in miniature: with nothing kept the perplexity rises {fined:.2f}-fold with the penalty and "
    "{plain:.2f}-fold without",
    control=still("Replace"),
)
def _penalty_rise(results):
    """With a penalty of 2.0 on repetitions the perplexity still rises from fit to fit, and by no less.

    A rise that is separated from none, or from that without the penalty.
    """
    plain, fined = (moved(results[f"recorded {arm}"], "Replace") for arm in ("5 epochs", "penalty 2.0"))
    rise, more = mean(fined), difference(fined, plain)
    numbers = {"fined": factor(rise), "plain": factor(mean(plain))}
    return Finding(word(every(above(rise), False if more.high < 0 else True)), numbers, rise, 0.0)


@claim(
    "nature-validation",
    "Shumailov et al. 2024, result 2",
    "“can be even more pronounced”",
    reach=SMALLER,
    says="recorded in miniature: with nothing kept the perplexity ends at {last:.2f} times the first fit's if the "
    "last model of each fit writes, and at {best:.2f} times if the best on real validation text does",
    control=altered(
        "the best weights as at the first fit of the last ones",
        "recorded 5 epochs",
        lambda d: d.isel(generation=[0] * d.sizes["generation"]),
    ),
)
def _validation(results):
    """Because the best model on the original validation set writes the next one, collapse is milder than it would be in
    practice: the perplexity rises by less.

    A difference of the rises at or below 0.
    """
    arms = {"last": "recorded 5 epochs", "best": "recorded best on validation"}
    rises = {name: moved(results[arm], "Replace") for name, arm in arms.items()}
    found = difference(rises["last"], rises["best"])
    return Finding(word(above(found)), {name: factor(mean(rise)) for name, rise in rises.items()}, found, 0.0)


@claim(
    "thread-keep-all",
    "this book",
    "goes on from “most data is still replaced” (thread, 9/N)",
    reach=SMALLER,
    condition="every fit takes the same number of steps",
    says="averaged over the generations after the first, a tenth kept has {mini:.2f} times the perplexity of "
    "everything kept in miniature, and {searched:.3f} and {sampled:.3f} times with the pre-trained model (searched "
    "and sampled), at the same steps; in miniature, with passes over everything, {five:.2f} and {ten:.2f} times "
    "(five and ten epochs, searched) and {drawn:.2f} times (sampled)",
    control=swapped(TENTH, "Accumulate"),
)
def _everything(results):
    """Under the paper's protocol keeping everything does better than keeping a tenth, in each arm of decoder, epochs
    and steps.

    One arm at the same steps in which it does not; for plain *holds*, none with passes over everything either.
    """
    found = {k: difference(*(later(results, arm, r) for r in (TENTH, "Accumulate"))) for k, arm in ARMS.items()}
    matched = [found[arm] for arm in ("mini", "searched", "sampled")]
    holds, same = (every(*map(above, intervals)) for intervals in (found.values(), matched))
    nearest = min(matched, key=lambda interval: interval.low)
    return Finding(word(holds, same), {k: factor(i) for k, i in found.items()}, nearest, 0.0)

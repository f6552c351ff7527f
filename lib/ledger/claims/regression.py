"""Claims of chapter 5: least squares on labels that the model before has given.

Errors are excess risks in units of the first fit's. In the ridge data sets XᵀX is the identity times the rows.
"""

from lib import theory
from lib.ledger import LAW, UNDECIDED, Finding, claim, word
from lib.ledger.predicates import (
    BOUNDED,
    above,
    at,
    difference,
    every,
    mean,
    on_law,
    stands,
    swapped,
    together,
)
from lib.regimes import Accumulate, Replace
from lib.theory import regression as laws

FAR = 2**15  # generations to which laws are followed for what they tend to


def _risk(data, regime, generation=-1):
    """Excess risk of each run in units of the first fit's mean."""
    n, d, noise = (data.attrs[name] for name in ("n", "dimension", "noise"))
    return at(data, "excess_risk", regime, generation) / laws.first_fit_risk(n, d, noise)


def law(data, regime, generations=FAR):
    """Its exact law in the same units."""
    n, d, noise, design = (data.attrs[name] for name in ("n", "dimension", "noise", "design"))
    exact = laws.expected_excess_risk(regime, n, generations, d, noise, design)
    return exact / laws.first_fit_risk(n, d, noise)


@claim(
    "colm-linear",
    "Gerstgrasser et al. 2024; Dohmatob et al. 2024",
    "σ²d/(n−d−1) · t, for n rows and t fits",
    reach=LAW,
    says="{end:.1f} first-fit errors at generation {t} (law {t}), of which {late:.1f} came after generation {half} "
    "(law {rest})",
    control=swapped("Accumulate"),
)
def _linear(results):
    """If labels are replaced, the expected test error of least squares is the first fit's times the number of fits.

    An error, or a rise over the second half, that does not follow the straight line.
    """
    data = results["fixed"]
    t = data.sizes["generation"]
    half = t // 2
    end = mean(_risk(data, "Replace"))
    late = difference(_risk(data, "Replace"), _risk(data, "Replace", half - 1))
    numbers = {"end": end.estimate, "t": t, "late": late.estimate, "half": half, "rest": t - half}
    return Finding(word(every(on_law(end, t), on_law(late, t - half))), numbers)


@claim(
    "colm-bound",
    "Gerstgrasser et al. 2024; Dey and Donoho 2024",
    "σ²d/(n−d−1) · π²/6; “universal”",
    reach=LAW,
    says="in each of {shapes} shapes of the data, on the same and on new inputs, the law tends to at most {most:.4f} "
    "first-fit errors, where π²/6 is {bound:.4f}; the largest simulated error is {found:.2f}",
    control=swapped("Accumulate"),
)
def _bound(results):
    """If labels accumulate, the expected test error of least squares stays within π²/6 of the first fit's for ever,
    whatever the dimension, the number of rows and the design.

    One shape off its law, or one law that passes π²/6.
    """
    ends, agree = [], []
    main = [results["fixed"], results["fresh"]]
    shapes = [cell.squeeze("regime") for _, cell in results["shapes"].groupby("regime", squeeze=False)]
    level = together(len(main) + len(shapes))
    for data in main:
        found = mean(_risk(data, "Accumulate"), level=level)
        agree.append(on_law(found, law(data, Accumulate(), data.sizes["generation"])[-1]))
        ends.append((found.estimate, theory.limit(law(data, Accumulate()))))
    for cell in shapes:
        d, n, design, noise = (*(cell[k].item() for k in ("dimension", "size", "design")), cell.attrs["noise"])
        first = laws.first_fit_risk(n, d, noise)
        found = mean(cell["excess_risk"].isel(generation=-1).values / first, level=level)
        exact = laws.expected_excess_risk(Accumulate(), n, FAR, d, noise, design) / first
        agree.append(on_law(found, exact[int(cell["generation"][-1]) - 1]))
        ends.append((found.estimate, theory.limit(exact)))
    found, tends = map(max, zip(*ends, strict=True))
    numbers = {"shapes": len(ends), "most": tends, "bound": theory.EULER_SUM, "found": found}
    # Limits are extrapolated, with an error of about 1/FAR².
    return Finding(word(tends <= theory.EULER_SUM * (1 + 10 / FAR**2)) if every(*agree) else UNDECIDED, numbers)


@claim(
    "thread-regression",
    "thread, 11/N",
    "“We also prove this analytically in linear regression”",
    reach=LAW,
    says="at generation {t} Accumulate is {fixed:.1f} first-fit errors below Replace (exact: {law:.1f}), and "
    "{fresh:.1f} on new inputs",
    control=swapped("Accumulate"),
)
def _mitigated(results):
    """In linear regression the collapse is mitigated if synthetic data are added to real data: the error is lower than
    under Replace from the second fit on.

    No difference from Replace, on the same inputs or on new ones.
    """
    gaps = {x: difference(_risk(results[x], "Replace"), _risk(results[x], "Accumulate")) for x in ("fixed", "fresh")}
    exact = [law(results["fixed"], r, results["fixed"].sizes["generation"]) for r in (Replace(), Accumulate())]
    numbers = {name: found.estimate for name, found in gaps.items()}
    numbers |= {"t": len(exact[0]), "law": exact[0][-1] - exact[1][-1]}
    holds = every(*map(above, gaps.values()), bool((exact[0][1:] > exact[1][1:]).all()))
    return Finding(word(holds), numbers, gaps["fixed"], 0.0)


@claim(
    "thread-no-collapse-regression",
    "thread, 10/N",
    "“no model collapse”",
    reach=LAW,
    condition=BOUNDED,
    says="{found}",
    control=swapped("Accumulate"),
)
def _no_collapse(results):
    """If labels accumulate, least squares does not collapse.

    A law without bound for its error; for plain *holds*, no rise of the error.
    """
    return stands(results, "least squares")


@claim(
    "book-ridge",
    "this book",
    "nobody has said it of ridge regression; it bounds what can be proved",
    reach=LAW,
    says="with a penalty per row that leaves {kept:.0%} per fit, {left:.2f} of the coefficient is left after {t} "
    "fits under Accumulate (law {law:.2f}) and {lost:.1g} under Replace; both laws tend to 0, one as a power of t "
    "and one exponentially, while the error stays bounded",
    control=swapped("Accumulate"),
)
def _ridge(results):
    """With a ridge penalty that grows with the rows, accumulating does not keep the coefficient: it tends to 0 like a
    power of the number of fits.

    A coefficient off its law, or a law that levels off above 0.
    """
    data = results["ridge_per_row"]
    rows, t = data.attrs["n"], data.sizes["generation"]
    kept = rows / (rows + data.attrs["ridge"] * rows)
    left, lost = (mean(at(data, "shrinkage", r)) for r in ("Accumulate", "Replace"))
    exact = laws.ridge_shrinkage(Accumulate(), kept, FAR, "per_row")
    numbers = {"kept": kept, "left": left.estimate, "t": t, "law": exact[t - 1], "lost": lost.estimate}
    return Finding(word(every(on_law(left, exact[t - 1]), kept < 1)), numbers)

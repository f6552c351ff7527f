"""What the tests of several judges share: one verdict, and scores with what their worlds say of them."""

from lib import ledger
from lib.worlds import densities, gaussian
from lib.worlds.discrete import Discrete
from lib.worlds.language.ngram import NGram
from lib.worlds.molecules.conformers import Conformers
from lib.worlds.spiked import Spiked

SCORES = Discrete.scores | NGram.scores | Conformers.scores | Spiked.scores
SCORES |= gaussian.SCORES | densities.SCORES | densities.MODE_SCORES


def verdict(chapter, claim, results):
    """The verdict on one claim of a chapter."""
    (judge,) = (known.judge for known in ledger.of_chapter(chapter) if known.id == claim)
    return judge(results).verdict


def declared(data):
    """A data set whose scores have the attributes that `recurse` gives them."""
    for name in data.data_vars:
        if name in SCORES:
            data[name].attrs.update(SCORES[name].attributes)
    return data

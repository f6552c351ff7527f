"""Replace or Accumulate?: the loops behind the book.

One recursion (`lib.recursion.recurse`), worlds that know no regimes (`lib.worlds.gaussian`, `lib.worlds.images.vae`),
regimes that know no worlds (`lib.regimes`), and the exact laws that are drawn over both (`lib.theory`).
"""

__version__ = "0.1.0"

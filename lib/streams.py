"""Keyed random streams: a draw is named by where it happens, so no random state is ever stored.

Each stream is `SeedSequence(seed, spawn_key=(block, generation, purpose, regime))`: neither other regimes nor an
interruption change a number. Runs are the leading axis of every array that is drawn, so the first runs stay the same
when more are asked for, provided that one stream fills one array: code that needs several takes `rng.spawn(k)`.
"""

import zlib
from dataclasses import dataclass

import numpy as np

PURPOSES = ("real", "sample", "fit", "compose", "score", "select", "inputs", "subset")


@dataclass(frozen=True)
class Streams:
    """The random streams of one block of runs in one regime; `regime` is 0 where regimes share their streams."""

    seed: int
    block: int
    regime: int = 0

    def __call__(self, generation: int, purpose: str) -> np.random.Generator:
        """The generator of one purpose in one generation, always in its initial state."""
        key = (self.block, generation, PURPOSES.index(purpose), self.regime)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))


def regime_key(label: str) -> int:
    """A number for a regime's label that does not depend on its place in the list; never 0, the shared key."""
    return 1 + zlib.crc32(label.encode())


def child(rng: np.random.Generator, index: int) -> np.random.Generator:
    """The stream numbered `index` below `rng`; unlike `rng.spawn` it can be asked for again and in any order."""
    parent = rng.bit_generator.seed_seq
    # A spawn key is a tuple of 32-bit words; a count of real samples may be larger than that.
    key = (*parent.spawn_key, index & 0xFFFFFFFF, index >> 32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(parent.entropy, spawn_key=key)))

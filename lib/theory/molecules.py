"""A chain of atoms on springs: a law of shapes for which the best denoiser is known.

The ideal chain (Rouse 1953): atom k + 1 sits at atom k plus an isotropic normal step of standard deviation `bond` per
coordinate. Its density does not change under rotation or reflection.
"""

import numpy as np


def chain_covariance(atoms: int, bond: float) -> np.ndarray:
    """Covariance (atoms, atoms), in Å², of one coordinate of all atoms of a centred ideal chain."""
    position = np.arange(atoms)
    free = bond**2 * np.minimum.outer(position, position)  # a random walk that starts at 0
    centring = np.eye(atoms) - 1 / atoms
    return centring @ free @ centring


def chains(covariance: np.ndarray, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Centred conformers with that covariance of each coordinate, shape (*size, atoms, 3), Å."""
    values, vectors = np.linalg.eigh(covariance)
    # The signs of eigenvectors are those of the processor: here the last atom is where a positive number takes it.
    root = vectors * np.where(vectors[-1] < 0, -1.0, 1.0) * np.sqrt(np.clip(values, 0, None))
    return root @ rng.standard_normal((*size, len(values), 3))


def best_denoiser(covariance: np.ndarray, noisy: np.ndarray, sigma: float) -> np.ndarray:
    """E[x | y] = C (C + σ²)⁻¹ y for y = x + σ · centred normal noise, shapes (..., atoms, 3); σ in Å."""
    return covariance @ np.linalg.solve(covariance + sigma**2 * np.eye(len(covariance)), noisy)

"""What generated conformers are judged by: shapes after alignment, torsion angles, energies, and valid geometry.

All functions take heavy atoms, shape (..., atoms, 3), in Å.
"""

import contextlib
from functools import cache

import numpy as np

from lib.worlds.molecules.truth import Molecule, conformers, molecule, rdkit

BINS = 72  # of a torsion histogram: 5° each
TOLERANCE = 0.1  # by which a distance may leave RDKit's bounds in a valid geometry
RELAXATION = 200  # steps at most that hydrogens are relaxed for


def rmsd(a: np.ndarray, b: np.ndarray, symmetries: np.ndarray) -> np.ndarray:
    """Root-mean-square deviation (Å) of every conformer in `a` (A, n, 3) from every one in `b` (B, n, 3), shape (A, B).

    Each pair is aligned by the best translation and proper rotation (Kabsch 1976), for the best of the `symmetries` (k,
    n) of the molecule; mirror images are not aligned with each other. RDKit's `GetBestRMS` computes the same for one
    pair.
    """
    n = a.shape[1]
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a.astype(float), b.astype(float)))
    squares = (a**2).sum(axis=(1, 2))[:, None] + (b**2).sum(axis=(1, 2))
    best = np.full(squares.shape, -np.inf)
    for order in symmetries:
        # Correlation matrices of all pairs by one matrix product: (A·3, n) times (n, B·3).
        left, right = a.transpose(0, 2, 1).reshape(-1, n), b[:, order].transpose(1, 0, 2).reshape(n, -1)
        correlation = (left @ right).reshape(len(a), 3, len(b), 3).transpose(0, 2, 1, 3)
        stretch = np.linalg.svd(correlation, compute_uv=False)
        # A rotation cannot reflect: the least stretch counts against it where a reflection would fit better.
        stretch[..., 2] *= np.sign(np.linalg.det(correlation))
        best = np.maximum(best, stretch.sum(axis=-1))
    return np.sqrt(np.maximum(squares - 2 * best, 0) / n)


def coverage_and_matching(samples: np.ndarray, truth: np.ndarray, symmetries: np.ndarray, threshold: float) -> dict:
    """COV and MAT as the field reports them (Xu et al. 2022; precision is recall with the two sets exchanged).

    `coverage_recall`: share of true conformers with a sample within `threshold` Å; `matching_recall`: mean distance of
    a true conformer from its nearest sample, Å. Precision: share of samples near a true conformer, and their mean
    distance.
    """
    distances = rmsd(samples, truth, symmetries)
    recall, precision = distances.min(axis=0), distances.min(axis=1)
    return {
        "coverage_recall": (recall <= threshold).mean(),
        "matching_recall": recall.mean(),
        "coverage_precision": (precision <= threshold).mean(),
        "matching_precision": precision.mean(),
    }


@cache
def threshold(name: str, count: int, temperature: float, references: int) -> float:
    """The distance, in Å, within which 90% of true conformers have one among twice as many other true ones.

    The field's fixed thresholds, 0.5 Å and 1.25 Å, are meant for larger molecules: a handful of butanes covers all
    others at the first. With this one the truth itself has a coverage of 0.9.
    """
    truth = conformers(name, count, temperature)
    distances = rmsd(truth.train[: 2 * references], truth.test[:references], molecule(name).symmetries)
    return float(np.quantile(distances.min(axis=0), 0.9))


def torsion_angles(positions: np.ndarray, torsions: np.ndarray) -> np.ndarray:
    """Dihedral angles in degrees, (−180, 180], shape (..., m), about the middle bonds of `torsions` (m, 4); IUPAC's
    sign."""
    a, b, c, d = (positions[..., torsions[:, k], :].astype(float) for k in range(4))
    middle = c - b
    first, second = np.cross(b - a, middle), np.cross(middle, d - c)
    length = np.maximum(np.linalg.norm(middle, axis=-1), 1e-12)  # of atoms in one place
    sine = (np.cross(first, second) * middle).sum(axis=-1) / length
    return np.degrees(np.arctan2(sine, (first * second).sum(axis=-1)))


def circular_wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """1-Wasserstein distance in degrees between the empirical distributions of two sets of angles on the circle.

    ∫ |F_a − F_b − α| over the circle, α the median of the difference: the best place to cut it open (Rabin, Delon and
    Gousseau 2011).
    """
    points = np.unique(np.concatenate([a, b]) % 360)
    below = [np.searchsorted(np.sort(x % 360), points, side="right") / x.size for x in (a, b)]
    gap = below[0] - below[1]
    width = np.diff(points, append=points[0] + 360)
    order = np.argsort(gap)
    middle = gap[order][np.searchsorted(np.cumsum(width[order]), 180.0)]
    return float((np.abs(gap - middle) * width).sum())


def mirrored(angles: np.ndarray) -> np.ndarray:
    """Torsion angles with those of the mirror images: a law that is symmetric is estimated from twice the angles."""
    return np.concatenate([angles, -angles], axis=-2)


def torsion_distance(angles: np.ndarray, known: np.ndarray) -> float:
    """Circular 1-Wasserstein distance of torsion angles (size, m) from those of the truth, degrees, mean over bonds."""
    pairs = zip(mirrored(angles).T, mirrored(known).T, strict=True)
    return float(np.mean([circular_wasserstein(a, b) for a, b in pairs]))


def torsion_shares(angles: np.ndarray) -> np.ndarray:
    """Histograms of angles (size, m) with their mirror images, over [−180, 180): shape (m, BINS), each summing to 1."""
    edges = np.linspace(-180, 180, BINS + 1)
    folded = (mirrored(angles) + 180) % 360 - 180
    return np.stack([np.histogram(column, edges)[0] / column.size for column in folded.T])


class Hydrogens:
    """Energies of heavy atoms: hydrogens are placed by RDKit and relaxed by MMFF94 while the heavy atoms are held.

    What is left is the energy that the heavy atoms alone are responsible for, in kcal/mol. Energies of true conformers
    are computed the same way before they are compared.
    """

    def __init__(self, found: Molecule):
        Chem = rdkit()
        forces = Chem.rdForceFieldHelpers
        self._heavy, self._full = Chem.RemoveHs(Chem.Mol(found.full)), Chem.Mol(found.full)
        for m in (self._heavy, self._full):
            m.AddConformer(Chem.Conformer(m.GetNumAtoms()))
        self._field = forces.MMFFGetMoleculeForceField(self._full, forces.MMFFGetMoleculeProperties(self._full))
        self._held = range(found.atoms)

    def energies(self, positions: np.ndarray) -> np.ndarray:
        """Shape (count,) for positions (count, atoms, 3)."""
        Chem = rdkit()
        out = []
        for x in positions.astype(float):
            self._heavy.GetConformer().SetPositions(x)
            placed = Chem.AddHs(self._heavy, addCoords=True).GetConformer().GetPositions()
            self._full.GetConformer().SetPositions(placed)
            self._field.Initialize()
            for atom in self._held:
                self._field.AddFixedPoint(atom)
            with contextlib.suppress(RuntimeError):  # no way down from where atoms lie upon each other
                self._field.Minimize(maxIts=RELAXATION)
            out.append(self._field.CalcEnergy())
        return np.nan_to_num(out, nan=np.inf, posinf=np.inf)


@cache
def hydrogens(name: str) -> Hydrogens:
    """The same instance in every call: building a force field takes longer than using it."""
    return Hydrogens(molecule(name))


@cache
def usual_energy(name: str, count: int, temperature: float, size: int) -> float:
    """Median energy (kcal/mol) of the first `size` held-out true conformers."""
    return float(np.median(hydrogens(name).energies(conformers(name, count, temperature).test[:size])))


@cache
def bounds(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest distance (atoms, atoms), in Å, of two heavy atoms in a valid geometry.

    RDKit's distance bounds, widened by TOLERANCE. The upper one counts for bonds and for atoms bound to the same atom
    only, and is infinite elsewhere. The check is that of Buttenschoen et al. (2024), who widen by a quarter and more.
    """
    Chem, found = rdkit(), molecule(name)
    matrix = Chem.rdDistGeom.GetMoleculeBoundsMatrix(found.full)[: found.atoms, : found.atoms]
    steps = Chem.GetDistanceMatrix(found.full)[: found.atoms, : found.atoms]
    upper, lower = np.triu(matrix), np.tril(matrix)
    low, high = lower + lower.T, upper + upper.T
    return (1 - TOLERANCE) * low, np.where((steps > 0) & (steps <= 2), (1 + TOLERANCE) * high, np.inf)


def valid(name: str, positions: np.ndarray) -> np.ndarray:
    """Whether each conformer (..., atoms, 3) keeps to the `bounds`: no bond or angle far off, no two atoms in one
    place."""
    low, high = bounds(name)
    distances = np.linalg.norm(positions[..., :, None, :] - positions[..., None, :, :], axis=-1)
    return ((distances >= low) & (distances <= high)).all(axis=(-2, -1))

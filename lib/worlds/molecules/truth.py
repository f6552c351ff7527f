"""Molecules and the law of their shapes: conformers drawn with RDKit's MMFF94 force field; nothing is downloaded.

*Truth*, exactly: the heavy atoms of a molecule in vacuum at a stated temperature. Its atoms, hydrogens included, have
the Boltzmann density exp(−E/kT) of the MMFF94 energy E (Halgren 1996); the hydrogens are then left out, so what remains
is a marginal density. Mirror images are equally probable, and so are relabellings of equivalent atoms: every conformer
is mirrored with probability ½, so that a chiral molecule is there as its racemate, and relabelled by a random symmetry.
Chains start from ETKDG conformers (Riniker and Landrum 2015) relaxed by the force field.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from lib.checkpoint import remembered
from lib.errors import number, refuse, whole

MOLECULES = {
    "butane": "CCCC",
    "alanine dipeptide": "CC(=O)NC(C)C(=O)NC",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
}
HELD_OUT = 1000  # conformers of the test part, from chains of their own
BOLTZMANN = 1.987204259e-3  # kcal / (mol K)
SEED = 20220203
CHAIN = 25  # conformers kept of one chain
BURN_IN, BETWEEN = 30, 5  # rounds before the first conformer that is kept, and from one to the next
LEAPFROGS, TWISTS = 10, 4  # of one round
STEP = 0.035  # Å, of the leapfrog; divided by the fourth root of the number of atoms, as its error grows (Neal 2011)


@dataclass(frozen=True, eq=False)
class Molecule:
    """A molecule without coordinates. Indices count heavy atoms, which come first where hydrogens are present.

    `elements` has one symbol for each heavy atom. `bonds` (b, 2) and `torsions` (m, 4), one for each rotatable bond,
    are atom indices; `symmetries` (k, atoms) all relabellings that leave the bonds as they are. `full` is RDKit's
    molecule with hydrogens, without conformers.
    """

    name: str
    smiles: str
    elements: tuple[str, ...]
    bonds: np.ndarray
    torsions: np.ndarray
    symmetries: np.ndarray
    full: object

    @property
    def atoms(self) -> int:
        """The number of heavy atoms."""
        return len(self.elements)


@dataclass(frozen=True, eq=False)
class Truth:
    """Conformers of one molecule in two parts from different chains: float32, shape (count, atoms, 3), Å, centred."""

    train: np.ndarray
    test: np.ndarray


def rdkit():
    """RDKit's chemistry package; ModuleNotFoundError, saying what to install, without it."""
    try:
        from rdkit import Chem
        from rdkit.Chem import rdDistGeom, rdForceFieldHelpers  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"molecules come with RDKit, which cannot be imported ({error}): pip install rdkit"
        ) from error
    return Chem


@cache
def molecule(name: str) -> Molecule:
    """The molecule of that name, or of that SMILES. Refused, saying why: one that cannot be parsed, is in several
    pieces, has a flexible ring or no rotatable bond, has no MMFF94 parameters or cannot be embedded in space."""
    Chem = rdkit()
    from rdkit import rdBase
    from rdkit.Chem.Lipinski import RotatableBondSmarts

    smiles = MOLECULES.get(name, name)
    known = f"one of {', '.join(map(repr, MOLECULES))}, or a SMILES"
    with rdBase.BlockLogs():
        heavy = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) else None
        if heavy is None or heavy.GetNumAtoms() == 0:
            refuse("molecule", name, f"{known}; RDKit cannot parse this")
        if len(Chem.GetMolFrags(heavy)) > 1:
            refuse("molecule", name, f"{known} of one connected molecule")
        if any(_flexible(heavy, ring) for ring in heavy.GetRingInfo().AtomRings()):
            allowed = "without rings that are not flat: the chains do not turn one shape of such a ring into another"
            refuse("molecule", name, f"{known}, {allowed}")
        turning = heavy.GetSubstructMatches(RotatableBondSmarts)
        if not turning:
            refuse("molecule", name, f"{known} with a rotatable bond between heavy atoms; this one has none")
        full = Chem.AddHs(heavy)
        if not Chem.rdForceFieldHelpers.MMFFHasAllMoleculeParams(full):
            refuse("molecule", name, f"{known} of atoms that MMFF94 has parameters for")
        symmetries = heavy.GetSubstructMatches(heavy, uniquify=False, useChirality=False)
    _embedded(name, full, 1)
    torsions = [(_end(heavy, a, b), a, b, _end(heavy, b, a)) for a, b in turning]
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in heavy.GetBonds()]
    elements = tuple(atom.GetSymbol() for atom in heavy.GetAtoms())
    return Molecule(name, smiles, elements, *map(np.array, (bonds, torsions, symmetries)), full)


def _flexible(heavy, ring: tuple[int, ...]) -> bool:
    """Whether a ring has several shapes, which the chains do not mix: a pucker of four or five atoms keeps its sign for
    most or all of a chain, and the barrier of a chair is 10 kcal/mol. Rings of three are flat, and aromatic ones."""
    atoms = [heavy.GetAtomWithIdx(k) for k in ring]
    if len(ring) < 4 or all(atom.GetIsAromatic() for atom in atoms):
        return False
    return len(ring) > 7 or any(str(atom.GetHybridization()) not in ("SP", "SP2") for atom in atoms)


def _end(heavy, a: int, b: int) -> int:
    """The neighbour of `a` that a torsion about the bond a–b is read from: along the chain where it goes on, as is
    usual."""
    others = [n for n in heavy.GetAtomWithIdx(a).GetNeighbors() if n.GetIdx() != b]
    return min(others, key=lambda n: (-n.GetDegree(), n.GetIdx())).GetIdx()


@cache
def conformers(name: str, count: int = 4000, temperature: float = 300.0) -> Truth:
    """`count` conformers to train on and HELD_OUT others to test on, the same in every call with the same RDKit.

    Kept in memory, and on disk in the folder that LIB_STORE names if it is set: many processes then need them only
    once. Errors of `molecule`, and ValueError for a wrong count or temperature.
    """
    count, temperature = whole("conformers", count, 1), number("temperature", temperature, above=0)
    found = molecule(name)
    drawn = remembered((_drawn, found.smiles, count, float(temperature)), lambda: _drawn(found, count, temperature))
    for part in drawn:
        part.setflags(write=False)  # every caller gets the same arrays
    return Truth(*drawn)


def _drawn(molecule: Molecule, count: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    chains = [-(-size // CHAIN) for size in (count, HELD_OUT)]
    starts = _embedded(molecule.name, molecule.full, sum(chains), relaxed=True)
    rng_chains, rng_mirror, rng_labels, *rng_orders = np.random.default_rng(SEED).spawn(5)
    kept = boltzmann(molecule, starts, CHAIN, temperature, rng_chains)[:, :, : molecule.atoms]
    kept = (kept - kept.mean(axis=2, keepdims=True)) * rng_mirror.choice([-1.0, 1.0], size=(*kept.shape[:2], 1, 1))
    labels = molecule.symmetries[rng_labels.integers(len(molecule.symmetries), size=kept.shape[:2])]
    kept = np.take_along_axis(kept, labels[..., None], axis=2)
    parts = []
    for own, size, rng in zip(np.split(kept, [chains[0]]), (count, HELD_OUT), rng_orders, strict=True):
        rows = own.reshape(-1, molecule.atoms, 3)
        parts.append(rows[rng.permutation(len(rows))[:size]].astype(np.float32))
    return tuple(parts)


def _embedded(name: str, full, count: int, relaxed: bool = False) -> np.ndarray:
    """ETKDGv3 conformers of all atoms, shape (count, all atoms, 3), Å; `relaxed`: moved to their MMFF94 minima."""
    from rdkit import Chem, rdBase

    settings = Chem.rdDistGeom.ETKDGv3()
    settings.randomSeed = SEED
    copy = Chem.Mol(full)
    with rdBase.BlockLogs():
        if len(Chem.rdDistGeom.EmbedMultipleConfs(copy, count, settings)) < count:
            refuse("molecule", name, "a molecule that fits into space; ETKDGv3 cannot embed this one")
        if relaxed:
            Chem.rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(copy, maxIters=2000)
    return np.array([conformer.GetPositions() for conformer in copy.GetConformers()])


class ForceField:
    """MMFF94 of a molecule with hydrogens as functions of coordinates (count, all atoms, 3), in Å and kcal/mol."""

    def __init__(self, full):
        Chem = rdkit()
        self._molecule = Chem.Mol(full)
        self._molecule.AddConformer(Chem.Conformer(full.GetNumAtoms()))
        properties = Chem.rdForceFieldHelpers.MMFFGetMoleculeProperties(self._molecule)
        self._field = Chem.rdForceFieldHelpers.MMFFGetMoleculeForceField(self._molecule, properties)

    def energy(self, positions: np.ndarray) -> np.ndarray:
        """Shape (count,)."""
        return np.array([self._field.CalcEnergy(x) for x in positions.reshape(len(positions), -1).tolist()])

    def gradient(self, positions: np.ndarray) -> np.ndarray:
        """Shape (count, all atoms, 3)."""
        flat = positions.reshape(len(positions), -1).tolist()
        return np.array([self._gradient(x) for x in flat]).reshape(positions.shape)

    def _gradient(self, flat: list[float]) -> tuple[float, ...]:
        self._field.Initialize()  # RDKit remembers distances of earlier positions
        return self._field.CalcGrad(flat)


def boltzmann(
    molecule: Molecule, starts: np.ndarray, kept: int, temperature: float, rng: np.random.Generator
) -> np.ndarray:
    """Markov chains with the density exp(−E/kT) of all atoms: shape (chains, kept, all atoms, 3), one chain for each
    start.

    A round is one hybrid Monte Carlo move (Duane et al. 1987), which moves all atoms a little, and TWISTS turns of one
    side of a random rotatable bond by a random angle, which cross barriers. Each is accepted by Metropolis's rule, so
    the density is exact whatever the step.
    """
    field, x = ForceField(molecule.full), starts
    scale = 1 / (BOLTZMANN * temperature)
    energy, out = scale * field.energy(x), []
    sides = [_side(molecule.full, a, b) for a, b in molecule.torsions[:, 1:3]]
    rng_moves, rng_turns = rng.spawn(2)
    for index in range(BURN_IN + (kept - 1) * BETWEEN + 1):
        x, energy = _moved(field, scale, x, energy, rng_moves)
        for _ in range(TWISTS):
            bond = rng_turns.integers(len(sides))
            turned = _turned(
                x, molecule.torsions[bond, 1:3], sides[bond], rng_turns.uniform(-np.pi, np.pi, size=len(x))
            )
            x, energy = _chosen(x, energy, turned, scale * field.energy(turned), 0.0, rng_turns)
        if index >= BURN_IN and (index - BURN_IN) % BETWEEN == 0:
            out.append(x)
    return np.stack(out, axis=1)


def _moved(field, scale, x, energy, rng):
    """One hybrid Monte Carlo move with unit masses: fresh momenta, leapfrog steps, Metropolis's rule."""
    # Varied, so that no mode of vibration comes back to where it was; the fourth root keeps the acceptance about the
    # same.
    step = rng.uniform(0.8, 1.2) * STEP * x.shape[1] ** -0.25
    momentum = rng.standard_normal(x.shape)
    kinetic = 0.5 * (momentum**2).sum(axis=(1, 2))
    new, force = x, -scale * field.gradient(x)
    with np.errstate(over="ignore", invalid="ignore"):  # a trajectory that runs away is rejected below
        for _ in range(LEAPFROGS):
            momentum = momentum + 0.5 * step * force
            new = new + step * momentum
            force = -scale * field.gradient(new)
            momentum = momentum + 0.5 * step * force
        gain = kinetic - 0.5 * (momentum**2).sum(axis=(1, 2))
        return _chosen(x, energy, new, scale * field.energy(new), gain, rng)


def _chosen(x, energy, new, new_energy, gain, rng):
    accepted = np.log(rng.random(len(x))) < energy - new_energy + gain  # False for NaN
    return np.where(accepted[:, None, None], new, x), np.where(accepted, new_energy, energy)


def _turned(x: np.ndarray, bond: np.ndarray, side: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The atoms of `side` rotated about a bond, by an angle for each conformer (Rodrigues' formula)."""
    origin = x[:, bond[1]][:, None]
    axis = origin - x[:, bond[0]][:, None]
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    arm = x[:, side] - origin
    cos, sin = (f(angles)[:, None, None] for f in (np.cos, np.sin))
    along = (axis * arm).sum(axis=-1, keepdims=True)
    out = x.copy()
    out[:, side] = origin + arm * cos + np.cross(axis, arm) * sin + axis * along * (1 - cos)
    return out


def _side(full, a: int, b: int) -> np.ndarray:
    """The atoms on b's side of the bond a–b, hydrogens included."""
    cut = rdkit().RWMol(full)
    cut.RemoveBond(int(a), int(b))
    return np.array(next(piece for piece in rdkit().GetMolFrags(cut) if b in piece))

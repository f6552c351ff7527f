"""Molecules: their truth, what is measured on them against RDKit's own, and every error."""

import builtins
import itertools

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolAlign, rdMolTransforms
from scipy.optimize import linear_sum_assignment

from lib.errors import Refused
from lib.worlds.molecules import scores
from lib.worlds.molecules import truth as molecules
from lib.worlds.molecules.truth import MOLECULES, ForceField, molecule

COUNT = 300  # conformers of the test corpus


def stream(*key):
    return np.random.default_rng([2026, *key])


def embedded(name, count):
    """ETKDG conformers of the heavy atoms, (count, atoms, 3): shapes that differ, at no cost."""
    found = molecule(name)
    return molecules._embedded(name, found.full, count)[:, : found.atoms]


def as_rdkit(name, positions):
    """RDKit's molecule of the heavy atoms with one conformer for each row."""
    mol = Chem.RemoveHs(Chem.Mol(molecule(name).full))
    for x in positions:
        conformer = Chem.Conformer(len(x))
        conformer.SetPositions(x.astype(float))
        mol.AddConformer(conformer, assignId=True)
    return mol


def rotation(rng, sign=1):
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return q * sign * np.sign(np.linalg.det(q))


@pytest.fixture(scope="module")
def butane():
    return molecules.conformers("butane", COUNT)


@pytest.fixture
def fresh():
    """Nothing remembered from before, and nothing left behind."""
    molecules.conformers.cache_clear()
    yield
    molecules.conformers.cache_clear()


def test_what_a_molecule_is():
    found = molecule("alanine dipeptide")
    assert found.elements == ("C", "C", "O", "N", "C", "C", "C", "O", "N", "C") and found.atoms == 10
    assert found.torsions.tolist() == [[0, 1, 3, 4], [1, 3, 4, 6], [3, 4, 6, 8], [4, 6, 8, 9]]  # ω, φ, ψ, ω
    assert len(found.bonds) == 9 and found.symmetries.tolist() == [list(range(10))]
    assert sorted(molecule("butane").symmetries.tolist()) == [[0, 1, 2, 3], [3, 2, 1, 0]]
    assert len(molecule("ibuprofen").symmetries) == 4  # the ring turned over, two methyls exchanged


def test_any_smiles_is_a_molecule():
    assert molecule("CCCO").elements == ("C", "C", "C", "O")


def test_conformers_are_centred_in_two_parts_and_cannot_be_changed(butane):
    assert butane.train.shape == (COUNT, 4, 3) and butane.test.shape == (1000, 4, 3)
    for part in (butane.train, butane.test):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part.mean(axis=1), 0, atol=1e-6)
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0
    rows = np.concatenate([butane.train, butane.test]).reshape(-1, 12)
    # A chain that refused every move between two conformers would repeat one; rounds are many enough that hardly any
    # does.
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_conformers_look_like_butane(butane):
    lengths = np.linalg.norm(butane.train[:, :-1] - butane.train[:, 1:], axis=-1)
    # Carbon–carbon bonds of 1.5 Å that vibrate by some hundredths: the force constant of MMFF94 gives 0.03.
    assert lengths.mean() == pytest.approx(1.527, abs=0.01) and lengths.std() == pytest.approx(0.033, abs=0.005)
    angle = np.abs(scores.torsion_angles(butane.test, molecule("butane").torsions))
    assert 0.5 < (angle > 120).mean() < 0.8  # anti is preferred to the two gauche forms
    assert (angle > 120).mean() + ((30 < angle) & (angle < 120)).mean() > 0.98


def test_mirror_images_and_relabellings_are_equally_frequent(butane):
    angle = scores.torsion_angles(butane.test, molecule("butane").torsions)[:, 0]
    # The sign of 1000 torsions is random by construction: 4 standard errors of ½, a false-alarm rate of 6e-5.
    assert abs((angle > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(1000)
    ends = np.linalg.norm(butane.test[:, 0] - butane.test[:, 1], axis=-1) > np.linalg.norm(
        butane.test[:, 3] - butane.test[:, 2], axis=-1
    )
    assert abs(ends.mean() - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_conformers_are_the_same_in_every_call(butane, fresh):
    again = molecules.conformers("butane", COUNT)
    np.testing.assert_array_equal(again.train, butane.train)
    np.testing.assert_array_equal(again.test, butane.test)


def test_conformers_are_found_again_in_the_store(butane, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("LIB_STORE", str(tmp_path))
    molecules.conformers("butane", COUNT)
    molecules.conformers.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(molecules, "boltzmann", lambda *_: pytest.fail("computed again"))
        np.testing.assert_array_equal(molecules.conformers("butane", COUNT).train, butane.train)
        for other in (("butane", COUNT + 1), ("butane", COUNT, 301.0), ("CCCO", COUNT)):
            with pytest.raises(pytest.fail.Exception, match="computed again"):
                molecules.conformers(*other)


def test_gradient_is_that_of_the_energy_at_every_call():
    # RDKit's own gradient is that of earlier positions in part from the second call on, unless it is told to start
    # afresh.
    full = molecule("butane").full
    field, start = ForceField(full), molecules._embedded("butane", full, 1)
    for k in range(3):
        x = start + 0.05 * stream(1, k).normal(size=start.shape)
        found = field.gradient(x).ravel()
        steps = 1e-5 * np.eye(x.size).reshape(-1, *x.shape[1:])
        slopes = (field.energy(x + steps) - field.energy(x - steps)) / 2e-5
        np.testing.assert_allclose(found, slopes, atol=1e-4)


def test_a_turn_keeps_both_sides_rigid():
    found = molecule("alanine dipeptide")
    x = molecules._embedded(found.name, found.full, 2)
    bond = found.torsions[1, 1:3]
    side = molecules._side(found.full, *bond)
    rest = np.setdiff1d(np.arange(x.shape[1]), side)
    turned = molecules._turned(x, bond, side, np.array([0.7, -2.0]))
    for atoms in (np.append(side, bond[0]), np.append(rest, bond[1])):
        before, after = (np.linalg.norm(y[:, atoms][:, :, None] - y[:, atoms][:, None], axis=-1) for y in (x, turned))
        np.testing.assert_allclose(after, before, atol=1e-12)
    change = scores.torsion_angles(turned, found.torsions) - scores.torsion_angles(x, found.torsions)
    np.testing.assert_allclose((change[:, 1] + 180) % 360 - 180, np.degrees([0.7, -2.0]), atol=1e-9)
    np.testing.assert_allclose(change[:, [0, 2, 3]], 0, atol=1e-9)


@pytest.mark.parametrize("name", list(MOLECULES))
def test_rmsd_is_that_of_rdkit(name):
    x = embedded(name, 16)
    found = scores.rmsd(x[:8], x[8:], molecule(name).symmetries)
    mol = as_rdkit(name, x)
    for i, j in itertools.product(range(8), range(8)):
        theirs = rdMolAlign.GetBestRMS(Chem.Mol(mol), Chem.Mol(mol), i, 8 + j, symmetrizeConjugatedTerminalGroups=False)
        assert found[i, j] == pytest.approx(theirs, abs=1e-5), (i, j)


def test_rmsd_of_the_same_shape_is_0_and_of_its_mirror_image_is_not():
    x = embedded("alanine dipeptide", 3)
    moved = x @ rotation(stream(2)) + stream(3).normal(size=3)
    none = molecule("alanine dipeptide").symmetries
    np.testing.assert_allclose(np.diag(scores.rmsd(x, moved, none)), 0, atol=1e-6)
    assert (np.diag(scores.rmsd(x, -moved, none)) > 0.1).all()


def test_rmsd_of_flat_and_straight_shapes():
    flat = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]], [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]], float)
    found = scores.rmsd(flat, flat, np.arange(4)[None])
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-6)
    # Four points on a line against the same number bent, by the singular values of numpy.
    a, b = (y - y.mean(axis=0) for y in flat)
    best = np.linalg.svd(a.T @ b, compute_uv=False).sum()  # reflections are rotations for points in a plane
    assert found[0, 1] == pytest.approx(np.sqrt(((a**2).sum() + (b**2).sum() - 2 * best) / 4), abs=1e-7)


def test_coverage_and_matching_count_what_is_near():
    # Pairs of points at distance d: two of them differ by |d − d'| / 2 after alignment.
    def pairs(*distances):
        return np.array([[[0, 0, 0], [d, 0, 0]] for d in distances], dtype=float)

    found = scores.coverage_and_matching(pairs(1.0, 1.2, 5.0), pairs(1.1, 3.0), np.arange(2)[None], 0.06)
    assert found["coverage_recall"] == pytest.approx(1 / 2)
    assert found["matching_recall"] == pytest.approx((0.05 + 0.9) / 2, abs=1e-6)
    assert found["coverage_precision"] == pytest.approx(2 / 3)
    assert found["matching_precision"] == pytest.approx((0.05 + 0.05 + 1.0) / 3, abs=1e-6)


def test_the_truth_covers_nine_tenths_of_itself(butane):
    limit = scores.threshold("butane", COUNT, 300.0, 50)
    found = scores.coverage_and_matching(butane.train[:100], butane.test[:50], molecule("butane").symmetries, limit)
    assert found["coverage_recall"] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("name", list(MOLECULES))
def test_torsion_angles_are_those_of_rdkit(name):
    x, torsions = embedded(name, 5), molecule(name).torsions
    mol = as_rdkit(name, x)
    for k, angles in enumerate(scores.torsion_angles(x, torsions)):
        theirs = [rdMolTransforms.GetDihedralDeg(mol.GetConformer(k), *map(int, t)) for t in torsions]
        np.testing.assert_allclose((angles - theirs + 180) % 360, 180, atol=1e-6)
    np.testing.assert_allclose(scores.torsion_angles(-x, torsions), -scores.torsion_angles(x, torsions))


def test_circular_wasserstein_by_the_best_assignment():
    for k in range(5):
        a, b = stream(4, k).uniform(-180, 180, size=(2, 40)) * [[1], [0.2 + 0.2 * k]]
        cost = np.abs((a[:, None] - b + 180) % 360 - 180)
        rows, columns = linear_sum_assignment(cost)
        assert scores.circular_wasserstein(a, b) == pytest.approx(cost[rows, columns].mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([170.0, 180.0], [-170.0, -180.0], 10.0),  # across the cut
        ([0.0], [180.0], 180.0),
        ([-60.0, 60.0], [60.0, -60.0], 0.0),
        ([10.0, 10.0, 10.0, 10.0], [10.0, 10.0, 10.0, 50.0], 10.0),
        ([0.0], list(np.arange(-180.0, 180.0)), 90.0),
    ],
)
def test_circular_wasserstein_of_known_angles(a, b, distance):
    for x, y in ((a, b), (b, a)):
        assert scores.circular_wasserstein(np.array(x), np.array(y)) == pytest.approx(distance)


def test_torsion_shares_are_those_of_both_mirror_images():
    shares = scores.torsion_shares(np.array([[62.0, 179.0], [62.0, 180.0]]))
    assert shares.shape == (2, 72) and np.allclose(shares.sum(axis=1), 1)
    assert shares[0, [23, 48]].tolist() == [0.5, 0.5]  # −65 … −60 and 60 … 65
    assert shares[1, 0] == 0.75 and shares[1, 71] == 0.25  # 180 is −180; −179 and 179 are on either side of it


def test_energies_do_not_depend_on_how_a_molecule_lies():
    x = embedded("butane", 3)
    field = scores.hydrogens("butane")
    first = field.energies(x)
    np.testing.assert_allclose(field.energies(x @ rotation(stream(5)) + 3.0), first, atol=1e-3)
    np.testing.assert_allclose(field.energies(-x), first, atol=1e-3)
    np.testing.assert_array_equal(field.energies(x), first)


def test_energies_are_least_for_hydrogens_but_not_for_heavy_atoms():
    found = molecule("butane")
    whole = molecules._embedded("butane", found.full, 1, relaxed=True)
    least = ForceField(found.full).energy(whole)[0]
    relaxed = scores.hydrogens("butane").energies(whole[:, :4])[0]
    assert relaxed == pytest.approx(least, abs=0.01)  # at the minimum of all atoms nothing is left to relax
    stretched = whole[:, :4] * 1.05
    assert scores.hydrogens("butane").energies(stretched)[0] > least + 1


def test_valid_geometry(butane):
    assert scores.valid("butane", butane.test).mean() > 0.995
    broken = np.repeat(butane.test[:1], 3, axis=0)
    broken[0] *= 1.2  # all bonds too long
    broken[1, 3] = broken[1, 0]  # two atoms in one place
    broken[2, 3] += 5 * (broken[2, 3] - broken[2, 2])  # one bond torn
    assert scores.valid("butane", broken).tolist() == [False] * 3
    assert scores.valid("butane", butane.test[None, :4]).shape == (1, 4)


@pytest.mark.parametrize(
    ("smiles", "says"),
    [
        ("C((", "cannot parse"),
        ("", "cannot parse"),
        (None, "cannot parse"),
        ("caffeine", "cannot parse"),
        ("CCCC.O", "connected"),
        ("CCC", "rotatable bond"),
        ("c1ccccc1", "rotatable bond"),
        *((smiles, "rings that are not flat") for smiles in ("CCC1CCCCC1", "C1CCCCC1", "C1CCCCCCCCCCC1", "CCC1CCCC1")),
        ("CCCCB(C)C", "MMFF94"),
        ("CCCC1C#C1", "cannot embed"),
    ],
)
def test_a_molecule_that_cannot_be_is_named(smiles, says):
    with pytest.raises(Refused, match=says) as found:
        molecule(smiles)
    assert (found.value.setting, found.value.value) == ("molecule", smiles)


def test_flat_rings_are_taken():
    assert molecule("CCn1c(=O)c2c(ncn2C)n(C)c1=O").atoms == 15 and molecule("CCC1CC1").atoms == 5


def test_atoms_upon_each_other_have_no_torsion_and_more_energy_than_any_molecule(butane, monkeypatch):
    heap = np.zeros((2, 4, 3))
    assert (scores.torsion_angles(heap, molecule("butane").torsions) == 0).all()
    field = scores.hydrogens("butane")
    assert (field.energies(heap) > field.energies(butane.test[:2])).all()

    class Stuck:
        def __getattr__(self, name):
            return getattr(own, name)

        def Minimize(self, maxIts):
            raise RuntimeError("Invariant Violation\n\tbad direction in linearSearch")

    own = field._field
    monkeypatch.setattr(field, "_field", Stuck())
    assert np.isfinite(field.energies(butane.test[:2])).all()


@pytest.mark.parametrize(("count", "temperature"), [(0, 300.0), (2.5, 300.0), (10, 0.0), (10, np.nan), (10, "hot")])
def test_a_wrong_corpus_is_refused(count, temperature, monkeypatch):
    monkeypatch.setattr(molecules, "_drawn", lambda *_: pytest.fail("work was done"))
    with pytest.raises(Refused):
        molecules.conformers("butane", count, temperature)


def test_without_rdkit_the_error_says_what_to_install(monkeypatch):
    imported = builtins.__import__

    def missing(name, *rest):
        if name.split(".")[0] == "rdkit":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return imported(name, *rest)

    molecule.cache_clear()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModuleNotFoundError, match="pip install rdkit"):
        molecule("butane")

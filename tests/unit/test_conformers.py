"""The world of molecules: its symmetries, its error against an analytic optimum, its sampler, its scores and its
errors."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, Keep, RealOnly, Replace
from lib.theory import molecules as theory
from lib.worlds.molecules import diffusion
from lib.worlds.molecules import truth as molecules
from lib.worlds.molecules.conformers import Conformers
from lib.worlds.molecules.scores import torsion_angles
from lib.worlds.weights import Stacked

# Small enough for a test; every mechanism is the same as at full size.
TINY = Conformers(
    conformers=300, hidden=12, blocks=1, steps=30, batch=16, sampler_steps=4, score_samples=24, energies=4,
    references=10, shown=3, device="cpu",
)  # fmt: skip
SAMPLE_SCORES = tuple(name for name in Conformers.scores if name != "denoising_error")


def stream(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(2026, spawn_key=key)))


def part(rows):
    return (Part(Rows(np.asarray(rows, dtype=np.float32)), real=1.0),)


def real_part(world, runs, size):
    return (Part(world.real(runs, size, stream(0), 0), real=1.0),)


def tensors(model):
    return {name: torch.from_numpy(w) for name, w in model.weights.items()}


def denoised(weights, noisy, sigma):
    """The network's guess in Å: `noisy` (count, atoms, 3), the result (runs, count, atoms, 3)."""
    scale = weights["scale"]
    units = torch.from_numpy(np.asarray(noisy, dtype=np.float32).swapaxes(1, 2)[None].copy()) / scale
    level = float(sigma) / scale[..., 0, 0].expand(units.shape[:2])
    return (diffusion.denoised(weights, units, level) * scale).numpy().swapaxes(2, 3)


@pytest.fixture(scope="module")
def fitted():
    """Two runs on alanine dipeptide's heavy atoms as ETKDG places them, trained for a moment: weights far from where
    they start."""
    found = molecules.molecule("alanine dipeptide")
    rows = molecules._embedded(found.name, found.full, 80)[:, :10].reshape(2, 40, 10, 3)
    return tensors(dataclasses.replace(TINY, steps=60).fit(part(rows), stream(1)).model), rows[0]


@pytest.mark.parametrize("sigma", [0.02, 0.3, 2.0, 9.0])
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_moving_turning_or_reflecting_the_input_does_the_same_to_the_output(fitted, sigma, sign):
    weights, rows = fitted
    noisy = rows + sigma * stream(2).normal(size=rows.shape)
    turn = np.linalg.qr(stream(3).normal(size=(3, 3)))[0]
    turn *= sign * np.sign(np.linalg.det(turn))
    shift = stream(4).normal(size=3)
    before, after = denoised(weights, noisy, sigma), denoised(weights, noisy @ turn.T + shift, sigma)
    np.testing.assert_allclose(after, before @ turn.T + shift, atol=1e-4)
    # What is compared is a network at work: its part in the result is a thousand times the tolerance.
    noisy = noisy - noisy.mean(axis=1, keepdims=True)
    scale = weights["scale"].numpy()
    assert np.abs(before - noisy / (1 + (sigma / scale) ** 2)).max() > (0.1 if sigma > 0.1 else 1e-3)


def test_training_sees_neither_where_a_molecule_lies_nor_how_it_is_turned(fitted):
    _, rows = fitted
    turn = np.linalg.qr(stream(5).normal(size=(3, 3)))[0]
    here, there = (
        TINY.fit(part(x[None]), stream(1)).model.weights["distance_mean"] for x in (rows, rows @ turn.T + 2.0)
    )
    np.testing.assert_allclose(here, there, rtol=1e-5)


def test_a_sample_starts_with_the_covariance_of_noisy_data():
    covariance = theory.chain_covariance(5, 0.8)
    root = diffusion.start_root(np.stack([covariance, 0 * covariance]))
    centring = np.eye(5) - 1 / 5
    np.testing.assert_allclose(root[0] @ root[0].T, covariance + diffusion.HIGHEST**2 * centring, atol=1e-9)
    np.testing.assert_allclose(root[1], diffusion.HIGHEST * centring, atol=1e-9)
    rows = theory.chains(covariance, (1, 400), stream(24))
    weights = diffusion.initial([stream(6)], rows, 4, 1)
    found = np.einsum("rsax,rsbx->rab", rows, rows) / 1200
    scale2 = float(weights["scale"].item()) ** 2
    np.testing.assert_allclose(weights["start"] @ weights["start"], found / scale2 + 36 * centring, atol=1e-4)


def test_network_is_the_optimum_where_it_starts_on_spread_out_atoms():
    # The untrained network returns y / (1 + σ²): right for atoms that are independent of each other.
    weights = diffusion.initial([stream(6)], stream(7).normal(size=(1, 50, 5, 3)), 8, 2)
    noisy = torch.from_numpy(stream(8).normal(size=(1, 9, 3, 5)).astype(np.float32))
    noisy -= noisy.mean(dim=3, keepdim=True)
    found = diffusion.denoised({k: torch.from_numpy(w) for k, w in weights.items()}, noisy, torch.full((1, 9), 0.7))
    torch.testing.assert_close(found, noisy / 1.49)


@pytest.fixture(scope="module")
def chain():
    """Three runs trained on an ideal chain of four atoms, whose best denoiser is known."""
    covariance = theory.chain_covariance(4, 1.5)
    rows = theory.chains(covariance, (3, 3000), stream(9))
    world = Conformers(steps=400, device="cpu")
    return covariance, world, world.fit(part(rows), stream(10)).model


@pytest.mark.parametrize("sigma", [0.05, 0.2, 1.0, 4.0])
def test_denoiser_reaches_the_analytic_optimum(chain, sigma):
    covariance, _, model = chain
    clean = theory.chains(covariance, (4000,), stream(11))
    noise = stream(12).normal(size=clean.shape)
    noisy = clean + sigma * (noise - noise.mean(axis=1, keepdims=True))
    best = ((theory.best_denoiser(covariance, noisy, sigma) - clean) ** 2).sum(axis=(1, 2))
    # The law against the sample of it: four standard errors, a false-alarm rate of 6e-5 for each of four levels.
    values = np.clip(np.linalg.eigvalsh(covariance), 0, None)
    law = 3 * (values * sigma**2 / (values + sigma**2)).sum()
    assert abs(best.mean() - law) < 4 * best.std() / math.sqrt(best.size)
    found = ((denoised(tensors(model), noisy, sigma) - clean) ** 2).sum(axis=(2, 3))
    excess = found.mean(axis=1) / best.mean() - 1
    # No denoiser is better in expectation; on the same points the excess is far less noisy than either loss.
    assert (excess > -0.002).all() and (excess < 0.01).all(), excess


def test_denoising_errors_are_the_loss_in_the_units_of_training(chain):
    covariance, _, model = chain
    weights = tensors(model)
    scale = float(weights["scale"][0])
    one = {name: w[:1] for name, w in weights.items()}
    clean = theory.chains(covariance, (2000,), stream(13))
    noise = stream(14).normal(size=clean.shape)
    to_torch = [torch.from_numpy(x.swapaxes(1, 2)[None].astype(np.float32)) for x in (clean / scale, noise)]
    sigma = 0.4
    found = diffusion.denoising_errors(one, *to_torch, torch.full((1, 2000), sigma)).mean()
    noisy = clean + scale * sigma * (noise - noise.mean(axis=1, keepdims=True))
    loss = ((denoised(one, noisy, scale * sigma) - clean) ** 2).sum(axis=(2, 3)).mean()
    assert float(found) == pytest.approx(loss / scale**2 * (1 + sigma**2) / sigma**2 / 9, rel=1e-3)


def test_samples_of_a_chain_have_its_covariance(chain):
    covariance, world, model = chain
    values = world.sample(model, 3000, None, stream(15)).values
    np.testing.assert_allclose(values.mean(axis=2), 0, atol=1e-4)
    found = np.einsum("rsax,rsbx->rab", values, values) / (3 * values.shape[1])
    # 9000 coordinates a run: standard errors of an entry are below 1.5% of the largest variance. Five of them, for the
    # sample and the training set together, and half a percent for what training leaves.
    np.testing.assert_allclose(found, np.broadcast_to(covariance, found.shape), atol=0.08 * covariance.max())


def bent(torsions, rng):
    """Four-atom chains with these torsion angles (degrees), bonds of 1.5 Å and right angles, atoms blurred by 0.03
    Å."""
    angle = np.radians(torsions)
    rows = np.zeros((*angle.shape, 4, 3))
    rows[..., 0, :] = 0, 1.5, 0
    rows[..., 2, :] = 1.5, 0, 0
    rows[..., 3, :] = np.stack([np.full(angle.shape, 1.5), 1.5 * np.cos(angle), 1.5 * np.sin(angle)], axis=-1)
    return rows + 0.03 * rng.standard_normal(rows.shape)


def test_model_recovers_a_known_mixture_of_shapes():
    # Three in ten are bent to ±60°, the others stretched; both wells are 10° wide.
    runs, share = 3, 0.3
    few = stream(16).random((runs, 2000)) < share
    torsions = np.where(few, 60.0, 180.0) + 10 * stream(17).standard_normal((runs, 2000))
    torsions *= stream(18).choice([-1, 1], size=torsions.shape)
    world = Conformers(steps=500, device="cpu")
    model = world.fit(part(bent(torsions, stream(19))), stream(20)).model
    found = np.abs(torsion_angles(world.sample(model, 2000, None, stream(21)).values, np.arange(4)[None])[..., 0])
    # Standard errors of a share are 0.010 for the samples and 0.010 for the training set: three runs at once are within
    # five of both together, 0.07, which also is what is left to the network.
    np.testing.assert_allclose((found < 120).mean(axis=1), share, atol=0.07)
    low = np.where(found < 120, found, np.nan)
    np.testing.assert_allclose(np.nanmedian(low, axis=1), 60, atol=5)
    assert (((found > 90) & (found < 130)).mean(axis=1) < 0.05).all()  # little lies between the wells


def test_more_training_lowers_the_error():
    errors = []
    for steps in (20, 200):
        world = dataclasses.replace(TINY, steps=steps)
        model = world.fit(real_part(world, 2, 200), stream(22)).model
        errors.append(world.score(model, stream(23), ("denoising_error",))["denoising_error"])
    assert (errors[1] < errors[0] - 0.02).all() and (errors[1] > 0.5).all() and (errors[0] < 1.1).all()


def test_denoising_error_does_not_depend_on_the_stream():
    model = TINY.fit(real_part(TINY, 2, 40), stream(1)).model
    first, second = (TINY.score(model, stream(k), ("denoising_error",))["denoising_error"] for k in (1, 2))
    np.testing.assert_array_equal(first, second)


def test_a_run_does_not_depend_on_the_runs_beside_it():
    three, one = (TINY.fit(real_part(TINY, runs, 40), stream(1)).model for runs in (3, 1))
    for name, w in one.weights.items():
        # Batched products sum in another order when more runs are stacked: equal up to rounding, not bit for bit.
        np.testing.assert_allclose(w[0], three.weights[name][0], atol=2e-3, err_msg=name)
    few, many = (TINY.sample(m, 50, None, stream(2)).values for m in (one, three))
    np.testing.assert_allclose(few[0], many[0], atol=1e-2)


def test_runs_differ():
    weights = TINY.fit(real_part(TINY, 2, 40), stream(1)).model.weights
    assert not np.allclose(weights["into"][0], weights["into"][1], atol=1e-2)


def test_real_parts_are_disjoint_and_do_not_depend_on_how_they_are_asked_for():
    parts = [TINY.real(2, 100, stream(5), used).values for used in (0, 100, 200)]
    corpus = molecules.conformers("butane", 300).train.reshape(300, -1)
    for run in np.concatenate(parts, axis=1).reshape(2, 300, -1):
        np.testing.assert_array_equal(np.unique(run, axis=0), np.unique(corpus, axis=0))
    assert not np.array_equal(parts[0][0], parts[0][1])
    np.testing.assert_array_equal(TINY.real(1, 60, stream(5), 0).values[0], parts[0][0, :60])


def test_steps_are_equal_in_every_regime():
    data = recurse(TINY, [Replace(), Accumulate()], n=20, generations=3, runs=2, seed=1, scores=("denoising_error",))
    assert (data.steps == 30).all() and (data.examples == 30 * 16).all()
    assert data.train_size.values.tolist() == [[20, 20, 20], [20, 40, 60]]


def test_smallest_training_set():
    data = recurse(TINY, Replace(), n=2, generations=2, runs=2, seed=1)
    assert all(np.isfinite(data[name]).all() for name in TINY.scores)


def test_scores_and_extras():
    extras = ("torsion_shares", "energy_quantiles", "conformers")
    data = recurse(TINY, Keep(0.1), n=30, generations=1, runs=2, seed=1, keep=extras)
    assert data.conformers.dims == ("regime", "generation", "run", "conformer", "atom", "axis")
    assert data.conformers.shape[3:] == (3, 4, 3) and data.conformers.dtype == np.float32
    assert data.torsion_shares.shape[3:] == (1, 72)
    np.testing.assert_allclose(data.torsion_shares.sum("bin"), 1)
    assert (np.diff(data.energy_quantiles.values, axis=-1) >= 0).all()
    np.testing.assert_allclose(data.energy_quantiles.isel(quantile=2), data.energy_excess)
    for name in ("coverage_recall", "coverage_precision", "valid_share"):
        assert ((data[name] >= 0) & (data[name] <= 1)).all()


def test_scores_do_not_depend_on_which_are_asked_for():
    model = TINY.fit(real_part(TINY, 2, 40), stream(1)).model
    together = TINY.score(model, stream(3), TINY.scores)
    for name in TINY.scores:
        np.testing.assert_array_equal(TINY.score(model, stream(3), (name,))[name], together[name], err_msg=name)


def test_scores_of_the_truth_are_those_of_the_truth():
    truth = molecules.conformers("butane", 300)
    found = TINY._sample_scores(truth.test[None], set(SAMPLE_SCORES))
    assert found["torsion_distance"][0] == pytest.approx(0, abs=1e-9)
    assert found["valid_share"][0] > 0.995 and abs(found["energy_excess"][0]) < 1.5
    np.testing.assert_allclose(found["coverage_recall"][0], 1)  # the references themselves are among the samples


@pytest.mark.parametrize("regime", [Replace(), Accumulate(), RealOnly()], ids=str)
def test_a_killed_run_goes_on_exactly(regime, tmp_path):
    settings = {"n": 12, "runs": 2, "seed": 4, "keep": ("torsion_shares",)}
    whole = recurse(TINY, regime, generations=4, **settings)
    recurse(TINY, regime, generations=2, checkpoint=tmp_path, **settings)
    resumed = recurse(TINY, regime, generations=4, checkpoint=tmp_path, **settings)
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_samples_that_are_not_finite_are_an_error():
    model = TINY.fit(real_part(TINY, 1, 20), stream(1)).model
    broken = Stacked(model.weights | {"out": model.weights["out"] * np.float32(np.nan)})
    with pytest.raises(FloatingPointError, match="rate below 0.02"):
        TINY.sample(broken, 5, None, stream(1))


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("molecule", "C((", "RDKit cannot parse"),
        ("conformers", 0, "at least 1"),
        ("temperature", -1.0, "above 0"),
        ("hidden", 2.5, "whole number"),
        ("blocks", 0, "at least 1"),
        ("steps", 0, "at least 1"),
        ("batch", -1, "at least 1"),
        ("rate", math.nan, "above 0"),
        ("sampler_steps", 1, "at least 2"),
        ("score_samples", 19, "at least 20"),
        ("energies", 0, "at least 1"),
        ("references", 1001, "at least 2002|1000 conformers that are held out"),
        ("shown", 0, "at least 1"),
        ("device", "tpu", "'auto'"),
    ],
)
def test_wrong_settings_are_named(setting, value, says):
    with pytest.raises(ValueError, match=rf"({setting}|score_samples)=.*({says})"):
        dataclasses.replace(TINY, **{setting: value})


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device='cuda'.*no CUDA device"):
        Conformers(device="cuda")


@pytest.mark.parametrize(
    ("regime", "n", "generations", "says"),
    [
        (Replace(), 1, 2, "n=1 .*at least 2 conformers"),
        (Replace(), 301, 2, "needs 301 real rows, has 300 conformers of butane"),
        (RealOnly(), 100, 4, "RealOnly over 4 generations needs 400 real rows, has 300"),
        (FreshReal(0.5), 250, 2, r"FreshReal\(0.5\) over 2 generations needs 375 real rows"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_work(regime, n, generations, says, monkeypatch):
    monkeypatch.setattr(Conformers, "real", lambda *_: pytest.fail("work was done"))
    with pytest.raises(ValueError, match=says):
        recurse(TINY, regime, n=n, generations=generations, runs=2, seed=1)


def test_a_molecule_that_fails_loses_nothing_that_was_stored(tmp_path):
    settings = {"n": 12, "runs": 2, "seed": 4, "generations": 2}
    first = recurse(TINY, Replace(), checkpoint=tmp_path, **settings)
    with pytest.raises(ValueError, match="cannot embed"):
        dataclasses.replace(TINY, molecule="CCCC1C#C1")
    again = recurse(TINY, [Replace(), Accumulate()], checkpoint=tmp_path, **settings)
    np.testing.assert_array_equal(again.denoising_error.sel(regime="Replace"), first.denoising_error.isel(regime=0))


def test_the_corpus_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match="needs 301 real rows, has 300"):
        TINY.real(2, 101, stream(1), 200)

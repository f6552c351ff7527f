"""The image world: its likelihood, its stacked training, its data, its scores and its errors."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from lib.errors import Refused
from lib.pool import Part
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, RealOnly, Replace
from lib.worlds.images import networks as module
from lib.worlds.images.data import digits
from lib.worlds.images.scores import entropy, frechet, judge, moments
from lib.worlds.images.vae import VAE
from lib.worlds.weights import Stacked

# Small enough for a test; every mechanism is the same as at full size.
TINY = VAE(latent=3, hidden=12, steps=30, batch=16, score_samples=60, score_draws=2, shown=4, device="cpu")


def stream(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(2026, spawn_key=key)))


def real_part(world, runs, size, key=0):
    return (Part(world.real(runs, size, stream(key), 0), real=1.0),)


def tensors(model):
    return {name: torch.from_numpy(w) for name, w in model.weights.items()}


def constant_model(world, runs, log_variance):
    """Every weight 0: the posterior is the prior, and the decoder says ½ at every pixel."""
    weights = {k: np.zeros_like(v) for k, v in world.initial([stream(9, r) for r in range(runs)], 64).items()}
    weights["log_variance"] += np.float32(log_variance)
    return Stacked(weights)


def test_negative_elbo_is_exact_without_weights():
    model = constant_model(TINY, 2, log_variance=-1.0)
    x = torch.from_numpy(stream(1).random((2, 5, 64), dtype=np.float32))
    found = module.negative_elbo(tensors(model), x, torch.zeros(2, 5, 3))
    density = torch.distributions.Normal(0.5, math.exp(-0.5))
    torch.testing.assert_close(found, -density.log_prob(x).sum(dim=2), rtol=1e-5, atol=1e-4)


def test_negative_elbo_of_a_linear_model_is_the_likelihood_at_the_true_posterior():
    # One latent moves the logit of one pixel by a small amount, where the sigmoid is a line: m = ½ + a·z, a = slope/4.
    # Then x is Gaussian, its posterior is known, and with that posterior the mean of −ELBO is −ln p(x) exactly.
    world = VAE(latent=1, hidden=2, device="cpu")
    log_variance, a = -6.0, 0.02
    model = constant_model(world, 1, log_variance)
    w = model.weights
    # relu(z) and relu(−z), recombined to z: a decoder that is linear in z.
    w["decoder"][0, 0] = 1, -1
    w["mean"][0, :, 0] = 4 * a, -4 * a
    s2 = math.exp(log_variance)
    posterior_variance = 1 / (1 + a * a / s2)
    gain = posterior_variance * a / s2
    # The encoder: gain · (x₀ − ½), again by two halves.
    w["encoder"][0, 0] = 1, -1
    w["encoder_bias"][0, 0] = -0.5, 0.5
    w["posterior"][0, :, 0] = gain, -gain
    w["posterior_bias"][0, 0, 1] = math.log(posterior_variance)
    x = np.full((1, 3, 64), 0.5, dtype=np.float32)
    x[0, :, 0] = 0.44, 0.5, 0.57
    # Gauss–Hermite nodes integrate the latent draw exactly: the integrand is a polynomial of degree 2 in it.
    nodes, shares = np.polynomial.hermite_e.hermegauss(8)
    found = sum(
        s * module.negative_elbo(tensors(model), torch.from_numpy(x), torch.full((1, 3, 1), float(z)))
        for z, s in zip(nodes, shares / shares.sum(), strict=True)
    ).numpy()
    first = 0.5 * ((x[0, :, 0] - 0.5) ** 2 / (s2 + a * a) + math.log(2 * math.pi * (s2 + a * a)))
    rest = 63 * 0.5 * math.log(2 * math.pi * s2)
    # The sigmoid departs from its tangent by (4az)³/48 or less: below 0.002 of a nat for these images.
    np.testing.assert_allclose(found[0], first + rest, atol=2e-3)


def test_divergence_against_torch():
    mean, log_variance = (torch.from_numpy(stream(k).standard_normal((2, 7, 3))) for k in (1, 2))
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(module.divergence(mean, log_variance), theirs.sum(dim=-1))


def test_test_nelbo_counts_discrete_images():
    # A constant Gaussian density: its mean logarithm over a level's cell is exact, E (x + u − ½)² = (x − ½)² + w²/12,
    # and the logarithm of the cell's width w turns it into a probability.
    world = dataclasses.replace(TINY, score_draws=40)
    found = world.score(constant_model(world, 2, log_variance=0.0), stream(3), ("test_nelbo",))["test_nelbo"]
    squares = (digits().test.astype(float) - 0.5) ** 2 + (1 / 16) ** 2 / 12
    exact = 0.5 * squares.sum(axis=(1, 2)).mean() + 64 * (0.5 * math.log(2 * math.pi) + math.log(16))
    # |x − ½| ≤ ½ and sd(u) = w/√12 bound the standard deviation of a pixel's term by 0.0091 nats; 64 pixels are summed,
    # 40 × 597 images averaged: a standard error of at most 4.7e-4. Four of them: false-alarm rate below 1.3e-4.
    np.testing.assert_allclose(found, exact, atol=4 * 4.7e-4)


def test_training_reaches_a_better_bound_than_the_pixels_alone():
    # A model without latents: independent Gaussians, fitted to the training part.
    train, test = (v.reshape(len(v), -1).astype(float) for v in (digits().train, digits().test))
    variance = train.var(axis=0) + (1 / 16) ** 2 / 12
    squares = ((test - train.mean(axis=0)) ** 2).mean(axis=0) + (1 / 16) ** 2 / 12
    alone = 0.5 * (squares / variance + np.log(2 * math.pi * variance)).sum() + 64 * math.log(16)
    world = VAE(steps=300, device="cpu")
    model = world.fit(real_part(world, 2, 1000), stream(1)).model
    assert (world.score(model, stream(2), ("test_nelbo",))["test_nelbo"] < alone - 10).all()


def test_constant_pixels_do_not_drive_the_variance_to_zero():
    world = VAE(steps=400, device="cpu")
    log_variance = world.fit(real_part(world, 1, 1000), stream(1)).model.weights["log_variance"]
    assert np.exp(0.5 * log_variance.min()) > 0.9 / 16 / math.sqrt(12)


def test_a_run_does_not_depend_on_the_runs_beside_it():
    three, one = (TINY.fit(real_part(TINY, runs, 40), stream(1)).model for runs in (3, 1))
    for name, w in one.weights.items():
        # Batched products sum in another order when more runs are stacked: equal up to rounding, not bit for bit.
        np.testing.assert_allclose(w[0], three.weights[name][0], atol=2e-4, err_msg=name)
    few, many = (TINY.sample(m, 50, None, stream(2)).values for m in (one, three))
    np.testing.assert_allclose(few[0], many[0], atol=2e-3)
    scores = [TINY.score(m, stream(3), TINY.scores) for m in (one, three)]
    for name in ("test_nelbo", "variance_ratio", "frechet_distance"):
        np.testing.assert_allclose(scores[0][name][0], scores[1][name][0], rtol=1e-3, err_msg=name)


def test_runs_differ():
    weights = TINY.fit(real_part(TINY, 2, 40), stream(1)).model.weights
    assert not np.allclose(weights["mean"][0], weights["mean"][1], atol=1e-2)


def test_real_parts_are_disjoint_and_do_not_depend_on_how_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(VAE, "_dequantised", lambda self, values, streams: values)  # the images themselves
    parts = [TINY.real(2, 400, stream(5), used).values for used in (0, 400, 800)]
    original = np.concatenate(parts, axis=1).reshape(2, 1200, 64)
    wanted = np.unique(digits().train.reshape(1200, 64), axis=0, return_counts=True)
    for run in original:
        found = np.unique(run, axis=0, return_counts=True)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(original[0], original[1])
    np.testing.assert_array_equal(TINY.real(1, 250, stream(5), 0).values[0], parts[0][0, :250])


def test_grey_levels_are_spread_over_one_level():
    values = TINY.real(3, 500, stream(6), 0).values
    noise = 16 * (values - np.round(values * 16) / 16)
    assert values.dtype == np.float32 and np.abs(noise).max() <= 0.5 + 1e-5
    # Uniform on [−½, ½]: mean 0 ± 4 standard errors, 96 000 draws, and variance 1/12; false-alarm rate 1.3e-4.
    assert abs(noise.mean()) < 4 / math.sqrt(12 * noise.size)
    assert abs(noise.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / noise.size)


def test_samples_carry_the_noise_of_the_model():
    model = constant_model(TINY, 2, log_variance=math.log(0.09))
    values = TINY.sample(model, 2000, None, stream(7)).values
    # The decoder is constant, so the variance is the noise: 128 000 draws a run, ±4 standard errors of a variance, a
    # false-alarm rate of 1.3e-4 for both runs.
    np.testing.assert_allclose(values.reshape(2, -1).var(axis=1), 0.09, rtol=4 * math.sqrt(2 / 128000))
    assert values.min() < 0 and values.max() > 1  # not clipped


def test_steps_are_equal_in_every_regime_unless_epochs_are():
    regimes = [Replace(), Accumulate()]
    data = recurse(TINY, regimes, n=20, generations=3, runs=2, seed=1, scores=("variance_ratio",))
    assert (data.steps == 30).all() and (data.examples == 30 * 16).all()
    assert data.train_size.values.tolist() == [[20, 20, 20], [20, 40, 60]]
    grown = dataclasses.replace(TINY, epochs=8)
    data = recurse(grown, regimes, n=20, generations=3, runs=2, seed=1, scores=("variance_ratio",))
    assert data.steps.values.tolist() == [[10, 10, 10], [10, 20, 30]]


def test_smallest_training_set():
    data = recurse(TINY, Replace(), n=2, generations=2, runs=2, seed=1)
    assert all(np.isfinite(data[name]).all() for name in TINY.scores)


def test_scores_and_extras():
    data = recurse(TINY, Replace(), n=30, generations=1, runs=2, seed=1, keep=("samples", "class_shares"))
    assert data.samples.dims == ("regime", "generation", "run", "sample", "row", "column")
    assert data.samples.shape[3:] == (4, 8, 8) and data.samples.dtype == np.float32
    shares = data.class_shares.values
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    np.testing.assert_allclose(data.class_minimum, shares.min(axis=-1))
    np.testing.assert_allclose(data.class_entropy, entropy(shares))


def test_the_classifier_knows_real_digits_and_real_images_score_well():
    critic, data = judge("digits"), digits()
    assert critic.accuracy >= 0.95
    assert (critic.classes(critic.embed(data.test)) == data.test_labels).mean() == pytest.approx(critic.accuracy)
    train = critic.embed(data.train[None])
    np.testing.assert_allclose(np.trace(moments(train)[1][0]), 1, rtol=1e-5)
    assert critic.distance(critic.embed(data.test[None]))[0] == pytest.approx(0, abs=1e-9)
    # Other real images are near; real images of half of the classes, and images of noise, are far.
    noise = stream(1).random((1, 500, 8, 8))
    near, half, far = (critic.distance(e)[0] for e in (train, train[:, data.train_labels < 5], critic.embed(noise)))
    assert 10 * near < min(half, far)
    np.testing.assert_allclose(critic.shares(train)[0], np.bincount(data.train_labels) / 1200, atol=0.01)


def test_images_are_judged_alike_on_every_processor():
    # Fitted where they are used, classifiers differ by some percent from one processor, or one thread, to the next.
    critic, black = judge("digits"), judge("digits", None, True)
    assert round(597 * critic.accuracy) == 583 and round(597 * black.accuracy) == 540
    assert critic.distance(critic.embed(digits().train[None]))[0] == pytest.approx(0.00473874, rel=1e-4)


def test_frechet_distance_of_known_gaussians():
    covariance = np.diag([1.0, 4.0, 0.0])  # singular on purpose
    mean = np.array([1.0, 2.0, 3.0])
    assert frechet(mean[None], covariance[None], mean, covariance)[0] == pytest.approx(0, abs=1e-9)
    shift = np.array([0.5, 0.0, -2.0])
    assert frechet(mean + shift, covariance, mean, covariance) == pytest.approx(4.25)
    # Commuting covariances: the sum of squared differences of standard deviations.
    other = np.diag([9.0, 1.0, 0.25])
    assert frechet(mean, other, mean, covariance) == pytest.approx((3 - 1) ** 2 + (1 - 2) ** 2 + 0.25)


def test_entropy_of_known_shares():
    np.testing.assert_allclose(entropy(np.array([[0.25] * 4, [1.0, 0, 0, 0]])), [math.log(4), 0])


@pytest.mark.parametrize("regime", [Replace(), Accumulate(), RealOnly()], ids=str)
def test_a_killed_run_goes_on_exactly(regime, tmp_path):
    settings = {"n": 12, "runs": 2, "seed": 4, "keep": ("samples",)}
    whole = recurse(TINY, regime, generations=4, **settings)
    recurse(TINY, regime, generations=2, checkpoint=tmp_path, **settings)
    resumed = recurse(TINY, regime, generations=4, checkpoint=tmp_path, **settings)
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_a_run_killed_within_a_generation_goes_on_exactly(tmp_path, monkeypatch):
    settings = {"n": 12, "runs": 2, "seed": 4, "generations": 3}
    whole = recurse(TINY, [Replace(), Accumulate()], **settings)
    fit, calls = VAE.fit, []

    def killed(self, train, rng):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return fit(self, train, rng)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(VAE, "fit", killed)
        recurse(TINY, [Replace(), Accumulate()], checkpoint=tmp_path, **settings)
    resumed = recurse(TINY, [Replace(), Accumulate()], checkpoint=tmp_path, **settings)
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data", "cats"),
        ("latent", 0),
        ("hidden", 2.5),
        ("steps", 0),
        ("epochs", 0),
        ("batch", -1),
        ("rate", 0.0),
        ("rate", math.nan),
        ("likelihood", "laplace"),
        ("score_samples", 1),
        ("score_draws", 0),
        ("shown", 0),
        ("network", "resnet"),
        ("channels", 0),
        ("sampling", "mode"),
        ("rare", 3),
        ("device", "tpu"),
        ("steps", True),
        ("rate", True),
    ],
)
def test_wrong_settings_are_named(setting, value):
    with pytest.raises(Refused) as found:
        dataclasses.replace(TINY, **{setting: value})
    assert found.value.setting in (setting, f"data {setting}") and found.value.value is value


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device='cuda'.*no CUDA device"):
        VAE(device="cuda")


@pytest.mark.parametrize(
    ("regime", "n", "generations", "says"),
    [
        (Replace(), 1, 2, "n=1 .*at least 2 images"),
        (Replace(), 1201, 2, "needs 1201 real rows, has 1200 training images of digits"),
        (RealOnly(), 400, 4, "RealOnly over 4 generations needs 1600 real rows, has 1200"),
        (FreshReal(0.5), 1000, 2, r"FreshReal\(0.5\) over 2 generations needs 1500 real rows"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_work(regime, n, generations, says, monkeypatch):
    monkeypatch.setattr(VAE, "real", lambda *_: pytest.fail("work was done"))
    with pytest.raises(ValueError, match=says):
        recurse(TINY, regime, n=n, generations=generations, runs=2, seed=1)


def test_the_corpus_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match="needs 1201 real rows, has 1200"):
        TINY.real(2, 401, stream(1), 800)

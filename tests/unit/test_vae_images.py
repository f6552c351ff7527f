"""The image world beyond the dense Gaussian model: convolutions, 28×28 images, a Bernoulli likelihood, sampling, rare
classes."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from lib.pool import Part
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.images import networks
from lib.worlds.images.data import digits, images
from lib.worlds.images.scores import Judge, faded, judge, rare_class, with_rare_share
from lib.worlds.images.vae import PAPER_GENERATIONS, VAE, paper_vae
from lib.worlds.weights import Stacked
from tests.unit.idx import write

TINY = VAE(latent=3, hidden=12, steps=20, batch=16, score_samples=60, score_draws=2, shown=4, device="cpu")


def stream(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(2027, spawn_key=key)))


def streams(runs):
    return [stream(9, run) for run in range(runs)]


def real_part(world, runs, size):
    return (Part(world.real(runs, size, stream(0), 0), real=1.0),)


def tensors(weights):
    return {name: torch.from_numpy(w) for name, w in weights.items()}


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """The name of a small set of 28×28 images in real idx files."""
    folder, _ = write(tmp_path_factory.mktemp("bars"), train=400, test=80)
    return f"idx:{folder}"


@pytest.fixture(scope="module")
def convolutional(bars):
    return dataclasses.replace(TINY, data=bars, network="convolutional", channels=4)


def test_stacked_convolutions_are_those_of_torch_layers():
    """Every run against a network put together from torch's own layers with the same weights."""
    weights = tensors(networks.initial(streams(3), pixels=784, latent=5, hidden=11, channels=4, noisy=True))
    for name in weights:  # biases start at 0 and would hide a mistake
        weights[name] = weights[name] + 0.1 * torch.from_numpy(stream(2).standard_normal(weights[name].shape)).float()
    x = torch.from_numpy(stream(1).random((3, 7, 784), dtype=np.float32))
    z = torch.from_numpy(stream(3).standard_normal((3, 7, 5), dtype=np.float32))
    mean, log_variance = networks.posterior(weights, x)
    picture = networks.decoded(weights, z)
    for run in range(3):

        def layer(kind, name, *sizes, run=run, **options):
            made = kind(*sizes, **options)
            w = weights[name][run]
            made.weight.data = w.T.contiguous() if kind is torch.nn.Linear else w
            made.bias.data = weights[f"{name}_bias"][run, 0]
            return made

        halve = {"kernel_size": 4, "stride": 2, "padding": 1}
        encoder = torch.nn.Sequential(
            layer(torch.nn.Conv2d, "down_1", 1, 4, **halve),
            torch.nn.ReLU(),
            layer(torch.nn.Conv2d, "down_2", 4, 8, **halve),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            layer(torch.nn.Linear, "encoder", 8 * 49, 11),
            torch.nn.ReLU(),
            layer(torch.nn.Linear, "posterior", 11, 10),
        )
        decoder = torch.nn.Sequential(
            layer(torch.nn.Linear, "decoder", 5, 11),
            torch.nn.ReLU(),
            layer(torch.nn.Linear, "mean", 11, 8 * 49),
            torch.nn.ReLU(),
            torch.nn.Unflatten(1, (8, 7, 7)),
            layer(torch.nn.ConvTranspose2d, "up_1", 8, 4, **halve),
            torch.nn.ReLU(),
            layer(torch.nn.ConvTranspose2d, "up_2", 4, 1, **halve),
            torch.nn.Sigmoid(),
        )
        with torch.no_grad():
            both = encoder(x[run].view(7, 1, 28, 28))
            torch.testing.assert_close(torch.cat([mean[run], log_variance[run]], dim=1), both, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(picture[run], decoder(z[run]).flatten(1), rtol=1e-4, atol=1e-4)


def test_no_run_of_a_convolution_feels_another():
    weights = tensors(networks.initial(streams(2), pixels=64, latent=3, hidden=6, channels=2, noisy=True))
    for w in weights.values():
        w.requires_grad_()
    x, noise = torch.rand(2, 5, 64), torch.randn(2, 5, 3)
    networks.negative_elbo(weights, x, noise)[0].sum().backward()
    for name, w in weights.items():
        assert w.grad[0].abs().sum() > 0, name
        assert w.grad[1].abs().sum() == 0, name


def test_convolutions_start_with_the_variance_that_dense_layers_have():
    weights = networks.initial(streams(40), pixels=784, latent=8, hidden=64, channels=8)
    maps = torch.from_numpy(stream(1).standard_normal((3, 8, 14, 14), dtype=np.float32))
    kernel = torch.from_numpy(weights["up_2"])
    out = torch.stack([networks.conv_transpose2d(maps, k, stride=2, padding=1) for k in kernel])
    # Away from the border every output sees 8 × 4 inputs of variance 1 with weights of variance 1/32: variance 1. Its
    # average over 40 draws of 128 weights has a standard error of √(2/(40·128)) = 0.02; five of them: a false-alarm
    # rate below 1e-6.
    assert out[..., 2:-2, 2:-2].var().item() == pytest.approx(1, abs=0.1)


def test_bernoulli_bound_is_exact_without_weights_and_grey_levels_are_probabilities():
    weights = {k: np.zeros_like(v) for k, v in networks.initial(streams(2), pixels=64, latent=3, hidden=4).items()}
    weights["mean_bias"] += np.float32(math.log(0.3 / 0.7))  # the decoder says 0.3 everywhere
    x = torch.from_numpy(stream(1).random((2, 5, 64), dtype=np.float32))
    found = networks.negative_elbo(tensors(weights), x, torch.zeros(2, 5, 3))
    expected = -(x * math.log(0.3) + (1 - x) * math.log(0.7)).sum(dim=2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    # The mean over random binarisations: linear in x, so binary images at the four corners of two pixels say the same.
    grey = torch.zeros(1, 1, 64)
    grey[0, 0, :2] = torch.tensor([0.2, 0.9])
    one = {name: w[:1] for name, w in tensors(weights).items()}
    total = 0.0
    for a in (0, 1):
        for b in (0, 1):
            binary = torch.zeros(1, 1, 64)
            binary[0, 0, :2] = torch.tensor([a, b])
            probability = (0.2 if a else 0.8) * (0.9 if b else 0.1)
            total += probability * networks.negative_elbo(one, binary, torch.zeros(1, 1, 3)).item()
    assert networks.negative_elbo(one, grey, torch.zeros(1, 1, 3)).item() == pytest.approx(total, rel=1e-5)


def test_bernoulli_test_bound_of_a_constant_model():
    world = dataclasses.replace(TINY, likelihood="bernoulli")
    weights = {k: np.zeros_like(v) for k, v in world.initial(streams(2), 64).items()}
    found = world.score(Stacked(weights), stream(1), ("test_nelbo",))["test_nelbo"]
    np.testing.assert_allclose(found, 64 * math.log(2), rtol=1e-6)


def constant_world(**settings):
    """A world and a model of it whose decoder says 0.3 at every pixel."""
    world = dataclasses.replace(TINY, **settings)
    weights = {k: np.zeros_like(v) for k, v in world.initial(streams(2), 64).items()}
    weights["mean_bias"] += np.float32(math.log(0.3 / 0.7))
    return world, Stacked(weights)


def test_bernoulli_samples_are_binary_draws():
    world, model = constant_world(likelihood="bernoulli")
    values = world.sample(model, 2000, None, stream(7)).values
    assert set(np.unique(values)) == {0, 1} and values.dtype == np.float32
    # 128 000 draws a run, ±4 standard errors: a false-alarm rate of 1.3e-4 for both runs.
    np.testing.assert_allclose(values.mean(axis=(1, 2, 3)), 0.3, atol=4 * math.sqrt(0.21 / 128000))
    assert not np.array_equal(values[0], values[1])


def test_the_mean_is_the_decoder_s_output_and_nothing_else():
    world, model = constant_world(likelihood="bernoulli", sampling="mean")
    np.testing.assert_allclose(world.sample(model, 50, None, stream(7)).values, 0.3, rtol=1e-5)


def test_a_gaussian_mean_is_dequantised_as_real_images_are():
    world, model = constant_world(sampling="mean")
    values = world.sample(model, 500, None, stream(7)).values
    assert np.abs(values - 0.3).max() <= 0.5 / 16 + 1e-6
    # Uniform noise of one level's width: variance w²/12, 64 000 draws, ±4 standard errors.
    assert 12 * 256 * values.var() == pytest.approx(1, abs=4 * math.sqrt(0.8 / values.size))


def test_real_grey_levels_stay_what_they_are_under_bernoulli():
    world = dataclasses.replace(TINY, likelihood="bernoulli")
    values = world.real(2, 100, stream(1), 0).values
    known = {image.tobytes() for image in digits().train}
    assert all(image.tobytes() in known for image in values.reshape(-1, 8, 8))


def test_noise_free_bernoulli_images_lose_their_variance_generation_after_generation():
    """What the chapter shows, small: both worlds start from the same fit and differ in what they pass on."""
    of = {}
    for sampling in ("model", "mean"):
        world = VAE(steps=400, hidden=64, likelihood="bernoulli", sampling=sampling, score_samples=200, device="cpu")
        of[sampling] = recurse(
            world, Replace(), n=400, generations=3, runs=2, seed=3, scores=("test_nelbo", "variance_ratio")
        )
    first = [of[s].test_nelbo.isel(generation=0).values for s in of]
    np.testing.assert_array_equal(*first)
    left = {
        s: (d.variance_ratio.isel(generation=-1) / d.variance_ratio.isel(generation=0)).values for s, d in of.items()
    }
    assert (left["mean"] < 0.5 * left["model"]).all()


def test_two_generations_of_28_by_28_images(convolutional):
    data = recurse(
        convolutional, [Replace(), Accumulate()], n=60, generations=2, runs=2, seed=1, keep=("samples", "class_shares")
    )
    assert data.samples.shape == (2, 2, 2, 4, 28, 28) and data.class_shares.shape[-1] == 4
    assert all(np.isfinite(data[name]).all() for name in convolutional.scores)
    again = recurse(convolutional, Replace(), n=60, generations=2, runs=2, seed=1)
    np.testing.assert_array_equal(again.test_nelbo.sel(regime="Replace"), data.test_nelbo.sel(regime="Replace"))


@pytest.mark.parametrize("likelihood", ["pixel", "bernoulli"])
def test_a_convolutional_model_learns(convolutional, likelihood):
    world = dataclasses.replace(convolutional, likelihood=likelihood, steps=300, hidden=32, latent=6)
    untrained = Stacked(world.initial(streams(2), 784))
    trained = world.fit(real_part(world, 2, 300), stream(1)).model
    before, after = (world.score(m, stream(2), ("test_nelbo",))["test_nelbo"] for m in (untrained, trained))
    # Without latents: the best that independent pixels can do, fitted to the training part.
    data = images(world.data)
    train, test = (v.reshape(len(v), -1).astype(float) for v in (data.train, data.test))
    if likelihood == "bernoulli":
        p = train.mean(axis=0).clip(1e-4, 1 - 1e-4)
        alone = -(test * np.log(p) + (1 - test) * np.log(1 - p)).sum(axis=1).mean()
    else:
        noise = (1 / 255) ** 2 / 12
        squares = ((test - train.mean(axis=0)) ** 2).mean(axis=0) + noise
        variance = train.var(axis=0) + noise
        alone = 0.5 * (squares / variance + np.log(2 * math.pi * variance)).sum() + 784 * math.log(255)
    assert (after < alone).all() and (after < before).all()


def test_a_run_of_convolutions_does_not_depend_on_the_runs_beside_it(convolutional):
    three, one = (convolutional.fit(real_part(convolutional, runs, 40), stream(1)).model for runs in (3, 1))
    for name, w in one.weights.items():
        # Convolutions sum in another order when more runs are stacked: equal up to rounding.
        np.testing.assert_allclose(w[0], three.weights[name][0], atol=2e-3, err_msg=name)


def test_pieces_change_nothing_but_rounding(convolutional, monkeypatch):
    model = convolutional.fit(real_part(convolutional, 2, 40), stream(1)).model
    whole = convolutional.sample(model, 50, None, stream(2)).values
    bound = convolutional.score(model, stream(3), ("test_nelbo",))["test_nelbo"]
    monkeypatch.setattr("lib.worlds.images.vae.AT_ONCE", 784 * 2 * 7)
    np.testing.assert_allclose(convolutional.sample(model, 50, None, stream(2)).values, whole, atol=1e-5)
    np.testing.assert_allclose(convolutional.score(model, stream(3), ("test_nelbo",))["test_nelbo"], bound, rtol=1e-5)


def test_a_killed_run_of_convolutions_goes_on_exactly(convolutional, tmp_path):
    settings = {"n": 30, "runs": 2, "seed": 4}
    whole = recurse(convolutional, Accumulate(), generations=3, **settings)
    recurse(convolutional, Accumulate(), generations=2, checkpoint=tmp_path, **settings)
    resumed = recurse(convolutional, Accumulate(), generations=3, checkpoint=tmp_path, **settings)
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_images_of_other_sizes_than_the_network_takes_are_refused(tmp_path):
    folder, _ = write(tmp_path, side=30, train=20, test=8)
    assert VAE(data=f"idx:{folder}").network == "dense"
    with pytest.raises(ValueError, match="network='convolutional' .*images of 30×30 pixels; .*a side that 4 divides"):
        VAE(data=f"idx:{folder}", network="convolutional")


def test_a_file_that_breaks_between_two_calls_loses_nothing(convolutional, tmp_path):
    """The error comes before any work; with the file whole again the run goes on where it was."""
    folder, _ = write(tmp_path / "set")
    world = dataclasses.replace(convolutional, data=f"idx:{folder}")
    settings = {"n": 30, "runs": 2, "seed": 4, "scores": ("test_nelbo",)}
    whole = recurse(world, Replace(), generations=3, **settings)
    recurse(world, Replace(), generations=2, checkpoint=tmp_path / "kept", **settings)
    path = folder / "t10k-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.gz cannot be read to its end"):
        recurse(dataclasses.replace(world), Replace(), generations=3, checkpoint=tmp_path / "kept", **settings)
    path.write_bytes(content)
    resumed = recurse(dataclasses.replace(world), Replace(), generations=3, checkpoint=tmp_path / "kept", **settings)
    np.testing.assert_array_equal(resumed.test_nelbo, whole.test_nelbo)


def test_settings_of_a_rare_class_are_checked_and_recorded():
    with pytest.raises(ValueError, match="rare share=0.5"):
        dataclasses.replace(TINY, rare=(6, 0.5))
    world = dataclasses.replace(TINY, rare=(6, 0.02))
    assert world.settings()["rare"] == [6, 0.02] and TINY.settings()["rare"] is None
    with pytest.raises(ValueError, match=r"data=\['digits'\].*name of an image set"):
        dataclasses.replace(TINY, data=["digits"])
    with pytest.raises(ValueError, match="needs 1200 real rows, has 1101 training images"):
        recurse(world, Replace(), n=1200, generations=2, runs=2, seed=1)


def test_a_rare_class_is_rare_in_the_data_and_known_to_the_classifier():
    world = dataclasses.replace(TINY, rare=(6, 0.02))
    critic, full = judge("digits", (6, 0.02)), judge("digits")
    real = world.real(4, 1000, stream(1), 0).values
    shares = critic.shares(critic.embed(real))
    assert (np.abs(shares[:, 6] - 0.02) < 0.01).all()
    np.testing.assert_array_equal(critic.weights[1], full.weights[1])
    assert critic.accuracy == full.accuracy and not np.array_equal(critic.mean, full.mean)


def test_the_judge_of_binary_images_sees_binary_images():
    critic, data = judge("digits", None, True), digits()
    assert critic.accuracy > 0.85  # of the 8×8 digits in black and white
    spread = np.maximum(data.train, 0) * (1 - data.train)
    within = spread.sum(axis=(1, 2)).mean()  # what random binarisation adds to the variance
    assert critic.variance == pytest.approx(judge("digits").variance + within, rel=0.02)


def test_the_judge_of_larger_sets(bars, monkeypatch):
    critic = judge(bars)
    assert isinstance(critic, Judge) and critic.accuracy > 0.95
    data = images(bars)
    np.testing.assert_allclose(critic.shares(critic.embed(data.test[None]))[0], np.full(4, 0.25), atol=0.03)


def test_the_classifier_for_many_images_and_for_two_classes(tmp_path, monkeypatch):
    folder, _ = write(tmp_path, train=600, test=100, classes=2)
    monkeypatch.setattr("lib.worlds.images.scores.MANY", 500)
    critic, data = judge(f"idx:{folder}"), images(f"idx:{folder}")
    assert critic.weights[0].shape == (784, 128) and critic.accuracy > 0.95
    found = critic.classes(critic.embed(data.test))
    assert (found == data.test_labels).mean() == pytest.approx(critic.accuracy)


def test_faded_classes():
    shares = np.array([[0.5, 0.3, 0.2, 0.0], [0.6, 0.1, 0.2, 0.1], [0.8, 0.2, 0.0, 0.0]])
    np.testing.assert_array_equal(faded(shares), [np.nan, 2, 3, 1])


def test_the_share_of_the_rare_class_is_recorded_with_the_results():
    world = dataclasses.replace(TINY, rare=(6, 0.02))
    data = with_rare_share(
        recurse(world, Replace(), n=30, generations=2, runs=2, seed=1, scores=(), keep=("class_shares",))
    )
    assert rare_class(data) == 6 and data.rare_share.dims == ("regime", "generation", "run")
    np.testing.assert_array_equal(data.rare_share, data.class_shares.values[..., 6])


def test_the_supplement_s_settings(bars):
    world = paper_vae(data=bars)
    assert (world.latent, world.epochs, world.batch, world.rate) == (20, 30, 256, 1e-3)
    assert world.likelihood == "bernoulli" and PAPER_GENERATIONS == 5
    small = dataclasses.replace(world, epochs=2, hidden=16, batch=32, score_samples=30)
    data = recurse(small, Replace(), n=64, generations=2, runs=2, seed=1, scores=("test_nelbo",))
    assert data.steps.values.tolist() == [[4, 4]]

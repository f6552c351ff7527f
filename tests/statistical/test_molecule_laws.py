"""The truth of the molecules and the sampler of the diffusion model against laws.

Seeds were fixed before the first look. Every comparison allows four standard errors: a false-alarm rate of 6·10⁻⁵ each,
eight of them in all.
"""

import numpy as np
import pytest
import torch

from lib.theory.molecules import chain_covariance
from lib.worlds.molecules import diffusion
from lib.worlds.molecules import truth as molecules
from lib.worlds.molecules.scores import torsion_angles
from lib.worlds.molecules.truth import BOLTZMANN, ForceField, molecule

pytestmark = pytest.mark.statistical

CHAINS = 240


@pytest.fixture(scope="module")
def butane():
    found = molecule("butane")
    starts = molecules._embedded("butane", found.full, CHAINS, relaxed=True)
    return found, starts, molecules.boltzmann(found, starts, 25, 300.0, np.random.default_rng(11))


def z_score(values, law):
    """Of values that are averages over chains, which are independent of each other."""
    return (values.mean() - law) / (values.std(ddof=1) / np.sqrt(values.size))


def test_chains_obey_the_virial_theorem(butane):
    # For any Boltzmann density E[x · ∇E] = kT per coordinate that is free: all but the three of the centre.
    found, _, x = butane
    flat = x.reshape(-1, *x.shape[2:])
    flat = flat - flat.mean(axis=1, keepdims=True)
    virial = (flat * ForceField(found.full).gradient(flat)).sum(axis=(1, 2)).reshape(CHAINS, -1) / (BOLTZMANN * 300.0)
    assert abs(z_score(virial.mean(axis=1), 3 * x.shape[2] - 3)) < 4


def test_temperature_is_that_of_the_density(butane):
    # Twice as hot, the energy above the minimum about doubles: exactly the virial law at 600 K.
    found, starts, _ = butane
    x = molecules.boltzmann(found, starts, 25, 600.0, np.random.default_rng(12))
    flat = x.reshape(-1, *x.shape[2:])
    flat = flat - flat.mean(axis=1, keepdims=True)
    virial = (flat * ForceField(found.full).gradient(flat)).sum(axis=(1, 2)).reshape(CHAINS, -1) / (BOLTZMANN * 600.0)
    assert abs(z_score(virial.mean(axis=1), 39)) < 4


def test_chains_forget_where_they_started(butane):
    # From stretched and from bent starts alone the share of bent conformers is the same.
    found, starts, _ = butane
    bent = np.abs(torsion_angles(starts[:, :4], found.torsions)[:, 0]) < 120
    assert 20 < bent.sum() < CHAINS - 20
    shares = []
    for k, chosen in enumerate((bent, ~bent)):
        first = starts[chosen][np.arange(100) % chosen.sum()]
        x = molecules.boltzmann(found, first, 25, 300.0, np.random.default_rng(13 + k))
        shares.append((np.abs(torsion_angles(x[:, :, :4], found.torsions)[..., 0]) < 120).mean(axis=1))
    error = np.sqrt(sum(s.var(ddof=1) / s.size for s in shares))
    assert abs(shares[0].mean() - shares[1].mean()) < 4 * error


def test_mirror_images_are_equally_frequent_in_chains(butane):
    found, _, x = butane
    # Within a chain torsions change sign many times; chain averages are independent.
    signs = (torsion_angles(x[:, :, :4], found.torsions)[..., 0] > 0).mean(axis=1)
    assert abs(z_score(signs, 0.5)) < 4


def mixture_denoiser(covariances, shares):
    """E[x | y] for a mixture of centred normal conformers, exactly: each component's best guess, weighted by its
    posterior."""
    covariances = [torch.from_numpy(c) for c in covariances]
    n = len(covariances[0])
    centring = torch.eye(n, dtype=torch.float64) - 1 / n

    def denoise(y, sigma):
        # All levels of a call are equal. The centre direction, where nothing varies, is given a variance of 1.
        s2, guesses, logs = float(sigma.flatten()[0]) ** 2, [], []
        for c, share in zip(covariances, shares, strict=True):
            spread = c + s2 * centring + 1 / n
            solved = torch.linalg.solve(spread, y.swapaxes(-1, -2)).swapaxes(-1, -2)
            guesses.append(solved @ c)
            logs.append(np.log(share) - 0.5 * (y * solved).sum(dim=(-2, -1)) - 1.5 * torch.logdet(spread))
        weights = torch.softmax(torch.stack(logs), dim=0)
        return sum(w[..., None, None] * g for w, g in zip(weights, guesses, strict=True))

    return denoise


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_sampler_recovers_a_known_mixture(share):
    # Small and large chains; with the exact denoiser in place of a network, the sampler alone is at fault for what is
    # missing.
    small, large = chain_covariance(5, 0.25), chain_covariance(5, 1.6)
    unit = (share * np.trace(small) + (1 - share) * np.trace(large)) / 4  # variance per coordinate
    small, large = small / unit, large / unit
    denoise = mixture_denoiser((small, large), (share, 1 - share))
    noise = torch.from_numpy(np.random.default_rng(17).standard_normal((1, 20_000, 3, 5)))
    start = noise @ torch.from_numpy(diffusion.start_root(share * small + (1 - share) * large))
    found = diffusion.followed(denoise, start, steps=60)[0]
    size = found.square().sum(dim=(1, 2)).numpy()
    # Which component a sample is of: the two sizes hardly overlap, and where they do the posterior at no noise says it.
    logs = []
    for c, s in ((small, share), (large, 1 - share)):
        spread = torch.from_numpy(c) + 1 / 5
        solved = torch.linalg.solve(spread, found.swapaxes(-1, -2)).swapaxes(-1, -2)
        logs.append(np.log(s) - 0.5 * (found * solved).sum(dim=(-2, -1)) - 1.5 * torch.logdet(spread))
    posterior = torch.softmax(torch.stack(logs), dim=0)[0].numpy()
    assert abs(z_score(posterior, share)) < 4
    law = share * 3 * np.trace(small) + (1 - share) * 3 * np.trace(large)
    assert abs(z_score(size, law)) < 4

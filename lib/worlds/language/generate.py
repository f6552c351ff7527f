"""Between this book's decoders and the transformers library: the same model there, its beam search and its sampling."""

import numpy as np
import torch

from lib.worlds.language.decoder import EPSILON, ROTARY_BASE, Decoder


def exported(network: Decoder) -> torch.nn.Module:
    """A llama-like decoder in transformers: `MistralForCausalLM`, which is LLaMA's arithmetic with attention to
    the last `context` positions only. Logits agree up to rounding."""
    import transformers

    shape = network.shape
    config = transformers.MistralConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.heads,
        rms_norm_eps=EPSILON, rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
        sliding_window=shape.context, max_position_embeddings=4 * shape.context, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    made = transformers.MistralForCausalLM(config)
    made.load_state_dict(_llama(network.state_dict(), shape), strict=False)
    made.tie_weights()
    return made.to(next(network.parameters()).device).eval()


def _llama(weights, shape):
    out = {"model.embed_tokens.weight": weights["embedding.weight"], "model.norm.weight": weights["norm.weight"]}
    places = {
        "attention_norm": "input_layernorm",
        "attention_out": "self_attn.o_proj",
        "hidden_norm": "post_attention_layernorm",
    }
    places |= {"gate": "mlp.gate_proj", "hidden": "mlp.up_proj", "hidden_out": "mlp.down_proj"}
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        for ours, theirs in places.items():
            out[f"{at}{theirs}.weight"] = weights[f"blocks.{layer}.{ours}.weight"]
        q, k, v = weights[f"blocks.{layer}.qkv.weight"].chunk(3)
        out[f"{at}self_attn.q_proj.weight"], out[f"{at}self_attn.k_proj.weight"] = _halves(q, shape), _halves(k, shape)
        out[f"{at}self_attn.v_proj.weight"] = v
    return out


def _halves(rows, shape):
    """Rows of a head from neighbouring pairs, as here, to first and second halves, as transformers has them."""
    return rows.view(shape.heads, -1, 2, shape.width).transpose(1, 2).reshape(shape.width, shape.width)


def beam_search(
    model: torch.nn.Module,
    prompts: np.ndarray,
    new: int,
    beams: int,
    repetition_penalty: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> np.ndarray:
    """The `new` tokens after each prompt that a beam search of that width finds: (count, length) to (count, new),
    int32."""
    settings = {"num_beams": beams, "do_sample": False, "repetition_penalty": repetition_penalty}
    return _continued(model, prompts, new, dtype, beams, settings)


def sampled(
    model: torch.nn.Module,
    prompts: np.ndarray,
    new: int,
    seed: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> np.ndarray:
    """`new` tokens after each prompt, drawn from the model's probabilities: (count, length) to (count, new), int32.

    Temperature 0 takes the most probable token. Torch's own random state stays as it was.
    """
    settings = {"do_sample": True, "temperature": float(temperature), "top_p": float(top_p), "top_k": 0}
    if temperature == 0:
        settings = {"do_sample": False}
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return _continued(model, prompts, new, dtype, 1, settings | {"num_beams": 1})


@torch.no_grad()
def _continued(model, prompts, new, dtype, beams, settings):
    device = next(model.parameters()).device
    # Of every sequence keys, values and logits are held at once.
    rows = max(1, (320 if device.type == "cpu" else 1280) // beams)
    out = []
    for k in range(0, len(prompts), rows):
        given = torch.from_numpy(np.array(prompts[k : k + rows])).to(device).long()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            lengths = {"max_new_tokens": new, "min_new_tokens": new, "eos_token_id": None, "pad_token_id": 0}
            found = model.generate(given, attention_mask=torch.ones_like(given), **lengths, **settings)
        out.append(found[:, given.shape[1] :].cpu().numpy())
    return np.concatenate(out).astype(np.int32)

"""A decoder of the family gpt2 as the model class of transformers that it is held against."""

import transformers

from lib.worlds.language.decoder import EPSILON

PLACES = {"attention_norm": "ln_1", "qkv": "attn.c_attn", "attention_out": "attn.c_proj", "hidden_norm": "ln_2"}
PLACES |= {"hidden": "mlp.c_fc", "hidden_out": "mlp.c_proj"}


def exported(network):
    """`GPT2LMHeadModel` with the same weights."""
    shape, weights = network.shape, network.state_dict()
    config = transformers.GPT2Config(
        vocab_size=shape.vocabulary, n_positions=shape.context, n_embd=shape.width, n_layer=shape.layers,
        n_head=shape.heads, n_inner=shape.hidden, layer_norm_epsilon=EPSILON, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    out = {"transformer.wte.weight": weights["embedding.weight"], "transformer.wpe.weight": weights["positions.weight"]}
    out |= {f"transformer.ln_f.{kind}": weights[f"norm.{kind}"] for kind in ("weight", "bias")}
    for layer in range(shape.layers):
        for ours, theirs in PLACES.items():
            for kind in ("weight", "bias"):
                value = weights[f"blocks.{layer}.{ours}.{kind}"]
                # GPT-2's layers are written as a product from the right.
                out[f"transformer.h.{layer}.{theirs}.{kind}"] = value.T.contiguous() if value.ndim == 2 else value
    made = transformers.GPT2LMHeadModel(config)
    made.load_state_dict(out, strict=False)
    made.tie_weights()
    return made.eval()

"""Tiny causal models with tokenizers of their own, built by the tests and saved as transformers saves them."""

import json

import numpy as np
import tokenizers
import torch
import transformers

WORDS = ["time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state"]
END = "</s>"


def articles(count=240, seed=0):
    """Articles of some thirty words; naïve and … are more bytes than signs."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(WORDS) + 1)
    return tuple(
        f"Article {k}, naïve: " + " ".join(rng.choice(WORDS, size=30, p=weights / weights.sum())) + " …"
        for k in range(count)
    )


def text_file(folder):
    """The name of the text that they make."""
    path = folder / "tiny.txt"
    path.write_text("\n".join(articles()), encoding="utf-8")
    return f"file:{path}"


def tokenizer(size=300, end=END):
    """A byte-level tokenizer with that many entries, an end of sequence among them."""
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[end],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learned.train_from_iterator(articles(60, seed=1), trainer)
    assert learned.get_vocab_size() == size
    return transformers.PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=end)


def network(family="llama", rows=300, context=64):
    """A model of two layers whose weights are always the same."""
    shape = {"vocab_size": rows, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    if family == "gpt2":
        config = transformers.GPT2Config(n_positions=context, n_embd=16, n_layer=2, n_head=2, **shape)
    elif family == "opt":
        config = transformers.OPTConfig(
            hidden_size=16, num_hidden_layers=2, ffn_dim=32, num_attention_heads=2, max_position_embeddings=context,
            word_embed_proj_dim=16, **shape | {"pad_token_id": 1},
        )  # fmt: skip
    else:
        config = transformers.LlamaConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=context, tie_word_embeddings=True, **shape,
        )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.AutoModelForCausalLM.from_config(config)
        for weight in made.parameters():
            torch.nn.init.normal_(weight, 0.0, 0.15) if weight.ndim > 1 else None
    return made.eval()


def saved(folder, family="llama", rows=300, context=64, size=300):
    """The folder, with model and tokenizer in it."""
    network(family, rows, context).save_pretrained(folder)
    tokenizer(size).save_pretrained(folder)
    return folder


def packed(folder, made, own):
    """A Llama model and its tokenizer as one GGUF file, in which the rows of queries and keys stand in another
    order."""
    import gguf

    shape, weights = made.config, {name: w.numpy() for name, w in made.state_dict().items()}
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_tokenizer_model("gpt2")
    order = sorted(own.get_vocab().items(), key=lambda pair: pair[1])
    writer.add_token_list([token for token, _ in order])
    writer.add_token_types([3 if number == 0 else 1 for _, number in order])
    merges = json.loads(own.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    for add in (writer.add_eos_token_id, writer.add_bos_token_id, writer.add_unk_token_id):
        add(0)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    places = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    places |= {"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"}
    places |= {"mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    heads = {"attn_q": shape.num_attention_heads, "attn_k": shape.num_key_value_heads}
    for layer in range(shape.num_hidden_layers):
        for theirs, packed_name in places.items():
            value = weights[f"model.layers.{layer}.{theirs}.weight"]
            if packed_name in heads:
                halves = value.reshape(heads[packed_name], 2, -1, value.shape[1])
                value = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(value.shape))
            writer.add_tensor(f"blk.{layer}.{packed_name}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

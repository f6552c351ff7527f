"""Decoder-only transformers in the two families of the papers, with cached sampling.

`gpt2` (Radford et al. 2019): learned positions, layer norm, GELU, biases. `llama` (Touvron et al. 2023): rotary
positions, RMS norm, SwiGLU, no biases. Both share the embedding with the output. The arithmetic is that of
`GPT2LMHeadModel` and `LlamaForCausalLM` of transformers.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from lib.errors import among, refuse, whole

ROTARY_BASE = 10_000.0
EPSILON = 1e-5
START = 0.5  # initial deviation times √width: GPT-2's 0.02 at its width


@dataclass(frozen=True)
class Architecture:
    """What a decoder is made of.

    `context` is the longest sequence that is trained on. A llama-like decoder attends to the last `context` positions,
    so that sampling may go on for ever; learned positions end there.
    """

    family: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int

    def __post_init__(self):
        among("family", self.family, ("gpt2", "llama"))
        for name in ("vocabulary", "width", "layers", "heads", "hidden", "context"):
            whole(name, getattr(self, name), 1)
        if self.width % self.heads:
            refuse("heads", self.heads, f"a divisor of the width {self.width}")
        if self.family == "llama" and self.width // self.heads % 2:
            refuse("heads", self.heads, f"heads of even width, for rotary positions; the width is {self.width}")


class Cache:
    """Keys and values of the positions so far, for one batch of sequences: per layer (batch, heads, length, head
    width)."""

    def __init__(self, shape: Architecture, batch: int, length: int, like: torch.Tensor):
        size = (shape.layers, 2, batch, shape.heads, length, shape.width // shape.heads)
        self.stored = like.new_empty(size)
        self.length = 0


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a norm and added to what came in."""

    def __init__(self, shape: Architecture):
        super().__init__()
        self.heads, self.context, self.rotary = shape.heads, shape.context, shape.family == "llama"
        bias = not self.rotary
        norm = nn.RMSNorm if self.rotary else nn.LayerNorm
        self.attention_norm = norm(shape.width, eps=EPSILON)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=bias)
        self.attention_out = nn.Linear(shape.width, shape.width, bias=bias)
        self.hidden_norm = norm(shape.width, eps=EPSILON)
        self.hidden = nn.Linear(shape.width, shape.hidden, bias=bias)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False) if self.rotary else None
        self.hidden_out = nn.Linear(shape.hidden, shape.width, bias=bias)

    def forward(self, x, turns, layer=None, start=0, end=None):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1).unbind(2)
        if self.rotary:
            q, k = rotate(q, turns), rotate(k, turns)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if layer is not None:
            layer[0, :, :, end - length : end] = k
            layer[1, :, :, end - length : end] = v
            k, v = layer[0, :, :, start:end], layer[1, :, :, start:end]
        if length == 1:
            # One query a sequence: two plain products take three quarters of the time of the fused kernel.
            weights = torch.matmul(q, k.transpose(2, 3)).mul_(q.shape[3] ** -0.5).softmax(dim=3)
            attended = torch.matmul(weights, v)
        else:
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(attended.transpose(1, 2).reshape(batch, length, width))
        h = self.hidden_norm(x)
        if self.rotary:
            return x + self.hidden_out(F.silu(self.gate(h)) * self.hidden(h))
        return x + self.hidden_out(F.gelu(self.hidden(h), approximate="tanh"))


class Decoder(nn.Module):
    """Tokens (batch, length) to logits (batch, length, vocabulary) of the token that follows each."""

    def __init__(self, shape: Architecture):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width) if shape.family == "gpt2" else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        norm = nn.LayerNorm if shape.family == "gpt2" else nn.RMSNorm
        self.norm = norm(shape.width, eps=EPSILON)
        self._stored: dict[torch.device, torch.Tensor] = {}

    def start(self, generator: torch.Generator) -> None:
        """Draw initial weights: normal, deviation 0.5/√width, divided by √(2·layers) where they write into the residual
        stream as in GPT-2; biases 0, norms 1."""
        for name, weight in self.named_parameters():
            with torch.no_grad():
                if weight.ndim == 2:
                    out = name.endswith(("attention_out.weight", "hidden_out.weight"))
                    std = START / math.sqrt(self.shape.width * (2 * self.shape.layers if out else 1))
                    weight.copy_(torch.empty(weight.shape).normal_(0, std, generator=generator))
                else:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)

    def forward(self, tokens: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Logits. With a cache the tokens follow those that it holds, and it takes them in; several at once only into
        an empty one. Sequences longer than the context are refused where positions are learned."""
        first = 0 if cache is None else cache.length
        end = first + tokens.shape[1]
        if cache is not None and first and tokens.shape[1] > 1:
            refuse("tokens", tokens.shape[1], "one token at a time once the cache holds some")
        limit = self.shape.context
        if end > limit and (self.positions is not None or tokens.shape[1] > limit):
            refuse("tokens", end, f"at most {limit}, the context of this model")
        x = self.embedding(tokens)
        turns = None
        if self.positions is not None:
            x = x + self.positions.weight[first:end]
        else:
            turns = self._turns(end, x.device)[first:end]
        for number, block in enumerate(self.blocks):
            if cache is None:
                x = block(x, turns)
            else:
                x = block(x, turns, cache.stored[number], max(0, end - limit), end)
        if cache is not None:
            cache.length = end
            x = x[:, -1:]  # the logits of the last position are all that sampling asks for
        return F.linear(self.norm(x), self.embedding.weight)

    def _turns(self, length, device):
        if device not in self._stored or len(self._stored[device]) < length:
            half = self.shape.width // self.shape.heads // 2
            rates = ROTARY_BASE ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
            angles = torch.arange(max(length, 2 * self.shape.context), device=device)[:, None, None] * rates
            self._stored[device] = torch.polar(torch.ones_like(angles), angles)
        return self._stored[device]


def rotate(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021): neighbouring coordinates of a head are a complex number, each turned by its
    own angle.

    `x` has shape (batch, length, heads, head width), `turns`, complex, (length, 1, head width / 2).
    """
    turned = torch.view_as_complex(x.float().unflatten(-1, (-1, 2))) * turns
    return torch.view_as_real(turned).flatten(-2).type_as(x)


def parameters(shape: Architecture) -> int:
    """How many parameters a decoder of that shape has."""
    with torch.device("meta"):
        return sum(p.numel() for p in Decoder(shape).parameters())


@torch.no_grad()
def sample(
    decoder: Decoder,
    begin: torch.Tensor,
    new: int,
    uniforms: torch.Tensor,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> torch.Tensor:
    """`new` tokens after each row of `begin`, one at a time from the model's probabilities, with cached keys and
    values.

    `begin` has shape (batch, at least 1), `uniforms`, numbers in [0, 1) that decide, (batch, new); the result (batch,
    new). Probabilities are softmax(logits / temperature); with `top_p` < 1 only the most probable tokens that together
    reach it (Holtzman et al. 2020, nucleus sampling). Temperature 0 takes the most probable token.
    """
    batch, length = begin.shape
    cache = Cache(decoder.shape, batch, length + new, decoder.norm.weight)
    out = begin.new_empty((batch, new))
    tokens = begin
    for position in range(new):
        logits = decoder(tokens, cache)[:, -1].float()
        tokens = chosen(logits, uniforms[:, position, None], temperature, top_p)
        out[:, position] = tokens[:, 0]
    return out


def chosen(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row by inverting the cumulative distribution at `uniform`; shapes (batch, vocabulary), (batch, 1),
    (batch, 1)."""
    if temperature == 0:
        return logits.argmax(dim=1, keepdim=True)
    probabilities = torch.softmax(logits / temperature if temperature != 1 else logits, dim=1)
    order = None
    if top_p < 1:
        probabilities, order = probabilities.sort(dim=1, descending=True)
        before = probabilities.cumsum(dim=1) - probabilities
        probabilities = probabilities * (before < top_p)
    cumulative = probabilities.cumsum(dim=1)
    # Scaled by the last sum, which rounding keeps from being 1, and kept below it: the last token with no weight is
    # never drawn.
    total = cumulative[:, -1:]
    threshold = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    index = torch.searchsorted(cumulative, threshold, right=True)
    return index if order is None else order.gather(1, index)

"""StepDecoder: mBART's decoder one step at a time, over a key-value cache of fixed shape."""

from __future__ import annotations

import logging
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from soke.generator.products import linear

log = logging.getLogger(__name__)

_WHOLE = 64  # compiled code attends to whole multiples of so many steps


class StepDecoder:
    """Decodes G rows for each of B samples; rows of a sample share its source, of which one copy is kept.

    The weights are those of `decoder` (a transformers MBartDecoder), read at every step: nothing has to be prepared
    when they change. Dropout is not applied.

    states:  [B, L, D] of the encoder
    mask:    [B, L], 1 on real tokens
    group:   G
    steps:   most steps that will be taken
    compile: run each step through torch.compile, with CUDA graphs on GPUs, see `compiles`
    """

    def __init__(
        self, decoder: nn.Module, states: Tensor, mask: Tensor, group: int, steps: int, compile: bool = False
    ):
        self.decoder, self.group, self.compile = decoder, group, compile
        batch, heads = len(states), decoder.config.decoder_attention_heads
        self.heads, self.size = heads, decoder.config.d_model // heads
        if compile:  # few shapes, whatever the texts and the limits are
            padding = -states.shape[1] % _WHOLE
            states, mask = pad(states, (0, 0, 0, padding)), pad(mask, (0, padding))
        self.mask = None if bool(mask.all()) and not compile else mask.bool()[:, None, None]  # [B, 1, 1, L]
        self.source = [  # per layer keys and values [B, H, L, D / H]
            tuple(self._split(project(states)) for project in (layer.encoder_attn.k_proj, layer.encoder_attn.v_proj))
            for layer in decoder.layers
        ]
        room = -(-steps // _WHOLE) * _WHOLE if compile else steps
        shape = (batch * group, heads, room, self.size)
        self.past = [tuple(states.new_zeros(shape) for _ in range(2)) for _ in decoder.layers]
        self.taken = 0
        self._settle()

    def step(self, inputs: Tensor) -> Tensor:
        """Embedded input [B * G, D] of the next step -> hidden state [B * G, D]."""
        place = torch.full((1,), self.taken, device=inputs.device)  # unlike torch.tensor, waits for no copy
        if self.compile:
            seen = (torch.arange(self.past[0][0].shape[2], device=inputs.device) <= place)[None, None, None]
            hidden = _compiled()(
                self.decoder, inputs, place, self.past, self.source, self.group, seen, self.mask
            ).clone()  # CUDA graphs write their next output to the same place
        else:
            past = [tuple(cache[:, :, : self.taken + 1] for cache in pair) for pair in self.past]
            hidden = _step(self.decoder, inputs, place, past, self.source, self.group, None, self.mask)
        self.taken += 1
        return hidden

    def select(self, samples: Tensor) -> None:
        """Keeps these samples [B'] and forgets the others."""
        self.source = [tuple(t[samples] for t in pair) for pair in self.source]
        self.mask = None if self.mask is None else self.mask[samples]
        self.past = [tuple(rows_of(t, samples, self.group) for t in pair) for pair in self.past]
        self._settle()

    def reorder(self, parents: Tensor) -> None:
        """Row i goes on from what row parents[i] has seen; parents [B * G] stay within their samples."""
        for pair in self.past:
            for cache in pair:
                cache[:, :, : self.taken] = cache[parents, :, : self.taken]

    def _settle(self) -> None:
        """Tells the compiler that the caches stay where they are, without which it could not record CUDA graphs."""
        if self.compile:
            for cache in (cache for pair in self.past for cache in pair):
                torch._dynamo.mark_static_address(cache)

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, self.size)).transpose(1, 2).contiguous()


@torch.no_grad()
def compiles(decoder: nn.Module) -> bool:
    """Whether steps of this decoder can be compiled here, which one step tries; the log says what is used."""
    scale = decoder.layernorm_embedding.weight  # [D]
    states, mask = scale.new_zeros(1, 1, len(scale)), torch.ones(1, 1, dtype=torch.long, device=scale.device)
    try:
        StepDecoder(decoder, states, mask, group=1, steps=1, compile=True).step(states[:, 0])
    except Exception as error:  # a compiler may lack anything and stumble over anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("compilation failed, decoder steps run without it: %s", reason)
        return False
    log.info("decoder steps are compiled")
    return True


def rows_of(rows: Tensor, samples: Tensor, group: int) -> Tensor:
    """[B * group, ...] -> [B' * group, ...], the rows of these samples [B']."""
    return rows.unflatten(0, (-1, group))[samples].flatten(0, 1)


def _step(
    decoder: nn.Module, inputs: Tensor, place: Tensor, past: list, source: list, group: int, seen: Tensor | None,
    mask: Tensor | None,
) -> Tensor:
    """One step of all layers; writes its keys and values at `place` [1] of `past`.

    seen: [1, 1, 1, length] bool, the past steps that exist; None: all of them do
    """
    positions = decoder.embed_positions
    hidden = inputs + positions.weight[place + positions.offset]
    hidden = decoder.layernorm_embedding(hidden)
    for layer, (past_keys, past_values), (keys, values) in zip(decoder.layers, past, source):
        attention = layer.self_attn
        normed = layer.self_attn_layer_norm(hidden)
        heads = past_keys.shape[1]
        query, key, value = (
            linear(project, normed).unflatten(-1, (heads, 1, -1)) for project in (
                attention.q_proj, attention.k_proj, attention.v_proj
            )
        )  # [N, H, 1, D / H]
        past_keys.index_copy_(2, place, key)
        past_values.index_copy_(2, place, value)
        attended = scaled_dot_product_attention(query, past_keys, past_values, seen)
        hidden = hidden + linear(attention.out_proj, attended.flatten(1))

        attention = layer.encoder_attn
        query = linear(attention.q_proj, layer.encoder_attn_layer_norm(hidden))
        query = query.unflatten(0, (-1, group)).unflatten(-1, (heads, -1)).transpose(1, 2)  # [B, H, G, D / H]
        attended = scaled_dot_product_attention(query, keys, values, mask)
        hidden = hidden + linear(attention.out_proj, attended.transpose(1, 2).flatten(2).flatten(0, 1))

        inner = layer.activation_fn(linear(layer.fc1, layer.final_layer_norm(hidden)))
        hidden = hidden + linear(layer.fc2, inner)
    return decoder.layer_norm(hidden)


@lru_cache(maxsize=1)
def _compiled():
    torch._dynamo.config.recompile_limit = 64  # batch sizes are powers of two, lengths multiples of _WHOLE
    return torch.compile(_step, mode="reduce-overhead" if torch.cuda.is_available() else None, dynamic=False)

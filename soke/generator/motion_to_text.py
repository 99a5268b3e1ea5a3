"""Sign to text: mBART's decoder writes sentences with transformers' own search, over the weights that are there."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TextOutput:
    """Teacher-forced result of a batch.

    loss:     [] cross-entropy per token of the texts and their ends, in nats
    accuracy: [] share of them at which the likeliest token is the right one
    count:    how many they are
    """

    loss: Tensor
    accuracy: Tensor
    count: int


def text_logits(hidden: Tensor, table: Tensor, tokenizer) -> Tensor:
    """Hidden states [..., D] -> logits [..., V] in float32 of the text tokenizer's V own tokens, by the embedding table
    [vocabulary, D], as in mBART; what follows them in the table is never written."""
    return nn.functional.linear(hidden, table[: len(tokenizer)]).float()


@torch.no_grad()
def written_texts(
    mbart: nn.Module, tokenizer, states: Tensor, mask: Tensor, starts: Sequence[int], beams: int, length_penalty: float,
    max_tokens: int,
) -> list[str]:
    """The sentence that mBART's decoder writes for each sample: the greedy one, or the best of a beam search.

    mbart:     a transformers MBartModel, in evaluation mode
    tokenizer: its text tokenizer, of whose tokens those that stand for no text are never written, but for the end
    states:    [B, L, D] of the encoder
    mask:      [B, L], 1 on real states
    starts:    B first tokens, the locales
    beams, length_penalty, max_tokens: see `SignGenerator.translate`
    """
    from transformers import GenerationConfig
    from transformers.modeling_outputs import BaseModelOutput

    search = GenerationConfig(
        decoder_start_token_id=list(starts), eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=sorted(set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}), num_beams=beams,
        length_penalty=length_penalty, max_new_tokens=min(max_tokens, mbart.config.max_position_embeddings),
    )
    model = _with_text_head(mbart, len(tokenizer))
    model.generation_config = search  # else what it lacks would come from the model's own
    ids = model.generate(encoder_outputs=BaseModelOutput(states), attention_mask=mask, generation_config=search)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def _with_text_head(mbart: nn.Module, size: int) -> nn.Module:
    """A transformers MBartForConditionalGeneration around `mbart`, which writes the first `size` of its entries.

    It takes no memory: its weights are those of `mbart`.
    """
    from transformers import MBartForConditionalGeneration

    config = deepcopy(mbart.config)
    config.vocab_size = size
    with torch.device("meta"):
        model = MBartForConditionalGeneration(config)
    table = mbart.shared.weight[:size].detach()
    model.model, model.lm_head.weight = mbart, nn.Parameter(table, requires_grad=False)
    model.final_logits_bias = table.new_zeros(1, size)
    return model

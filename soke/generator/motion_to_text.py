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


class TextHead(nn.Module):
    """From the decoder's hidden state to scores of the text tokenizer's V own tokens; no others are ever written.

    A tied one scores with the rows of the embedding table, as in mBART; a linear layer of its own (M3T, appendix D.2)
    starts as they are [A].

    table: [V, D], those rows
    own:   whether it has its own layer
    """

    def __init__(self, table: Tensor, own: bool):
        super().__init__()
        self.size = len(table)
        if own:
            self.weight = nn.Parameter(table.detach().clone())
            self.bias = nn.Parameter(table.new_zeros(self.size))
        else:
            self.weight = self.bias = None

    def matrix(self, table: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights [V, D] and bias. table: the embedding table [vocabulary, D]."""
        return (table[: self.size], None) if self.weight is None else (self.weight, self.bias)

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Hidden states [..., D] -> logits [..., V] in float32."""
        return nn.functional.linear(hidden, *self.matrix(table)).float()


@torch.no_grad()
def written_texts(
    mbart: nn.Module, head: tuple[Tensor, Tensor | None], tokenizer, states: Tensor, mask: Tensor,
    starts: Sequence[int], beams: int, length_penalty: float, max_tokens: int,
) -> list[str]:
    """The sentence that mBART's decoder writes for each sample: the greedy one, or the best of a beam search.

    mbart:     a transformers MBartModel, in evaluation mode
    head:      what `TextHead.matrix` gave
    tokenizer: its text tokenizer, of whose tokens those that stand for no text are never written, but for the end
    states:    [B, L, D] of the encoder
    mask:      [B, L], 1 on real states
    starts:    B first tokens, the locales
    beams, length_penalty, max_tokens: see `SignGenerator.translate`

    Raises ValueError for a search without hypotheses or tokens.
    """
    if beams < 1 or max_tokens < 1:
        raise ValueError(f"`beams` and `max_tokens` must be at least 1, not {beams} and {max_tokens}")
    from transformers import GenerationConfig
    from transformers.modeling_outputs import BaseModelOutput

    search = GenerationConfig(
        decoder_start_token_id=list(starts), eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=sorted(set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}), num_beams=beams,
        length_penalty=length_penalty, max_new_tokens=min(max_tokens, mbart.config.max_position_embeddings),
    )
    model = _with_text_head(mbart, *head)
    model.generation_config = search  # else what it lacks would come from the model's own
    ids = model.generate(encoder_outputs=BaseModelOutput(states), attention_mask=mask, generation_config=search)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def _with_text_head(mbart: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A transformers MBartForConditionalGeneration around `mbart` with a head of weights [V, D] and bias [V].

    It takes no memory: all weights are those that there are.
    """
    from transformers import MBartForConditionalGeneration

    config = deepcopy(mbart.config)
    config.vocab_size = len(weight)
    with torch.device("meta"):
        model = MBartForConditionalGeneration(config)
    model.model, model.lm_head.weight = mbart, nn.Parameter(weight.detach(), requires_grad=False)
    model.final_logits_bias = weight.new_zeros(1, len(weight)) if bias is None else bias.detach()[None]
    return model

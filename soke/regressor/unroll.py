"""Inference: frame after frame, each sentence of a batch until its own end."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soke.regressor.transformer import Past, ProgressiveTransformer
from soke.transformer import Memory

# [A] A counter that is learnt comes close to 1, and hesitates there, for it never learns of more.
NEARLY, CLOSE, LEAST = 0.98, 0.75, 0.5


@dataclass(frozen=True)
class Guide:
    """What oracle timing takes from the references of B sentences.

    first:   [B, F] their first frames, normalised
    lengths: [B] frames, each at least one
    """

    first: Tensor
    lengths: Tensor


@dataclass
class _Going:
    """The sentences of a batch that are computed.

    rows: [N] their numbers
    """

    rows: Tensor
    frame: Tensor
    memory: Memory
    past: Past | None = None

    def only(self, keep: Tensor) -> _Going:
        past = None if self.past is None else [(keys[keep], values[keep]) for keys, values in self.past]
        return _Going(self.rows[keep], self.frame[keep], self.memory.rows(keep), past)


@torch.no_grad()
def unroll(
    network: ProgressiveTransformer, memory: Memory, start: Tensor, max_frames: int, guide: Guide | None = None
) -> tuple[list[Tensor], list[bool]]:
    """The frames of each sentence, [T_i, F] normalised, and whether its own counter has ended it.

    A sentence ends with the frame whose counter is nearest to 1, as far as the counters so far tell: one frame of T
    counts 1 / T; and with the first at `NEARLY`. From `CLOSE` on, a counter goes on at `LEAST` of its speed so far at
    least. With a guide, it has its reference's first frame, counter and number of frames.

    start:      [F] what is read before the first frame
    max_frames: where a sentence that has not ended by itself is cut
    """
    batch, features = len(memory.mask), len(start)
    before = torch.cat([start, start.new_zeros(1)]).expand(batch, 1, -1)
    going = _Going(torch.arange(batch, device=start.device), before, memory)
    written, lengths = [], torch.zeros(batch, dtype=torch.int64, device=start.device)
    for step in range(max_frames if guide is None else int(guide.lengths.max())):
        output, going.past = network.decode(going.frame, going.memory, going.past)
        frame, counter = output[:, 0, :features], output[:, 0, -1]
        if guide is None:
            counter = _steady(counter.clamp(0, 1), going.frame[:, 0, -1], step)
            ends = (counter * (step + 1.5) >= step + 1) | (counter >= NEARLY)
        else:
            lasts = guide.lengths[going.rows]
            counter, ends = ((step + 1) / lasts).to(frame).clamp_max(1), lasts <= step + 1
            frame = guide.first[going.rows] if step == 0 else frame
        written.append(frame.new_zeros(batch, features).index_copy(0, going.rows, frame))
        lengths[going.rows[ends & (lengths[going.rows] == 0)]] = step + 1
        going.frame = torch.cat([frame, counter[:, None]], dim=1)[:, None]
        left = lengths[going.rows] == 0
        if not left.any():
            break
        if 2 * left.sum() <= len(left):  # those that have ended are carried along until they are half of all
            going = going.only(left)
    ended = lengths > 0
    frames = torch.stack(written, dim=1)
    cut = torch.where(ended, lengths, frames.shape[1]).tolist()
    return [row[:length] for row, length in zip(frames, cut)], ended.tolist()


def _steady(counter: Tensor, before: Tensor, step: int) -> Tensor:
    """The counters [N] of frame `step`, of which those that are close to the end do not stop, nor turn back.

    before: [N] of the frame before
    """
    least = before * (1 + LEAST / max(step, 1))
    return torch.where(before >= CLOSE, counter.maximum(least).clamp_max(1), counter)

"""Validation by generation, as every stage that signs has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Sequence

from soke.build.body import scored_body
from soke.build.data import val_motions
from soke.run.config import Config

if TYPE_CHECKING:
    from soke.data.datamodule import SignDataModule
    from soke.data.dataset import MotionSample
    from soke.evaluation.protocols import Producer
    from soke.evaluation.validation import GenerationScore


def generation_score(
    config: Config, data: SignDataModule, producer: Callable[[Sequence[MotionSample]], Producer]
) -> GenerationScore | None:
    """Of a fixed part of the validation split; None where EVAL.GENERATE_EVERY is 0. Clips that cannot be read are listed.

    producer: makes of the clips that are to be signed what signs them
    """
    if not config.eval.generate_every:
        return None
    from soke.evaluation.validation import GenerationScore, spread_samples

    samples, skipped = spread_samples(val_motions(config, data), config.eval.generate_clips)
    data.record(skipped)
    return GenerationScore(producer(samples), scored_body(config, "cpu"), samples, config.metric.dtw)

"""What a training step that learns by reward costs against one that learns to sign, and what batching saves of it.

    python tests/benchmarks/bench_policy.py            prints the numbers
    python tests/benchmarks/bench_policy.py --check    and exits with 1 when one misses its bound

A generator of the demo's size with random weights, 8 sentences, 8 samples of each, rewarded by minus DTW-JPE. The naive
rollout draws, decodes, tracks and scores one sample after the other, each with its reference. Sentences and samples
have at most 20 token steps. What counts is the processor's time, which other programs do not lengthen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from bench_generate import CODEBOOKS, make_generator, texts  # noqa: E402

from soke.body.model import load_body_model  # noqa: E402
from soke.data.clip import Clip  # noqa: E402
from soke.generator.policy import likelihood  # noqa: E402
from soke.generator.policy.learner import PolicyLearner  # noqa: E402
from soke.generator.policy.rewards import Attempts, rewards_of  # noqa: E402
from soke.generator.producer import SignProducer  # noqa: E402
from soke.tokenizer.codes import Codes  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402
from tests.evaluation.helpers import Corpus  # noqa: E402
from tests.generator.policy.helpers import make_learner  # noqa: E402
from tests.tokenizer.helpers import small_tokenizer  # noqa: E402

SENTENCES, SAMPLES, STEPS = 8, 8, 20
MOST_FRESH, MOST_REUSED, LEAST_BATCHED = 25.0, 8.0, 3.0  # times a step of production; times the naive rollout


class Sentences(Corpus):
    """Of the benchmark generator's words."""

    def clips(self, split: str) -> list[Clip]:
        own = zip(super().clips(split), texts(self.size))
        return [Clip(c.name, c.corpus, split, c.language, text, c.frames, c.fps) for c, text in own]


def results() -> Iterator[tuple[str, str, bool]]:
    tokenizer = small_tokenizer(num_codes=CODEBOOKS, width=128, code_dim=64)
    producer = SignProducer(make_generator("multi_head", "cpu", small=True, tokenizer=tokenizer.hash), tokenizer)
    generator = producer.generator
    generator.spec = replace(generator.spec, settings=replace(generator.spec.settings, max_steps=STEPS))
    body = load_body_model(ROOT / "deps" / "smpl_models", flat_hand_mean=True)
    corpus = Sentences(SENTENCES)
    learner = make_learner(body, producer, corpus, samples=SAMPLES, updates=2)
    clips = corpus.clips("train")
    learner._rollout(clips)  # references are tracked once, and compiled code is there
    naive(learner, clips[:1])
    signing = seconds(lambda: production(producer, clips))
    fresh, reused = seconds(lambda: step(learner, clips, True)), seconds(lambda: step(learner, clips, False))
    batched, slow = seconds(lambda: learner._rollout(clips)), seconds(lambda: naive(learner, clips))
    ratio = fresh / signing
    yield f"a step with new samples: {ratio:.1f} times one of production", f"at most {MOST_FRESH:g}", ratio <= MOST_FRESH
    ratio = reused / signing
    yield f"a step with the same samples: {ratio:.1f} times", f"at most {MOST_REUSED:g}", ratio <= MOST_REUSED
    ratio = slow / batched
    yield f"rollout: {ratio:.1f} times faster than one by one", f"at least {LEAST_BATCHED:g}", ratio >= LEAST_BATCHED


def seconds(run: Callable[[], object], rounds: int = 3) -> float:
    """The fastest of some rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        run()
        found.append(time.process_time() - begun)
    return min(found)


def production(producer: SignProducer, clips: list[Clip]) -> None:
    codes = Codes.of([torch.randint(0, min(CODEBOOKS.values()), (STEPS, len(CODEBOOKS))) for _ in clips])
    generator = producer.generator
    generator([clip.text for clip in clips], [clip.language for clip in clips], codes, clips=clips).loss.backward()


def step(learner: PolicyLearner, clips: list[Clip], fresh: bool) -> None:
    if fresh:
        learner.forget()
    else:
        learner._uses = 1
    learner.loss(clips)[0].backward()


@torch.no_grad()
def naive(learner: PolicyLearner, clips: list[Clip]) -> None:
    producer, models = learner.producer, (learner.producer.generator, learner.start)
    for clip in clips:
        for seed in range(SAMPLES):
            samples = likelihood.drawn(producer.generator, [clip], learner.settings.search(seed))
            for model in models:
                learner._log_probabilities(model, samples)
            learner.references._found.clear()
            codes = producer.generator.scheme.revert(samples.output[0])
            attempts = Attempts([codes], [learner.references.of(clip)], producer, learner.points, {})
            rewards_of(attempts, learner.settings.weights)


if __name__ == "__main__":
    sys.exit(checked(results, __doc__))

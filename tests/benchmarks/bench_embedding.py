"""What scoring by embeddings costs for a test of 500 clips, in batches and clip by clip.

    python tests/benchmarks/bench_embedding.py            prints the numbers
    python tests/benchmarks/bench_embedding.py --check    and exits with 1 when one misses its bound

Models of the demo's size with random weights. Retrieval: 500 motions of 40 to 130 frames and their sentences are embedded,
and ranked in both directions, among all and in pools; the naive version embeds one after the other, and ranks by sorting in
a loop. Fréchet: the chunks of 500 motions are encoded at once and their moments summed, against one chunk after the other. On
one core; what counts is the processor's time, which other programs do not lengthen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from soke.body.joints import SKELETON_50  # noqa: E402
from soke.body.motion import JointMotion  # noqa: E402
from soke.data.clip import Clip  # noqa: E402
from soke.data.statistics import compute_statistics  # noqa: E402
from soke.embedding.autoencoder import MotionAutoencoder, Seen  # noqa: E402
from soke.embedding.retriever import TextMotionRetriever  # noqa: E402
from soke.metrics.chunks import chunks_of, joints_of  # noqa: E402
from soke.metrics.frechet import Moments  # noqa: E402
from soke.metrics.joint_sets import track_of  # noqa: E402
from soke.metrics.retrieval_scores import DIRECTIONS, RetrievalScores, pools_of  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402
from tests.embedding.helpers import BODY, POSITIONS, WORDS  # noqa: E402

CLIPS, POOL = 500, 32
LEAST_EMBEDDED, LEAST_RANKED, LEAST_ENCODED = 1.3, 2.5, 2.0  # times the naive version


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def naive_ranks(texts: np.ndarray, motions: np.ndarray, sentences: list[str], names: list[str]) -> list[int]:
    """Of all clips, then of the pools, in both directions."""
    found = []
    everything = np.arange(len(names))
    for queries, candidates in ((texts, motions), (motions, texts)):
        for groups in ([(everything, everything)], pools_of(names, POOL)):
            for asked, among in groups:
                for i in asked:
                    near = sorted(among, key=lambda j: (-float(queries[i] @ candidates[j]), sentences[i] == sentences[j]))
                    found.append(1 + next(place for place, j in enumerate(near) if sentences[j] == sentences[i]))
    return found


def results() -> Iterator[tuple[str, str, bool]]:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    motions = [
        JointMotion(torch.randn(int(n), 50, 3).cumsum(0) * 0.1, SKELETON_50, 25.0) for n in random.integers(40, 130, CLIPS)
    ]
    sentences = [" ".join(random.choice(WORDS, 5)) for _ in range(CLIPS)]
    clips = [Clip(f"c{i}", "skels", "test", "ASL", text, Path("nowhere"), 25.0) for i, text in enumerate(sentences)]
    config = load_config("configs/demo/retrieval.yaml")
    statistics = compute_statistics([POSITIONS.features(motion) for motion in motions[:20]], POSITIONS)
    retriever = TextMotionRetriever.untrained(clips, POSITIONS, statistics, config.retrieval, "word", 25.0)
    retriever.embed_motions(motions[:2])

    together, of_motions = timed(lambda: retriever.embed_motions(motions))
    alone, one_by_one = timed(lambda: torch.cat([retriever.embed_motions([motion]) for motion in motions]))
    assert torch.allclose(of_motions, one_by_one, atol=1e-4)
    ratio = alone / together
    yield f"{CLIPS} motions embedded in {together:.1f} s, {ratio:.1f} times as fast as one by one", \
        f"at least {LEAST_EMBEDDED}", ratio >= LEAST_EMBEDDED

    texts, names = retriever.embed_texts(sentences).numpy(), [clip.name for clip in clips]
    scores = RetrievalScores(names, retriever.hash, POOL)
    ranked, _ = timed(lambda: scores.update(of_motions.numpy(), texts, of_motions.numpy(), sentences, range(CLIPS)))
    slow, naive = timed(lambda: naive_ranks(texts.astype(np.float64), of_motions.numpy().astype(np.float64), sentences, names))
    recall = {score.signature.part: score.values for score in scores.scores() if score.signature.name == "R@1"}
    expected = 100 * np.mean(np.array(naive[:CLIPS]) == 1)
    assert abs(recall[DIRECTIONS[0]]["percent"] - expected) < 1e-9
    yield f"ranks of {CLIPS} clips in {ranked:.2f} s, {slow / ranked:.1f} times as fast as by sorting in a loop", \
        f"at least {LEAST_RANKED}", slow / ranked >= LEAST_RANKED

    seen = Seen.of(BODY, POSITIONS)
    facts = {"corpora": ["skels"], "form_of_frames": "soke"}
    blank = torch.ones(3 * seen.count)
    autoencoder = MotionAutoencoder.untrained(seen, 0 * blank, blank, config.motion_autoencoder, facts)
    chunks = torch.cat([chunks_of(joints_of(track_of(BODY, m), BODY.point_sets, 25.0), 30) for m in motions])
    autoencoder.encode(chunks[:2])
    together, latents = timed(lambda: Moments.of(autoencoder.encode(chunks)))
    alone, parts = timed(lambda: sum((Moments.of(autoencoder.encode(c[None])) for c in chunks), Moments.of(np.zeros((0, 32)))))
    assert np.allclose(latents.covariance, parts.covariance, rtol=1e-3, atol=1e-6)
    yield f"{len(chunks)} chunks encoded in {together:.2f} s, {alone / together:.1f} times as fast as one by one", \
        f"at least {LEAST_ENCODED}", alone / together >= LEAST_ENCODED


if __name__ == "__main__":
    sys.exit(checked(results, __doc__))

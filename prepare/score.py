"""`python -m soke.evaluation.score`, which needs no model, with one: `--tokenizer DIR` adds SiBLEU.

    python -m prepare.score --pred DIR --ref DIR --tokenizer experiments/tokenizer/deto/tokenizer

Predictions and references in parameters are encoded by the tokenizer, each at its own frame rate; joints have no codes.
"""
from __future__ import annotations

from collections.abc import Sequence

from soke.evaluation import score
from soke.run import cli
from soke.tokenizer.tokenizer import SignTokenizer


def main(argv: Sequence[str] | None = None) -> None:
    score.main(argv, SignTokenizer.from_pretrained)


if __name__ == "__main__":
    cli.run(main)

"""The earlier name of `python -m soke.evaluation.score`, kept for one release."""

import runpy
import sys

if __name__ == "__main__":
    print("soke.metrics.score is now soke.evaluation.score", file=sys.stderr)
    runpy.run_module("soke.evaluation.score", run_name="__main__")

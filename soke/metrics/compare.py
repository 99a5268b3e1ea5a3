"""The earlier name of `python -m soke.report.compare`, kept for one release."""

import runpy
import sys

if __name__ == "__main__":
    print("soke.metrics.compare is now soke.report.compare", file=sys.stderr)
    runpy.run_module("soke.report.compare", run_name="__main__")

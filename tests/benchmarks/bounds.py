"""What benchmarks have in common that state numbers beside their bounds."""
from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import torch


def checked(results: Callable[[], Iterable[tuple[str, str, bool]]], description: str) -> int:
    """Prints results, lines with a number, its bound and whether it is reached; the exit code, which is 1 for a bound that
    is missed and --check on the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a number misses its bound")
    check = parser.parse_args().check
    torch.manual_seed(0)
    missed = 0
    for line, bound, reached in results():
        print(f"{line} ({bound}{'' if reached else ', NOT REACHED'})", flush=True)
        missed += not reached
    return int(check and missed > 0)

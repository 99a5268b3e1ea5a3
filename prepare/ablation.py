"""Train, test and time every row of an ablation for several seeds, and print the table with the spread over seeds.

    python -m prepare.ablation --cfg configs/ablation/decoding.yaml

The tokenizer, the codes and mBART must be there (prepare/demo.sh makes those of the demo). Run again, it goes on with
what is missing. *Rare* sentences hold a word of the lexicon that at most two training sentences hold.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Sequence

import numpy as np
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from prepare.keywords import keywords
from soke.build.data import corpora_of, lexicon_of
from soke.build.stages import stage_of
from soke.data.synthetic.language import RARE_AT_MOST
from soke.errors import UserError
from soke.run import cli, folders
from soke.run.config import ROOT, Config, load_config, resolve
from soke.storage import new_file, read_text

_SCORES = ("DTW-JPE", "DTW-PA-JPE")


def read_plan(file: str) -> tuple[str, list[int], dict[str, list[str]]]:
    """BASE, SEEDS and ROWS (name -> overrides). Raises UserError for anything else in the file."""
    path = Path(file) if Path(file).is_file() else resolve(file)
    if not path.is_file():
        raise UserError(f"no ablation file {file}")
    plan = OmegaConf.to_container(OmegaConf.create(read_text(path)))
    if not isinstance(plan, dict) or set(plan) != {"BASE", "SEEDS", "ROWS"}:
        raise UserError(f"{file} must hold BASE, SEEDS and ROWS, as configs/ablation/decoding.yaml does")
    return plan["BASE"], plan["SEEDS"], plan["ROWS"]


def row_config(plan: str, base: str, row: str, seed: int, overrides: Sequence[str]) -> tuple[Config, list[str]]:
    """The configuration of one run, and the command line that gives it."""
    name = re.sub(r"\W+", "-", f"ablation {plan} {row} {seed}")
    argv = ["--cfg", base, "--nodebug", f"NAME={name}", f"SEED={seed}", "TRAIN.RESUME=auto", *overrides]
    return load_config(base, overrides=argv[3:]), argv


def rare_clips(config: Config) -> set[tuple[str, str]]:
    """(corpus, clip) of the test sentences with a word that is rare in training."""
    corpora = corpora_of(config)
    lexicon = lexicon_of(config, known=[corpus.language for corpus in corpora])
    if lexicon is None:
        return set()
    rare = set()
    for corpus in corpora:
        found = keywords([corpus], lexicon, "token")
        counts = Counter(word for words in found["train"].values() for word in set(words))
        for clip, words in found[config.test.split].items():
            if any(counts[word] <= RARE_AT_MOST for word in words):
                rare.add((corpus.name, clip))
    return rare


def scores(folder: Path, rare: set[tuple[str, str]]) -> dict[str, float]:
    """Means over the corpora's means of the generated clips: all, and rare ones alone, in metres; and s/video."""
    with (folder / "clips.csv").open(encoding="utf-8") as stream:
        clips = [row for row in csv.DictReader(stream) if row["row"] == "generated"]
    result = {}
    for name in _SCORES:
        for label, chosen in (("", clips), (" rare", [c for c in clips if (c["corpus"], c["clip"]) in rare])):
            if not chosen:
                continue
            corpora = sorted({c["corpus"] for c in chosen})
            for part in ("body", "hand", "avg"):
                column = f"{name} {part} m"
                means = [np.mean([float(c[column]) for c in chosen if c["corpus"] == corpus]) for corpus in corpora]
                result[f"{name} {part}{label}"] = np.mean(means)
    timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))["timings"]
    result["s/video"] = timing[0]["mean"]
    return result


def results_table(title: str, results: dict[str, list[dict[str, float]]]) -> Table:
    """One line per row, `mean ± standard deviation` over its seeds. results: row -> one dict of scores per seed."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    shown = [f"{name} {kind}" for name in _SCORES for kind in ("body", "hand", "avg", "avg rare")] + ["s/video"]
    columns = [column for column in shown if all(column in scores for runs in results.values() for scores in runs)]
    for column in columns:
        table.add_column(column.replace(" ", "\n", 1), justify="right")
    for row, seeds in results.items():
        cells = []
        for column in columns:
            values = [scores[column] for scores in seeds]
            spread = f" ±{np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        table.add_row(row, *cells)
    return table


def _run(program: str, argv: Sequence[str]) -> None:
    """In a process of its own, which may start one per GPU. Raises UserError when it fails."""
    if subprocess.run([sys.executable, "-m", program, *argv], cwd=ROOT).returncode:
        raise UserError(f"`python -m {program} {shlex.join(argv)}` failed; mend that and run this again")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="ablation file, for instance configs/ablation/decoding.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of every row")
    options = parser.parse_intermixed_args(arguments)
    base, seeds, rows = read_plan(options.cfg)
    plan = Path(options.cfg).stem
    jobs = [
        (row, *row_config(plan, base, row, seed, [*changes, *options.overrides]))
        for seed in seeds for row, changes in rows.items()
    ]
    rare = rare_clips(jobs[0][1])
    results: dict[str, list[dict[str, float]]] = {row: [] for row in rows}
    for row, config, argv in jobs:
        if not folders.export_folder(config).is_dir():
            _run("train", argv)
        folder = folders.results_folder(config, None, stage_of(config).model_keys)
        if not (folder / "timing.json").is_file():
            _run("test", [*argv, "--count_time"])
        results[row].append(scores(folder, rare))
    title = f"{plan}, {len(seeds)} seeds, metres; rare: {len(rare)} sentences"
    console = Console(width=170)
    console.print(results_table(title, results))
    target = resolve(jobs[0][1].results) / f"ablation-{plan}"
    with new_file(target / "table.json") as path:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    with new_file(target / "table.txt") as path, path.open("w", encoding="utf-8") as stream:
        Console(file=stream, width=170).print(results_table(title, results))
    print(f"saved in {target}")


if __name__ == "__main__":
    cli.run(main)

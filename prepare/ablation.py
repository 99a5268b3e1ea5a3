"""Train and test every row of an ablation for several seeds, and print the table with the spread over seeds.

    python -m prepare.ablation --cfg configs/ablation/decoding.yaml

What the rows start from must be there: a generator's tokenizer, codes and mBART (prepare/demo.sh makes those of the
demo), a tokenizer's corpora. Run again, it goes on with what is missing.

The file holds BASE, a configuration; SEEDS; ROWS, name -> overrides (`BASE=FILE` among them is another configuration
for this row); and may hold STARTS, name -> overrides of models that rows begin from, which are trained before and not
shown (`TRAIN.INIT=<name>` in a row is the folder of that model, of the same seed); SYSTEM, the row of the result tables
that is compared (generated), and SCORES, the columns: metric, part and, where it is not the first, unit, as in
table.csv (`DTW-JPE hand`, `codebook-use face codes`), each of all corpora together where the table has it so, else the
mean over the corpora. With ` rare` behind it, a score is that of the sentences with a word of the lexicon that at most
two training sentences hold; `s/video` has the rows timed.
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
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Mapping, Sequence

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
from soke.evaluation.references import ALL_CORPORA
from soke.report.results import read_results
from soke.report.tables import Cell
from soke.run import cli, folders
from soke.run.config import ROOT, Config, load_config, resolve
from soke.storage import new_file, read_text

_TIME, _RARE, _BASE = "s/video", " rare", "BASE="
_OPTIONAL, _START = {"SYSTEM", "SCORES", "STARTS"}, re.compile("=<(.+)>$")
_OF_GENERATORS = (
    *(f"{m} {part}" for m in ("DTW-JPE", "DTW-PA-JPE") for part in ("body", "hand", "avg", f"avg{_RARE}")), _TIME,
)


@dataclass(frozen=True)
class Plan:
    """name: of its file; base: configuration; seeds; rows: name -> overrides; system: row of the result tables; scores:
    columns; starts: name -> overrides of models that rows begin from"""

    name: str
    base: str
    seeds: list[int]
    rows: dict[str, list[str]]
    system: str = "generated"
    scores: Sequence[str] = _OF_GENERATORS
    starts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        return _TIME in self.scores

    @property
    def rare(self) -> bool:
        return any(score.endswith(_RARE) for score in self.scores)


def read_plan(file: str) -> Plan:
    """Raises UserError for anything else in the file."""
    path = Path(file) if Path(file).is_file() else resolve(file)
    if not path.is_file():
        raise UserError(f"no ablation file {file}")
    plan, needed = OmegaConf.to_container(OmegaConf.create(read_text(path))), {"BASE", "SEEDS", "ROWS"}
    if not isinstance(plan, dict) or not needed <= set(plan) <= needed | _OPTIONAL:
        raise UserError(
            f"{file} must hold BASE, SEEDS and ROWS, as configs/ablation/decoding.yaml does, and at most "
            f"{', '.join(sorted(_OPTIONAL))} besides"
        )
    for row, overrides in plan["ROWS"].items():
        if row in plan.get("STARTS", {}):
            raise UserError(f"{file}: {row} is one of STARTS and one of ROWS; give it another name in one of them")
        unknown = [name for item in overrides for name in _START.findall(item) if name not in plan.get("STARTS", {})]
        if unknown:
            raise UserError(f"{file}: the row {row} begins from <{unknown[0]}>, which is none of STARTS")
    return Plan(path.stem, **{key.lower(): value for key, value in plan.items()})


def row_config(plan: Plan, row: str, seed: int, overrides: Sequence[str] = ()) -> tuple[Config, list[str]]:
    """The configuration of one run, of a row or of what rows begin from, and the command line that gives it. overrides:
    of every run"""
    name = re.sub(r"\W+", "-", f"ablation {plan.name} {row} {seed}")
    given = {**plan.starts, **plan.rows}[row]
    bases = [item.removeprefix(_BASE) for item in given if item.startswith(_BASE)]
    base = bases[-1] if bases else plan.base
    own = [
        _START.sub(lambda match: f"={folders.export_folder(row_config(plan, match[1], seed, overrides)[0])}", item)
        for item in given if not item.startswith(_BASE)
    ]
    own = [f"NAME={name}", f"SEED={seed}", "TRAIN.RESUME=auto", *own, *overrides]
    return load_config(base, overrides=own), ["--cfg", base, "--nodebug", *own]


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


def scores(folder: Path, plan: Plan, rare: set[tuple[str, str]]) -> dict[str, float]:
    """The plan's scores of one run; those of rare clips are left out where there are none. Raises UserError for a score
    that the test has not given."""
    given: dict[str, dict[str, float]] = {}  # score -> corpus -> value
    for cell in read_results(folder).cells:
        if cell.row == plan.system:
            for name, value in _named(cell).items():
                given.setdefault(name, {})[cell.corpus] = value
    found = {}
    for score in plan.scores:
        if score == _TIME:
            found[score] = json.loads((folder / "timing.json").read_text(encoding="utf-8"))["timings"][0]["mean"]
            continue
        name = score.removesuffix(_RARE)
        if name not in given:
            known = ", ".join(dict.fromkeys(given)) or "none at all"
            raise UserError(f"{folder} has no score {name} of the row {plan.system}; it has {known}")
        if name == score:
            of = given[name]
            found[score] = of.get(ALL_CORPORA, float(np.mean(list(of.values()))))
        elif rare:
            found[score] = _mean_of_clips(folder, plan.system, name, rare)
    return found


def _named(cell: Cell) -> dict[str, float]:
    """Name of each of its scores -> value; the first is also there without its unit."""
    values = {" ".join(filter(None, (*cell.metric, unit))): value for unit, value in cell.score.values.items()}
    return {" ".join(filter(None, cell.metric)): next(iter(values.values())), **values}


def _mean_of_clips(folder: Path, system: str, score: str, chosen: set[tuple[str, str]]) -> float:
    """Mean over the corpora of the means over their chosen clips, in the score's first unit."""
    with (folder / "clips.csv").open(encoding="utf-8") as stream:
        clips = [row for row in csv.DictReader(stream) if row["row"] == system]
    column = next((c for c in clips[0] if c == score or c.rpartition(" ")[0] == score), None) if clips else None
    if column is None:
        raise UserError(f"{folder / 'clips.csv'} has no column {score}: clips have no such score of their own")
    of_corpora: dict[str, list[float]] = {}
    for clip in clips:
        if (clip["corpus"], clip["clip"]) in chosen and clip[column]:
            of_corpora.setdefault(clip["corpus"], []).append(float(clip[column]))
    return float(np.mean([np.mean(values) for values in of_corpora.values()]))


def results_table(title: str, plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> Table:
    """One line per row, `mean ± standard deviation` over its seeds. results: row -> one dict of scores per seed."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    columns = [c for c in plan.scores if all(c in of_run for runs in results.values() for of_run in runs)]
    for column in columns:
        table.add_column(column.replace(" ", "\n", 1), justify="right")
    for row, seeds in results.items():
        cells = []
        for column in columns:
            values = [of_seed[column] for of_seed in seeds]
            spread = f" ±{np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        table.add_row(row, *cells)
    return table


def _train_once(config: Config, argv: Sequence[str]) -> None:
    if not folders.export_folder(config).is_dir():
        _run("train", argv)


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
    plan = read_plan(options.cfg)
    jobs = [(row, *row_config(plan, row, seed, options.overrides)) for seed in plan.seeds for row in plan.rows]
    rare = rare_clips(jobs[0][1]) if plan.rare else set()
    results: dict[str, list[dict[str, float]]] = {row: [] for row in plan.rows}
    for start, seed in product(plan.starts, plan.seeds):
        _train_once(*row_config(plan, start, seed, options.overrides))
    for row, config, argv in jobs:
        _train_once(config, argv)
        folder = folders.results_folder(config, None, stage_of(config).model_keys)
        if not (folder / ("timing.json" if plan.timed else "table.json")).is_file():
            _run("test", [*argv, *["--count_time"] * plan.timed])
        results[row].append(scores(folder, plan, rare))
    table = results_table(f"{plan.name}, {len(plan.seeds)} seeds{_of_rare(rare)}", plan, results)
    Console(width=170).print(table)
    target = resolve(jobs[0][1].results) / f"ablation-{plan.name}"
    with new_file(target / "table.json") as path:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    with new_file(target / "table.txt") as path, path.open("w", encoding="utf-8") as stream:
        Console(file=stream, width=170).print(table)
    print(f"saved in {target}")


def _of_rare(rare: set[tuple[str, str]]) -> str:
    return f"; rare: {len(rare)} sentences" if rare else ""


if __name__ == "__main__":
    cli.run(main)

"""Plans: systems that are trained and tested for several seeds, and compared (prepare.ablation, prepare.leaderboard).

The file holds BASE, a configuration; SEEDS; ROWS, name -> overrides; and may hold
NEEDS   file or folder -> the command that makes it (`train --cfg ...`, as after `python -m`) and that writes it last, in
        order: what all rows start from, made where it is missing
STARTS  name -> overrides of models that rows begin from, which are trained before and not shown (`TRAIN.INIT=<name>` in a
        row is the folder of that model, of the same seed)
OVERRIDES  of every run
SYSTEM  the row of the result tables that is compared (generated)
SCORES  the columns: metric, part and, where it is not the first, unit, as in table.csv (`DTW-JPE hand`,
        `codebook-use face codes`), each of all corpora together where the table has it so, else the mean over the
        corpora. With ` rare` behind it, a score is that of the sentences with a word of the lexicon that at most two
        training sentences hold; `s/video` has the rows timed

Among a row's overrides `BASE=FILE` is another configuration for it, `SYSTEM=NAME` another row of its result tables, and
`OF=ROW` says that it is of the runs of that other row: a baseline that stands in the same tables, for instance.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from prepare.keywords import keywords
from prepare.plan_runs import Workers, results_folder, run, train_and_test, train_once
from soke.build.data import corpora_of, lexicon_of
from soke.data.synthetic.language import RARE_AT_MOST
from soke.errors import UserError
from soke.evaluation.references import ALL_CORPORA
from soke.report.results import read_clips, read_results
from soke.report.tables import Cell
from soke.run import cli, folders
from soke.run.config import Config, load_config, resolve
from soke.storage import new_file, read_text

TIME, _RARE = "s/video", " rare"
_BASE, _OF, _SYSTEM = "BASE=", "OF=", "SYSTEM="
_OPTIONAL, _START = {"SYSTEM", "SCORES", "STARTS", "NEEDS", "OVERRIDES"}, re.compile("=<(.+)>$")
_OF_GENERATORS = (
    *(f"{m} {part}" for m in ("DTW-JPE", "DTW-PA-JPE") for part in ("body", "hand", "avg", f"avg{_RARE}")), TIME,
)


@dataclass(frozen=True)
class Plan:
    """name: of its file; base: configuration; seeds; rows: name -> overrides; system: row of the result tables; scores:
    columns; starts: name -> overrides of models that rows begin from; needs: path -> the command that makes it;
    overrides: of every run"""

    name: str
    base: str
    seeds: list[int]
    rows: dict[str, list[str]]
    system: str = "generated"
    scores: Sequence[str] = _OF_GENERATORS
    starts: dict[str, list[str]] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)

    @property
    def timed(self) -> bool:
        return TIME in self.scores

    @property
    def rare(self) -> bool:
        return any(score.endswith(_RARE) for score in self.scores)

    def run_of(self, row: str) -> str:
        """The row whose runs this row's scores are of."""
        return _last(self.rows[row], _OF, row)

    def system_of(self, row: str) -> str:
        """The row of its result tables that is compared."""
        return _last(self.rows[row], _SYSTEM, self.system)


def _last(overrides: Sequence[str], prefix: str, default: str) -> str:
    return next((item.removeprefix(prefix) for item in reversed(overrides) if item.startswith(prefix)), default)


def read_plan(file: str) -> Plan:
    """Raises UserError for anything else in the file."""
    path = Path(file) if Path(file).is_file() else resolve(file)
    if not path.is_file():
        raise UserError(f"no plan {file}")
    given, needed = OmegaConf.to_container(OmegaConf.create(read_text(path))), {"BASE", "SEEDS", "ROWS"}
    if not isinstance(given, dict) or not needed <= set(given) <= needed | _OPTIONAL:
        raise UserError(
            f"{file} must hold BASE, SEEDS and ROWS, as configs/ablation/decoding.yaml does, and at most "
            f"{', '.join(sorted(_OPTIONAL))} besides"
        )
    plan = Plan(path.stem, **{key.lower(): value for key, value in given.items()})
    for row, overrides in plan.rows.items():
        if row in plan.starts:
            raise UserError(f"{file}: {row} is one of STARTS and one of ROWS; give it another name in one of them")
        unknown = [name for item in overrides for name in _START.findall(item) if name not in plan.starts]
        if unknown:
            raise UserError(f"{file}: the row {row} begins from <{unknown[0]}>, which is none of STARTS")
        of = plan.run_of(row)
        if of != row and (of not in plan.rows or plan.run_of(of) != of):
            raise UserError(f"{file}: the row {row} is of the runs of {of}, which is none of ROWS that has runs of its own")
        if of != row and any(not item.startswith((_OF, _SYSTEM)) for item in overrides):
            raise UserError(f"{file}: the row {row} is of the runs of {of}, so that it can have no overrides but SYSTEM")
    return plan


def row_config(plan: Plan, row: str, seed: int, overrides: Sequence[str] = ()) -> tuple[Config, list[str]]:
    """The configuration of one run, of a row or of what rows begin from, and the command line that gives it. overrides:
    of every run, besides the plan's"""
    name = re.sub(r"\W+", "-", f"ablation {plan.name} {row} {seed}")
    given = {**plan.starts, **plan.rows}[row]
    base = _last(given, _BASE, plan.base)
    own = [
        _START.sub(lambda match: f"={folders.export_folder(row_config(plan, match[1], seed, overrides)[0])}", item)
        for item in given if not item.startswith((_BASE, _SYSTEM))
    ]
    own = [f"NAME={name}", f"SEED={seed}", "TRAIN.RESUME=auto", *own, *plan.overrides, *overrides]
    return load_config(base, overrides=own), ["--cfg", base, "--nodebug", *own]


def results_of(plan: Plan, overrides: Sequence[str] = (), jobs: int = 1) -> dict[str, list[dict[str, float]]]:
    """Row -> one dict of scores per seed; what is missing is trained and tested before.

    overrides: of every run
    jobs:      runs at a time, each on a GPU of its own as far as there are GPUs; of several each writes what it says to
               a log of its own. One run alone has all GPUs

    Raises UserError when a run fails, after the others have ended.
    """
    for path, command in plan.needs.items():
        if not resolve(path).exists():
            run(shlex.split(command))
    runs = [(row, seed) for seed in plan.seeds for row in dict.fromkeys(map(plan.run_of, plan.rows))]
    of_runs = {run: row_config(plan, *run, overrides) for run in runs}
    rare = rare_clips(next(iter(of_runs.values()))[0]) if plan.rare else set()
    if plan.rare:
        print(f"rare: {len(rare)} sentences")
    with Workers(jobs, target_of(plan, overrides) / "logs") as workers:
        workers.each(lambda env, start: train_once(*start, env), {
            f"{row} {seed}": row_config(plan, row, seed, overrides) for row in plan.starts for seed in plan.seeds
        })
        workers.each(
            lambda env, run: train_and_test(*run, plan.timed, env), {f"{row} {seed}": of_runs[row, seed] for row, seed in runs}
        )
    folder = {run: results_folder(config) for run, (config, _) in of_runs.items()}
    return {
        row: [
            scores(folder[plan.run_of(row), seed], plan, rare, plan.system_of(row), row == plan.run_of(row))
            for seed in plan.seeds
        ]
        for row in plan.rows
    }


def target_of(plan: Plan, overrides: Sequence[str] = ()) -> Path:
    """Folder of the plan's own table."""
    first = row_config(plan, plan.run_of(next(iter(plan.rows))), plan.seeds[0], overrides)[0]
    return resolve(first.results) / f"ablation-{plan.name}"


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


def scores(
    folder: Path, plan: Plan, rare: set[tuple[str, str]], system: str, own: bool = True
) -> dict[str, float]:
    """The plan's scores of one run; those of rare clips are left out where there are none.

    system: row of its result tables
    own:    whether that row is what the run was trained for; another, such as a mean pose, may lack some of the scores, or
            have them of some corpora alone, which is no score here, and the times are not its

    Raises UserError for a score that the test has not given.
    """
    given: dict[str, dict[str, float]] = {}  # score -> corpus -> value
    cells = read_results(folder).cells
    for cell in cells:
        if cell.row == system:
            for name, value in _named(cell).items():
                given.setdefault(name, {})[cell.corpus] = value
    if not own:  # a mean over fewer corpora would compare with none
        everywhere = {cell.corpus for cell in cells} - {ALL_CORPORA}
        given = {name: of for name, of in given.items() if ALL_CORPORA in of or set(of) == everywhere}
    found = {}
    for score in plan.scores:
        if score == TIME:
            if own:
                found[score] = json.loads((folder / "timing.json").read_text(encoding="utf-8"))["timings"][0]["mean"]
            continue
        name = score.removesuffix(_RARE)
        if name not in given and (own or not given):
            known = ", ".join(dict.fromkeys(given)) or ("none at all" if own else "none of all corpora")
            raise UserError(f"{folder} has no score {name} of the row {system}; it has {known}")
        if name not in given:
            continue
        if name == score:
            of = given[name]
            found[score] = of.get(ALL_CORPORA, float(np.mean(list(of.values()))))
        elif rare:
            found[score] = _mean_of_clips(folder, system, name, rare)
    return found


def _named(cell: Cell) -> dict[str, float]:
    """Name of each of its scores -> value; the first is also there without its unit."""
    values = {cell.score.signature.column(unit): value for unit, value in cell.score.values.items()}
    return {cell.score.signature.column(): next(iter(values.values())), **values}


def _mean_of_clips(folder: Path, system: str, score: str, chosen: set[tuple[str, str]]) -> float:
    """Mean over the corpora of the means over their chosen clips, in the score's first unit."""
    clips = [line for line in read_clips(folder) if line["row"] == system]
    column = next((c for c in clips[0] if c == score or c.rpartition(" ")[0] == score), None) if clips else None
    if column is None:
        raise UserError(f"{folder / 'clips.csv'} has no column {score}: clips have no such score of their own")
    of_corpora: dict[str, list[float]] = {}
    for clip in clips:
        if (clip["corpus"], clip["clip"]) in chosen and clip[column]:
            of_corpora.setdefault(clip["corpus"], []).append(float(clip[column]))
    return float(np.mean([np.mean(values) for values in of_corpora.values()]))


def results_table(plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> Table:
    """One line per row, `mean ± standard deviation` over its seeds. results: row -> one dict of scores per seed."""
    table = Table(title=f"{plan.name}, {len(plan.seeds)} seeds", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    columns = [c for c in plan.scores if any(c in of_run for runs in results.values() for of_run in runs)]
    for column in columns:
        table.add_column(column.replace(" ", "\n", 1), justify="right")
    for row, seeds in results.items():
        table.add_row(row, *(shown([of[column] for of in seeds if column in of]) for column in columns))
    return table


def compare(program: str, description: str, argv: Sequence[str] | None, default: str = "", first: bool = False) -> tuple[
    Path, Plan, dict[str, list[dict[str, float]]]
]:
    """Runs the plan of a command line, prints its table and saves it; returns its folder, the plan and the results.

    default: the plan without --cfg; "": it has to be given
    first:   whether the rows stand in the order of their means in the first column
    """
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shown_plan = default or "for instance configs/ablation/decoding.yaml"
    parser.add_argument("--cfg", required=not default, default=default, help=f"plan, {shown_plan}")
    parser.add_argument(
        "--jobs", type=cli.positive, default=1, help="runs at a time, each on a GPU of its own if there is one (1)"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of every row")
    options = parser.parse_intermixed_args(argv)
    plan = read_plan(options.cfg)
    results = results_of(plan, options.overrides, options.jobs)
    results = ordered(plan, results) if first else results
    table, target = results_table(plan, results), target_of(plan, options.overrides)
    Console(width=170).print(table)
    save(target, results, table)
    return target, plan, results


def ordered(plan: Plan, results: Mapping[str, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """The rows by the mean of the plan's first column; those without it last."""
    first = plan.scores[0]
    means = {row: np.mean([of_seed.get(first, np.inf) for of_seed in seeds]) for row, seeds in results.items()}
    return {row: results[row] for row in sorted(results, key=means.get)}


def save(target: Path, results: Mapping[str, list[dict[str, float]]], table: Table) -> None:
    """table.json, with the scores of every seed, and table.txt."""
    with new_file(target / "table.json") as path:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    with new_file(target / "table.txt") as path, path.open("w", encoding="utf-8") as stream:
        Console(file=stream, width=170).print(table)


def shown(values: Sequence[float]) -> str:
    """Mean and standard deviation of the seeds' values; a dash for none."""
    if not values:
        return "–"
    mean, deviation = spread(values)
    return f"{mean:.3f}" + (f" ±{deviation:.3f}" if len(values) > 1 else "")


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of the seeds' values, 0 for one of them."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

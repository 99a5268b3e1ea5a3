"""The table of stages: nothing else asks for a stage's name, and one more row is one more stage."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

import soke.run.settings
import test as test_entry
import train
from soke.body import Motion
from soke.build.stages import STAGES, Stage, Task, producer_of, stage_of, tokenizer_of
from soke.build.trainer import train as train_model
from soke.data.clip import Clip
from soke.errors import UserError
from soke.run.config import ROOT, Config, load_config
from soke.run.folders import export_folder
from soke.settings import Settings

CODE = [*(ROOT / "soke").rglob("*.py"), *(ROOT / "prepare").rglob("*.py"), *ROOT.glob("*.py")]


def uses_of_stage_names(source: str, names: set[str]) -> Iterator[int]:
    """Lines that compare something with a stage's name or with TRAIN.STAGE, or look one of them up in a table."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            nested = [item for o in operands for item in getattr(o, "elts", [])]
            if any(_is_name(o, names) or _is_stage(o) for o in [*operands, *nested]):
                yield node.lineno
        elif isinstance(node, ast.Dict):
            if sum(_is_name(key, names) for key in node.keys) > 1:
                yield node.lineno
        elif isinstance(node, ast.Subscript):
            if _is_stage(node.slice):
                yield node.lineno
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and any(map(_is_stage, node.args)):
                yield node.lineno
        elif isinstance(node, ast.MatchValue) and _is_name(node.value, names):
            yield node.value.lineno


def _is_name(node: ast.AST | None, names: set[str]) -> bool:
    return isinstance(node, ast.Constant) and node.value in names


def _is_stage(node: ast.AST) -> bool:
    """Is `X.train.stage`."""
    return isinstance(node, ast.Attribute) and node.attr == "stage" and getattr(node.value, "attr", "") == "train"


# Comparisons with names of other things.
ALLOWED = {"soke/generator/text_tokenizer.py": 1, "soke/run/older.py": 1}  # another TOKENIZER; what once was one stage's alone


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_else_asks_for_a_stage_s_name(path):
    file = path.relative_to(ROOT).as_posix()
    if file == "soke/build/stages.py":
        return
    found = list(uses_of_stage_names(path.read_text(encoding="utf-8"), set(STAGES)))
    assert len(found) == ALLOWED.get(file, 0), f"{file}, lines {found}: ask the stage's row in soke/build/stages.py"


@pytest.mark.parametrize(
    "source",
    [
        'config.train.stage == "x"', 'if "generator" != name: pass', 'stage in ("tokenizer", "generator")',
        '{"tokenizer": 1, "generator": 2}[name]', "makers[config.train.stage]", "makers.get(config.train.stage)",
        'match name:\n    case "translation": pass', "config.train.stage != other",
    ],
)
def test_what_asks_is_found(source):
    assert list(uses_of_stage_names(source, set(STAGES)))


def test_the_names_of_the_configuration_are_those_of_the_table():
    assert soke.run.settings.STAGES == tuple(STAGES)
    for name in STAGES:  # each has a section of its own, which says what its training needs
        assert isinstance(getattr(load_config("configs/soke.yaml"), name), Settings)


def test_the_table_loads_nothing():
    code = "import sys, soke.build.stages\nprint('torch' in sys.modules, 'pytorch_lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False False\n", done.stderr


@pytest.mark.parametrize("name", STAGES)
def test_the_functions_of_every_row_are_there(name):
    """They are named in text, and a wrong one would show when it is called."""
    for function in functions_of(STAGES[name]):
        assert callable(function.resolve())


def functions_of(stage: Stage) -> Iterator:
    values = [getattr(part, field) for part in (stage, stage.test, *stage.tasks.values()) for field in vars(part)]
    return (value for value in values if hasattr(value, "resolve"))


def test_what_a_stage_does_not_do_is_told():
    translation = load_config("configs/back_translation.yaml")
    with pytest.raises(UserError, match="back_translation trains a model of stage translation, which has no codes"):
        tokenizer_of(translation)
    for config in (translation, load_config("configs/deto.yaml")):
        with pytest.raises(UserError, match="which signs nothing: choose a generator's or a regressor's configuration"):
            producer_of(config)


class Line(pl.LightningModule):
    """A toy stage's module: learns a number."""

    monitor, monitor_mode = None, "min"

    def __init__(self, goal: float):
        super().__init__()
        self.goal, self.number = goal, torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        return (self.number - self.goal).square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.4)

    def provenance(self) -> dict[str, object]:
        return {"goal": self.goal}

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "number.txt").write_text(f"{self.number.item():.3f}")


@dataclass
class Number:
    """What a toy stage's test finds."""

    value: float

    def __post_init__(self) -> None:
        self.table, self.summary = SimpleNamespace(conditions=None, print_summary=print), self.value

    def gather(self, world) -> Number:
        return self

    def save(self, folder: Path, predictions: bool) -> None:
        (folder / "conditions.csv").write_text(f"{self.value},{sorted(self.table.conditions)}")


class Batches(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(torch.zeros(8, 1))


def load(config: Config) -> float:
    return float((export_folder(config) / "number.txt").read_text())


def twins(config: Config) -> list[Config]:
    return [replace(config, name=f"{config.name}/{twin}", seed=seed) for twin, seed in (("one", 1), ("two", 2))]


TOY = Stage(
    data=lambda config, folder: Batches(), module=lambda config, data: Line(float(config.seed)), models=twins,
    test=Task(lambda config: sum(map(load, twins(config))), lambda model, config, world: Number(model)),
    exports=lambda config: {c.name: export_folder(c) for c in twins(config)}, trained_by=("SEED",), model_keys=("SEED",),
)


def test_a_row_more_is_a_stage_more(tmp_path, monkeypatch, capsys):
    """Trained, continued and tested by the same commands; two models that learn their seeds, 1 and 2, add up to 3."""
    monkeypatch.setitem(STAGES, "toy", TOY)
    monkeypatch.setattr(soke.run.settings, "STAGES", tuple(STAGES))
    settings = [
        "TRAIN.STAGE=toy", "NAME=numbers", f"FOLDER={tmp_path}", f"RESULTS={tmp_path}/results", "ACCELERATOR=cpu",
        "TRAIN.END_EPOCH=3", "LOGGER.TENSORBOARD=false", "DEVICE=1",
    ]
    train.main(["--cfg", "configs/deto.yaml", "--nodebug", *settings])
    provenance = json.loads((tmp_path / "toy" / "numbers" / "two" / "provenance.json").read_text())
    assert provenance == {"goal": 2.0, "epochs": {"all": 2}}
    config = load_config("configs/deto.yaml", overrides=[*settings, "TRAIN.RESUME=auto"])
    with pytest.raises(UserError, match="SEED: 1 -> 3"):  # which its row names
        train_model(TOY, replace(config, name="numbers/one", seed=3), debug=False)
    test_entry.main(["--cfg", "configs/deto.yaml", *settings])
    value, conditions = next(csv.reader((tmp_path / "results" / "numbers" / "conditions.csv").open()))[:2]
    assert float(value) == pytest.approx(3.0, abs=1e-3)
    assert "3.0" in capsys.readouterr().out
    with pytest.raises(UserError, match="--count_time times a generator"):
        test_entry.main(["--cfg", "configs/deto.yaml", *settings, "--count_time"])
    with pytest.raises(UserError, match="which signs nothing"):
        producer_of(load_config("configs/deto.yaml", overrides=settings))
    assert stage_of(load_config("configs/deto.yaml", overrides=settings)) is TOY


def test_a_test_that_was_broken_off_goes_on_where_the_same_is_tested(tmp_path, monkeypatch):
    """What it has produced is used with these models and settings alone, and gone when the table is written."""
    made: list[str] = []

    def score(model, config, world, unfinished) -> Number:
        motion = Motion.rest(4, 24.0)
        for number in range(3):
            if number == breaks_at:
                raise KeyboardInterrupt
            clip = Clip(f"c{number}", "own", "test", "ASL", "rain", tmp_path, 24.0)
            unfinished.translated("toy", lambda motions: made.append(clip.name) or ["rain"], [clip], [motion])
        return Number(model)

    monkeypatch.setitem(STAGES, "toy", replace(TOY, test=Task(TOY.test.load, score, goes_on=True)))
    monkeypatch.setattr(soke.run.settings, "STAGES", tuple(STAGES))
    for twin in ("one", "two"):
        folder = tmp_path / "toy" / "numbers" / twin / "toy"
        folder.mkdir(parents=True)
        (folder / "number.txt").write_text("1.5")
    settings = ["TRAIN.STAGE=toy", "NAME=numbers", f"FOLDER={tmp_path}", f"RESULTS={tmp_path}/results", "ACCELERATOR=cpu"]

    def run(*more: str) -> list[str]:
        made.clear()
        test_entry.main(["--cfg", "configs/deto.yaml", *settings, "DEVICE=1", *more])
        return list(made)

    breaks_at, kept = 2, tmp_path / "results" / "numbers" / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        run()
    assert made == ["c0", "c1"] and len(list(kept.rglob("*.json"))) == 2
    with pytest.raises(KeyboardInterrupt):
        run("TEST.BATCH_SIZE=7")
    assert made == ["c0", "c1"]  # made in other batches, they are other motions
    breaks_at = 1
    with pytest.raises(KeyboardInterrupt):
        run()
    breaks_at = 3
    assert run() == ["c1", "c2"]
    assert not kept.exists() and (tmp_path / "results" / "numbers" / "conditions.csv").is_file()
    breaks_at = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    (folder / "number.txt").write_text("2.5")  # another model
    breaks_at = 3
    assert run() == ["c0", "c1", "c2"]


def test_signing_a_sentence_loads_neither_trainers_nor_metrics():
    code = (
        "import sys, soke.build.data, soke.build.generator, soke.build.stages, soke.run.folders, soke.render.studio\n"
        "print(*(name for name in sys.modules if name.startswith(('pytorch_lightning', 'lightning', 'torchmetrics', "
        "'transformers', 'soke.metrics', 'soke.translation.', 'soke.report', 'soke.evaluation.rows')) or "
        "name.endswith('.module') and name.startswith('soke')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"soke.translation.settings"}

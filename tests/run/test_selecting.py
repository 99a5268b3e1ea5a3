"""The score that chooses what is exported, lowers the rate of a plateau and ends the training."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from soke.build.trainer import new_trainer
from soke.errors import UserError
from soke.run.config import load_config
from soke.run.folders import LAST, Run
from soke.run.optim import optimizers_of


class Scored(pl.LightningModule):
    """Logs in validation e, from 0, {name: scores[e]} where that is not None. `later`: names that may come later."""

    monitor: str | dict[str, str] | None = "val/loss"
    monitor_mode = "min"
    later: tuple[str, ...] = ()

    def __init__(self, config, scores: dict[str, list[float | None]]):
        super().__init__()
        self.weight, self.optim, self.scores = nn.Parameter(torch.zeros(1)), config.train.optim, scores
        self.rates: list[float] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return (self.weight - batch).pow(2).mean()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.rates.append(self.optimizers().param_groups[0]["lr"])

    def on_validation_epoch_end(self) -> None:
        for name, scores in self.scores.items():
            if scores[self.current_epoch] is not None:
                self.log(name, scores[self.current_epoch])

    def configure_optimizers(self):
        return optimizers_of(self.parameters(), self.optim, self.trainer.max_epochs, self.monitor_mode)


class Signing(Scored):
    later = ("val/DTW_JPE", "val/DTW_JPE_hand")


LOSS = [5.0, 4.0, 3.0, 2.0, 2.5, 2.6, 2.7, 1.0]  # the best are the fourth and the last
BLEU = [1.0, 9.0, 3.0, 3.0, 4.0, 5.0, 8.9, 7.0]  # the second


def trained(folder: Path, *overrides: str, resume: bool = False, of=Scored, **scores: list[float | None]) -> Scored:
    named = {f"val/{name.replace('BLEU_', 'BLEU-')}": values for name, values in scores.items()}
    fixed = (f"FOLDER={folder}", "ACCELERATOR=cpu", "LOGGER.TENSORBOARD=false", "EVAL.EVERY_EPOCHS=1", "TRAIN.END_EPOCH=8")
    config = load_config("configs/deto.yaml", overrides=[*fixed, *overrides])
    run, module = Run(config, folder, None, debug=False), of(config, named)
    loader, begun = DataLoader(torch.ones(2, 1)), str(folder / "checkpoints" / LAST) if resume else None
    new_trainer(run, module).fit(module, loader, loader, ckpt_path=begun, weights_only=True)
    return module


def epochs(folder: Path) -> tuple[int, int]:
    """The best and the last, counted from 1."""
    found = [torch.load(folder / "checkpoints" / name, weights_only=True)["epoch"] for name in ("best.ckpt", LAST)]
    return found[0] + 1, found[1] + 1


@pytest.mark.parametrize(
    ("settings", "best"),
    [
        ([], 8), (["EVAL.MONITOR=val/loss"], 8), (["EVAL.MONITOR=val/BLEU-4"], 2),
        (["EVAL.MONITOR=val/loss", "EVAL.DIRECTION=max"], 1),
        (["EVAL.MONITOR=val/own", "EVAL.DIRECTION=min"], 5), (["EVAL.MONITOR=val/own", "EVAL.DIRECTION=max"], 3),
    ],
)
def test_the_best_by_any_score_is_kept(tmp_path, settings, best):
    trained(tmp_path, *settings, loss=LOSS, BLEU_4=BLEU, own=[2.0, 2.0, 9.0, 3.0, 1.0, 2.0, 2.0, 2.0])
    assert epochs(tmp_path) == (best, 8)


@pytest.mark.parametrize(
    ("settings", "best", "last"),
    [
        (["EVAL.PATIENCE=3"], 4, 7), (["EVAL.PATIENCE=4"], 8, 8), (["EVAL.PATIENCE=1"], 4, 5),
        (["EVAL.PATIENCE=5", "EVAL.MONITOR=val/BLEU-4"], 2, 7), (["EVAL.PATIENCE=0"], 8, 8),
    ],
)
def test_training_ends_after_so_many_validations_without_a_better_score(tmp_path, settings, best, last):
    trained(tmp_path, *settings, loss=LOSS, BLEU_4=BLEU)
    assert epochs(tmp_path) == (best, last)


def test_patience_counts_the_validations_that_have_the_score(tmp_path):
    """Of 8 the second, fourth, sixth and eighth; a score that is no number is no better one."""
    scores = {"DTW_JPE": [None, 0.2, None, 0.3, None, math.nan, None, 0.4], "loss": LOSS}
    for patience, last in ((2, 6), (3, 8)):
        folder = tmp_path / str(patience)
        trained(folder, "EVAL.MONITOR=val/DTW_JPE", f"EVAL.PATIENCE={patience}", of=Signing, **scores)
        assert epochs(folder) == (2, last)


def test_a_training_that_has_ended_goes_on_with_more_patience_alone(tmp_path):
    whole = trained(tmp_path / "whole", "EVAL.PATIENCE=4", loss=LOSS)
    trained(tmp_path, "EVAL.PATIENCE=3", loss=LOSS)
    over = trained(tmp_path, "EVAL.PATIENCE=3", loss=LOSS, resume=True)
    assert over.rates == [] and epochs(tmp_path) == (4, 7)
    more = trained(tmp_path, "EVAL.PATIENCE=4", loss=LOSS, resume=True)
    assert len(more.rates) == 2 and epochs(tmp_path) == (8, 8) and torch.equal(more.weight, whole.weight)


def test_the_best_of_a_run_whose_folder_was_moved_is_still_the_best(tmp_path):
    trained(tmp_path / "here", "TRAIN.END_EPOCH=5", "TRAIN.OPTIM.SCHEDULE=constant", loss=LOSS)
    shutil.move(tmp_path / "here", tmp_path / "there")
    for end, best in ((7, 4), (8, 8)):
        settings = (f"TRAIN.END_EPOCH={end}", "TRAIN.OPTIM.SCHEDULE=constant")
        trained(tmp_path / "there", *settings, loss=LOSS, resume=True)
        assert epochs(tmp_path / "there") == (best, end)
        assert [path.name for path in (tmp_path / "there/checkpoints").glob("best*")] == ["best.ckpt"]


def test_where_the_best_file_is_not_there_the_best_is_chosen_among_the_epochs_to_come(tmp_path, caplog):
    """Of five epochs, the fourth is the best; of the two that follow, the first."""
    trained(tmp_path / "other", "TRAIN.END_EPOCH=5", "TRAIN.OPTIM.SCHEDULE=constant", loss=LOSS)
    shutil.copytree(tmp_path / "other", tmp_path / "own")
    (tmp_path / "own" / "checkpoints" / "best.ckpt").unlink()
    trained(tmp_path / "own", "TRAIN.END_EPOCH=7", "TRAIN.OPTIM.SCHEDULE=constant", loss=LOSS, resume=True)
    assert epochs(tmp_path / "own") == (6, 7)
    assert "chosen among the epochs to come; the best so far, with val/loss 2, is not in" in caplog.text


@pytest.mark.parametrize(("monitor", "best"), [("", 4), ("val/BLEU-4", 2)])
def test_a_plateau_follows_the_same_score(tmp_path, monitor, best):
    """Halved after each validation that is no better than the best, the fourth by the loss, the second by BLEU."""
    plateau = ("SCHEDULE=plateau", "PATIENCE=0", "FACTOR=0.5", "LR=1.0", "ETA_MIN=0.001")
    module = trained(
        tmp_path, f"EVAL.MONITOR={monitor}", *(f"TRAIN.OPTIM.{setting}" for setting in plateau), loss=LOSS, BLEU_4=BLEU
    )
    assert module.rates[::2] == [0.5 ** max(0, number - best) for number in range(8)]  # two batches each


def test_a_plateau_at_its_lowest_rate_is_over_when_it_is_continued(tmp_path):
    plateau = [f"TRAIN.OPTIM.{s}" for s in ("SCHEDULE=plateau", "PATIENCE=0", "FACTOR=0.5", "LR=1.0", "ETA_MIN=0.4")]
    trained(tmp_path, *plateau, loss=LOSS)
    assert epochs(tmp_path) == (4, 6)  # 0.5 after the fifth, 0.4 after the sixth
    assert trained(tmp_path, *plateau, loss=LOSS, resume=True).rates == []


def test_a_plateau_that_begins_at_its_lowest_rate_is_no_end(tmp_path):
    plateau = [f"TRAIN.OPTIM.{s}" for s in ("SCHEDULE=plateau", "LR=0.1", "ETA_MIN=0.1")]
    trained(tmp_path, *plateau, loss=LOSS)
    assert epochs(tmp_path) == (1, 1)  # after the first validation


def test_a_score_that_is_never_logged_is_an_error_that_lists_what_is(tmp_path):
    sentence = "EVAL.MONITOR=val/BLEU is no score of this training's validations: it is one of val/BLEU-4, val/loss"
    with pytest.raises(UserError, match=sentence):
        trained(tmp_path, "EVAL.MONITOR=val/BLEU", loss=LOSS, BLEU_4=BLEU)
    assert not (tmp_path / "checkpoints").exists()  # at the first validation


def test_a_score_may_come_later_but_not_without_its_likes(tmp_path):
    scores = {"loss": LOSS, "DTW_JPE": [None, 0.2] * 4}
    trained(tmp_path / "a", "EVAL.MONITOR=val/DTW_JPE", of=Signing, **scores)
    assert epochs(tmp_path / "a") == (2, 8)
    with pytest.raises(UserError, match="val/DTW_JPE_hand is no score"):
        trained(tmp_path / "b", "EVAL.MONITOR=val/DTW_JPE_hand", of=Signing, **scores)
    assert torch.load(tmp_path / "b" / "checkpoints" / LAST, weights_only=True)["epoch"] == 0  # at the second


def test_parts_with_scores_of_their_own_take_no_other(tmp_path):
    class Parts(Scored):
        monitor = {"weight": "val/part"}

    with pytest.raises(UserError, match="EVAL.BEST=per_part"):
        trained(tmp_path, "EVAL.MONITOR=val/loss", of=Parts, loss=LOSS)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["MONITOR=val/steps"], "EVAL.DIRECTION must say whether EVAL.MONITOR=val/steps is better when low or high"),
        (["MONITOR=DTW_JPE"], "EVAL.MONITOR must be a score of validations, val/<name>, or empty, not DTW_JPE"),
        (["MONITOR=train/loss"], "EVAL.MONITOR must be a score of validations"),
        (["DIRECTION=min"], "EVAL.DIRECTION=min is of EVAL.MONITOR, which is empty: name the score, or set it to auto"),
        (["PATIENCE=-1"], "EVAL.PATIENCE must be at least 0, not -1"),
    ],
)
def test_settings_that_choose_nothing_are_errors(settings, problem):
    with pytest.raises(UserError) as caught:
        load_config("configs/deto.yaml", overrides=[f"EVAL.{setting}" for setting in settings])
    assert problem in str(caught.value)


KNOWN = {
    "min": ["loss", "loss_body", "DTW_JPE", "DTW_PA_JPE_hand", "WER", "part_error_body", "PA_MPVPE_all", "kl", "ctc"],
    "max": ["BLEU-4", "lang_gloss_BLEU-4", "accuracy_lhand", "top-1", "reward", "reward_dtw", "lang_gloss_exact"],
}


@pytest.mark.parametrize(("better", "name"), [(better, name) for better, names in KNOWN.items() for name in names])
def test_of_known_scores_the_better_end_is_known(better, name):
    assert load_config("configs/deto.yaml", overrides=[f"EVAL.MONITOR=val/{name}"]).eval.better == better

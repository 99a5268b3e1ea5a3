from __future__ import annotations

import logging
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from soke.body import Motion
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.codes import CodeStore
from soke.data.datamodule import SignDataModule
from soke.data.dataset import CodeBatch, MotionBatch
from soke.errors import UserError
from tests.data.writing import LAYOUT


class Still:
    """A corpus without files: `size` clips, of which those in `bad` cannot be loaded."""

    language = "DGS"

    def __init__(self, name: str = "still", size: int = 20, bad: tuple[str, ...] = ()):
        self.name, self.size, self.bad = name, size, bad

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{i}", self.name, split, "DGS", f"text {i}", Path("."), 25.0) for i in range(self.size)]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def load(self, clip: Clip) -> Motion:
        if clip.name in self.bad:
            raise ClipError(f"clip {clip.name}: a\ttabbed\nreason")
        return Motion.rest(40, 25.0)


@pytest.mark.parametrize("bad", [("0",), ("0", "1", "2")])
def test_a_corpus_of_which_no_clip_can_be_read(bad):
    data = SignDataModule([Still(size=3), Still("other", size=3, bad=bad)], LAYOUT)
    if len(bad) < 3:
        assert len(data.dataset("train", "motion")) == 6
    else:
        with pytest.raises(UserError, match="not one clip of split train of other can be read; the first: clip 0: a"):
            data.dataset("train", "motion")


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[str]] = []

    def training_step(self, batch, index):
        self.seen.append([clip.name for clip in batch.clips])
        return self.weight * batch.lengths.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data: SignDataModule, epochs: int, callbacks=(), resume=None) -> list[list[str]]:
    model = Model()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, callbacks=list(callbacks),
        enable_checkpointing=bool(callbacks), enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(model, data, ckpt_path=resume)
    return model.seen


def test_mixes_corpora_and_shuffles_the_training_split_only():
    data = SignDataModule([Still("one", 5), Still("two", 7)], LAYOUT, batch_size=4, eval_batch_size=5)
    order = [str(c.corpus) + c.name for batch in data.val_dataloader() for c in batch.clips]
    assert order == [f"one{i}" for i in range(5)] + [f"two{i}" for i in range(7)]
    shuffled = [str(c.corpus) + c.name for batch in data.train_dataloader() for c in batch.clips]
    assert sorted(shuffled) == sorted(order) and shuffled != order
    assert [len(batch.clips) for batch in data.test_dataloader()] == [5, 5, 2]


def test_order_depends_on_seed_and_epoch():
    runs = [fit(SignDataModule([Still()], LAYOUT, batch_size=4, seed=seed), 2) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    first, second = runs[0][:5], runs[0][5:]
    assert first != second and sorted(sum(first, [])) == sorted(sum(second, []))


@pytest.mark.parametrize("save", [{"every_n_epochs": 1}, {"every_n_train_steps": 3}, {"every_n_train_steps": 5}])
def test_a_resumed_run_sees_what_the_whole_run_sees(tmp_path, save):
    def data():
        return SignDataModule([Still()], LAYOUT, batch_size=4)

    whole = fit(data(), 3)
    fit(data(), 2, [ModelCheckpoint(tmp_path, save_top_k=-1, **save)])
    checkpoints = list(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) >= 2
    for checkpoint in checkpoints:
        done = torch.load(checkpoint, weights_only=True)["global_step"]
        assert fit(data(), 3, resume=checkpoint) == whole[done:]


def test_codes_for_training_and_motions_for_testing(tmp_path):
    store = CodeStore(tmp_path)
    for clip in Still().clips("train"):
        store.write(clip, torch.full((10, 3), int(clip.name)))
    data = SignDataModule([Still()], LAYOUT, kind="codes", code_store=store, batch_size=4)
    for batch in data.train_dataloader():
        assert isinstance(batch, CodeBatch)
        assert batch.codes[:, 0, 0].tolist() == [int(clip.name) for clip in batch.clips]
    assert isinstance(next(iter(data.val_dataloader())), CodeBatch)
    assert isinstance(next(iter(data.test_dataloader())), MotionBatch)
    with pytest.raises(UserError, match="DATASET.CODE_PATH"):
        SignDataModule([Still()], LAYOUT, kind="codes")
    with pytest.raises(UserError, match="motion or codes, not video"):
        SignDataModule([Still()], LAYOUT, kind="video")


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_clips_are_listed_once_and_counted(tmp_path, caplog, workers):
    caplog.set_level(logging.WARNING, logger="soke")
    data = SignDataModule([Still(bad=("3", "11"))], LAYOUT, batch_size=4, workers=workers, folder=tmp_path)
    seen = fit(data, 2)
    assert sum(map(len, seen)) == 36
    lines = (tmp_path / "skipped_clips.txt").read_text().splitlines()
    assert sorted(lines) == [f"still/{i}\tclip {i}: a tabbed reason" for i in ("11", "3")]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("soke")] == [
        f"2 clips were skipped; {tmp_path / 'skipped_clips.txt'} lists them"
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_strict_ends_in_one_sentence(tmp_path, workers):
    data = SignDataModule([Still(bad=("3",))], LAYOUT, workers=workers, strict=True)
    with pytest.raises(ClipError) as raised:
        fit(data, 1)
    assert str(raised.value).startswith("still/3 cannot be used: clip 3:") and "Traceback" not in str(raised.value)

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
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
    """A corpus without files: `size` clips of 40 frames, of which those in `bad` cannot be loaded."""

    language = "DGS"
    frames = 40

    def __init__(self, name: str = "still", size: int = 20, bad: tuple[str, ...] = ()):
        self.name, self.size, self.bad = name, size, bad

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{i}", self.name, split, "DGS", f"text {i}", Path("."), 25.0) for i in range(self.size)]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def length(self, clip: Clip) -> int:
        if clip.name in self.bad:
            raise ClipError(f"clip {clip.name}: no length")
        return self.frames

    def load(self, clip: Clip) -> Motion:
        if clip.name in self.bad:
            raise ClipError(f"clip {clip.name}: a\ttabbed\nreason")
        return Motion.rest(self.length(clip), 25.0)


class Growing(Still):
    """Clip i has 40 + i frames, beginning anew after 100."""

    def length(self, clip: Clip) -> int:
        return 40 + int(clip.name) % 100


class Silent:
    """As `Growing`, without saying so."""

    def __init__(self, name: str, size: int):
        corpus = Growing(name, size)
        self.name, self.language, self.clips, self.skipped, self.load = (
            name, "DGS", corpus.clips, corpus.skipped, corpus.load
        )


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


FRAMES = {"batch_length": 300, "weights": {"one": 2.0}}


@pytest.mark.parametrize(
    ("save", "options"),
    [
        ({"every_n_epochs": 1}, {}), ({"every_n_train_steps": 3}, {}), ({"every_n_train_steps": 5}, {}),
        ({"every_n_train_steps": 3}, FRAMES), ({"every_n_train_steps": 3}, {**FRAMES, "workers": 2}),
        ({"every_n_epochs": 1}, {"workers": 2}),
    ],
)
def test_a_resumed_run_sees_what_the_whole_run_sees(tmp_path, save, options):
    def data():
        return SignDataModule([Growing("one", 10), Growing("two", 10)], LAYOUT, batch_size=4, **options)

    whole = fit(data(), 3)
    fit(data(), 2, [ModelCheckpoint(tmp_path, save_top_k=-1, **save)])
    checkpoints = list(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) >= 2
    for checkpoint in checkpoints:
        done = torch.load(checkpoint, weights_only=True)["global_step"]
        assert fit(data(), 3, resume=checkpoint) == whole[done:]


def test_codes_for_training_and_motions_for_testing(tmp_path):
    store = CodeStore(tmp_path)
    for clip in [*Still().clips("train"), *Still().clips("val")]:
        store.write(clip, torch.full((10, 3), int(clip.name)))
    data = SignDataModule([Still()], LAYOUT, kind="codes", code_store=store, batch_size=4)
    for batch in data.train_dataloader():
        assert isinstance(batch, CodeBatch)
        assert batch.codes[:, 0, 0].tolist() == [int(clip.name) for clip in batch.clips]
    assert isinstance(next(iter(data.val_dataloader())), CodeBatch)
    assert isinstance(next(iter(data.test_dataloader())), MotionBatch)
    with pytest.raises(UserError, match="need a `code_store`"):
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
    assert sorted(lines) == [f"still/{i}\ttrain\tclip {i}: a tabbed reason" for i in ("11", "3")]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("soke")] == [
        f"2 clips were skipped; {tmp_path / 'skipped_clips.txt'} lists them"
    ]


def test_clips_of_one_name_in_two_splits_are_both_listed(tmp_path):
    data = SignDataModule([Still(bad=("3",))], LAYOUT, folder=tmp_path)
    for split in ("train", "val"):
        for batch in data.loader(split, "motion"):
            data.record(batch.skipped)
    lines = (tmp_path / "skipped_clips.txt").read_text().splitlines()
    assert lines == [f"still/3\t{split}\tclip 3: a tabbed reason" for split in ("train", "val")]


@pytest.mark.parametrize("workers", [0, 1])
def test_strict_ends_in_one_sentence(tmp_path, workers):
    data = SignDataModule([Still(bad=("3",))], LAYOUT, workers=workers, strict=True)
    with pytest.raises(ClipError) as raised:
        fit(data, 1)
    assert str(raised.value).startswith("still/3 cannot be used: clip 3:") and "Traceback" not in str(raised.value)


def padding(loader) -> tuple[int, int]:
    """Steps of all batches with and without padding."""
    computed = real = 0
    for batch in loader:
        computed += len(batch.lengths) * int(batch.lengths.max())
        real += int(batch.lengths.sum())
    return computed, real


@pytest.mark.parametrize("split", ["train", "val"])
def test_motions_of_similar_length_make_a_batch(split):
    grouped, random = (
        padding(SignDataModule([Growing(size=300)], LAYOUT, group_by_length=on).loader(split, "motion", shuffle=True))
        for on in (True, False)
    )
    assert grouped[1] == random[1] == 3 * sum(length // 4 * 4 for length in range(40, 140))
    assert grouped[0] < 1.06 * grouped[1] < 1.3 * random[1] < random[0]


def test_codes_of_similar_length_make_a_batch(tmp_path):
    store, rng = CodeStore(tmp_path), np.random.default_rng(0)
    for clip in Still(size=200).clips("train"):
        store.write(clip, torch.zeros(int(rng.integers(5, 130)), 3, dtype=torch.long))  # 10 to 100 are used
    data = SignDataModule([Still(size=200)], LAYOUT, kind="codes", code_store=store, batch_size=8)
    computed, real = padding(data.train_dataloader())
    assert computed < 1.1 * real
    frames = SignDataModule([Still(size=200)], LAYOUT, kind="codes", code_store=store, batch_length=400)
    sizes = [batch.codes.shape[:2].numel() for batch in frames.train_dataloader()]
    assert max(sizes) <= 400 and sum(sizes) > 0.8 * 400 * len(sizes)


def test_outside_training_batches_begin_with_the_longest_unless_switched_off():
    corpora = [Growing("one", 5), Growing("two", 5)]
    names = [
        [[f"{c.corpus} {c.name}" for c in batch.clips] for batch in data.val_dataloader()]
        for data in (SignDataModule(corpora, LAYOUT, eval_batch_size=4, group_by_length=g) for g in (True, False))
    ]
    assert names[0] == [["one 4", "two 4", "one 0", "one 1"], ["one 2", "one 3", "two 0", "two 1"], ["two 2", "two 3"]]
    assert sum(names[1], []) == [f"{corpus} {i}" for corpus in ("one", "two") for i in range(5)]


def test_a_corpus_that_tells_no_lengths_is_not_grouped(caplog):
    caplog.set_level(logging.WARNING, logger="soke")
    data = SignDataModule([Growing("one", 100), Silent("two", 100)], LAYOUT, batch_size=10, eval_batch_size=10)
    batches = [batch for loader in (data.train_dataloader(), data.val_dataloader()) for batch in loader]
    mixed = [batch for batch in batches if {clip.corpus for clip in batch.clips} != {"one"}]
    assert len(mixed) == 20 and all({clip.corpus for clip in batch.clips} == {"two"} for batch in mixed)
    spread = [int(batch.lengths.max() - batch.lengths.min()) for batch in mixed]
    assert max(spread) > 50
    assert [r.getMessage() for r in caplog.records] == [
        "clips of two are not grouped by length: their reader has no method length(clip)"
    ]


def test_weights_of_corpora_change_their_shares():
    data = SignDataModule([Growing("one", 30), Growing("two", 90)], LAYOUT, batch_size=8, weights={"one": 3.0})
    drawn = Counter(clip.corpus for batch in data.train_dataloader() for clip in batch.clips)
    assert drawn == {"one": 60, "two": 60}  # 3 * 30 : 90
    assert Counter(clip.corpus for batch in data.val_dataloader() for clip in batch.clips) == {"one": 30, "two": 90}


def test_a_weight_with_which_a_corpus_is_never_drawn_is_an_error():
    corpora = [Growing("one", 3), Growing("two", 90)]
    with pytest.raises(UserError, match=r"WEIGHT: beside the others' weights, 0.1 is so small .* 93 clips is of one: raise it"):
        SignDataModule(corpora, LAYOUT, batch_size=8, weights={"one": 0.1}).train_dataloader()
    SignDataModule(corpora, LAYOUT, batch_size=8, weights={"one": 0.4}).train_dataloader()


def one_of_three(rank: int) -> SimpleNamespace:
    """A trainer in one of three processes."""
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    return SimpleNamespace(world_size=3, global_rank=rank, fit_loop=SimpleNamespace(epoch_progress=progress))


def test_processes_share_the_clips_of_training_and_validation():
    seen = {"train": [], "val": []}
    for rank in range(3):
        data = SignDataModule([Growing("one", 20)], LAYOUT, batch_size=3, eval_batch_size=6)
        data.trainer = one_of_three(rank)
        for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
            seen[split].append([[clip.name for clip in batch.clips] for batch in loader])
    names = {split: [name for own in batches for batch in own for name in batch] for split, batches in seen.items()}
    assert set(names["train"]) == set(names["val"]) == {str(i) for i in range(20)}
    assert (len(names["train"]), len(names["val"])) == (20, 20)
    assert {len(own) for own in seen["train"]} == {3} and {len(own) for own in seen["val"]} == {2}


def test_a_batch_of_no_clips_can_be_passed_on():
    data = SignDataModule([Growing("one", 2)], LAYOUT)
    data.trainer = one_of_three(2)
    (batch,) = data.val_dataloader()
    assert batch.clips == [] and batch.lengths.shape == (0,) and batch.to("cpu").features == {}

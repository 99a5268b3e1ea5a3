"""Retrieval models: what they learn, batches and single clips, saving, several processes, what they refuse."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from soke.body.motion import Motion
from soke.data.clip import SkippedClip
from soke.data.dataset import MotionSample, collate_motions
from soke.data.statistics import compute_statistics
from soke.embedding import TextMotionRetriever
from soke.embedding.model import contrastive_loss
from soke.embedding.module import RetrievalModule
from soke.embedding.retriever import CONFIG_FILE
from soke.errors import UserError
from soke.run import processes
from tests.embedding.helpers import OPTIM, SETTINGS, fit, retrieval_module, retriever, samples, texts
from tests.translation.helpers import LAYOUT, sample


@pytest.fixture(scope="module")
def trained() -> tuple[RetrievalModule, dict[str, float]]:
    items = samples()
    module = retrieval_module(items)
    trainer = fit(module, items, epochs=40)
    return module, {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_a_separable_set_is_learnt(trained):
    module, logged = trained
    assert logged["val/R@1"] >= 90 and logged["val/rsum"] >= 2 * (90 + 100 + 100) and logged["val/median_rank"] == 1.0
    assert abs(logged["train/temperature"] - 0.07) > 1e-4  # learnt
    motions = module.retriever.embed_motions([item.motion for item in samples()])
    found = (module.retriever.embed_texts(texts(20)) @ motions.T).argmax(1)
    assert (found == torch.arange(20)).float().mean() >= 0.9
    assert (module.monitor, module.monitor_mode) == ("val/loss", "min")


def test_batches_are_what_single_clips_are_and_padding_changes_nothing(trained):
    model, items = trained[0].retriever, samples()
    motions, sentences = [item.motion for item in items], [*texts(20), "sun", "sun rain snow wind unheard"]
    together = model.embed_motions(motions)
    for i, motion in enumerate(motions):
        torch.testing.assert_close(together[i], model.embed_motions([motion])[0], atol=1e-5, rtol=0)
    of_texts = model.embed_texts(sentences)
    for i, text in enumerate(sentences):
        torch.testing.assert_close(of_texts[i], model.embed_texts([text])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(20))
    features = [model.features(motion) for motion in motions[:2]]
    padded = torch.full((2, 50, features[0].shape[1]), 7.0)  # whatever stands there
    for row, values in zip(padded, features):
        row[: len(values)] = values
    with torch.no_grad():
        found = model.model.eval().embed_motions(padded, torch.tensor([len(values) for values in features]))
    torch.testing.assert_close(found, together[:2], atol=1e-5, rtol=0)


def test_it_is_saved_and_loaded(trained, tmp_path: Path):
    model = trained[0].retriever
    model.save_pretrained(tmp_path / "model")
    loaded = TextMotionRetriever.from_pretrained(tmp_path / "model")
    assert loaded.hash == model.hash and loaded.provenance["trained_on"] == "reference motion"
    assert torch.equal(loaded.embed_texts(texts(5)), model.embed_texts(texts(5)))
    config = json.loads((tmp_path / "model" / CONFIG_FILE).read_text())
    for change, message in (
        ({"fps": {"tiny": 30.0}}, "do not belong together"), ({"texts": []}, "cannot be read"),
        ({"provenance": {"trained_on": "motion of generator 12ab"}}, "trained on motion of generator 12ab, but what scores"),
    ):
        (tmp_path / "model" / CONFIG_FILE).write_text(json.dumps({**config, **change}))
        with pytest.raises(UserError, match=message):
            TextMotionRetriever.from_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="no retrieval model in .*configs/retrieval.yaml"):
        TextMotionRetriever.from_pretrained(tmp_path / "none")


def test_the_same_sentence_is_right_wherever_it_stands():
    """Two clips of one sentence: the loss is least where both are equally near, as by hand."""
    same, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    vectors, groups = torch.stack([same, same, other]), torch.tensor([0, 0, 1])
    scale = torch.tensor(10.0)
    # the first two rows: a half each on two equal logits 10, and 0 besides; the third: 10 against twice 0
    row = torch.log(torch.tensor(2 * np.exp(10.0) + 1)) - 10
    last = torch.log(torch.tensor(np.exp(10.0) + 2)) - 10
    expected = (2 * row + last) / 3
    assert contrastive_loss(vectors, vectors, scale, groups).item() == pytest.approx(expected.item(), rel=1e-5)
    assert contrastive_loss(vectors, vectors, scale, torch.arange(3)).item() == pytest.approx(
        expected.item(), rel=1e-5
    )  # the targets differ, but not what equal logits lose
    apart = torch.stack([same, other, other])
    assert contrastive_loss(apart, apart, scale, groups) > contrastive_loss(vectors, vectors, scale, groups) + 2


def test_two_processes_have_the_gradient_of_one(monkeypatch):
    """Each has a half of the clips, and hears of the other's embeddings; the mean of both gradients is that of one."""
    items = samples(8)
    halves = [items[:4], items[4:]]

    def gradients(own: list[MotionSample]) -> dict[str, torch.Tensor]:
        module = retrieval_module(items)
        monkeypatch.setattr(module, "log", lambda *args, **options: None)
        module.training_step(collate_motions(own), 0).backward()
        return {name: parameter.grad for name, parameter in module.model.named_parameters()}

    alone = gradients(items)
    with torch.no_grad():
        embedded = list(zip(*(retrieval_module(items)._embedded(collate_motions(half)) for half in halves)))
    found = []
    for rank, half in enumerate(halves):
        heard = iter(embedded)  # of motions, then of texts
        monkeypatch.setattr(processes, "count", lambda: 2)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(processes, "tensors_of_all", lambda tensor, heard=heard: list(next(heard)))
        monkeypatch.setattr(processes, "items_of_all", lambda _: [item.clip.text for item in items])
        found.append(gradients(half))
    for name, gradient in alone.items():
        torch.testing.assert_close((found[0][name] + found[1][name]) / 2, gradient, atol=1e-5, rtol=1e-3, msg=name)
    assert alone["log_scale"] != 0


def test_motion_that_a_model_made_is_refused():
    items = samples(6)
    made = sample("copy", "sun rain", made_by="generator 0123456789ab")
    message = "clip tiny/copy holds motion made by generator 0123456789ab, but a retrieval model is trained on reference"
    for train, val in (([*items, made], items), (items, [*items, made])):
        with pytest.raises(UserError, match=message):
            fit(retrieval_module(items), train, 1, val)


def test_unreadable_clips_are_passed_over():
    items, lost = samples(6), SkippedClip("tiny", "lost", "gone")
    logged = fit(retrieval_module(items), [lost, *items, lost, lost], 1, [lost, *items], batch=2).callback_metrics
    assert logged["train/loss"].isfinite() and logged["val/loss"].isfinite()
    with pytest.raises(UserError, match="no clip of the val split can be read"):
        fit(retrieval_module(items), items, 1, [lost])
    module = retrieval_module(items)
    module.training_step(collate_motions([lost]), 0).backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_bad_input_is_named(trained):
    model = trained[0].retriever
    for text in ("", "  \n"):
        with pytest.raises(UserError, match="a text is empty"):
            model.embed_texts(["sun", text])
    signs = model.embed_texts(["?!", "☃ unheard", "SUN  Rain"])
    assert signs.isfinite().all()
    torch.testing.assert_close(signs[2], model.embed_texts(["sun rain"])[0], atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="a motion without frames"):
        model.embed_motions([Motion.rest(0, 25.0)])
    assert model.embed_motions([]).shape == (0, SETTINGS.dimension)
    with pytest.raises(UserError, match="there are no training clips"):
        statistics = compute_statistics([item.features for item in samples(2)], LAYOUT)
        TextMotionRetriever.untrained([], LAYOUT, statistics, SETTINGS, "word", 25.0)
    with pytest.raises(UserError, match="reads one sign language, but these clips are of ASL, DGS"):
        items = [*samples(2), sample("x", "regen", language="DGS")]
        retriever(items)


def test_a_checkpoint_of_other_words_is_refused_and_a_trained_model_is_begun_from(trained):
    module, checkpoint = trained[0], {}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    other = retrieval_module([*samples(), sample("new", "hail tonight")])
    with pytest.raises(UserError, match="statistics hash|other words than the run"):
        other.on_load_checkpoint(checkpoint)
    grown = retriever([*samples(), sample("new", "hail tonight")], trained=module.retriever)
    assert grown.provenance["begun_from"] == [module.retriever.hash]
    begun = grown.take(module.retriever)
    assert list(begun.anew) == ["text_embedding.weight"]  # of the new words
    known = len(module.retriever.texts)
    assert torch.equal(grown.model.text_embedding.weight[:known], module.model.text_embedding.weight)


def test_a_resumed_run_ends_as_one_without_interruption(tmp_path: Path):
    items = samples(8)
    straight, first, resumed = (RetrievalModule(retriever(items), replace(OPTIM, schedule="constant")) for _ in range(3))
    fit(straight, items, 2)
    checkpoint = ModelCheckpoint(tmp_path, filename="last", save_on_train_epoch_end=True)
    fit(first, items, 1, enable_checkpointing=True, callbacks=[checkpoint])
    fit(resumed, items, 2, resume=tmp_path / "last.ckpt")
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name

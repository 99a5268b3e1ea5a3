"""Training of a sign recognizer: it learns to tell signs, resumes exactly, and leaves the encoders alone."""
from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import ModelCheckpoint

from soke.build.recognition import begin
from soke.errors import UserError
from soke.recognition.data import RecognitionData, SignDataset, collate_signs
from soke.recognition.model import SignClassifier
from soke.recognition.module import RecognitionModule
from soke.recognition.recognizer import SignRecognizer
from soke.recognition.scoring import recognition
from soke.run.callbacks import BatchSeed
from soke.run.settings import Optim
from tests.recognition.helpers import SIGNS, SIZES, ToySigns, features, tokenizer
from tests.recognition.test_data import recognition_data

ADAM = Optim(kind="adam", lr=3e-3, betas=[0.9, 0.999])


def made_module(data: RecognitionData, optim: Optim = ADAM, smoothing: float = 0.1) -> RecognitionModule:
    torch.manual_seed(0)
    classifier = SignClassifier(*data.train.statistics(), len(data.signs), SIZES)
    facts = data.train.features.facts
    made_with = {key: facts[key] for key in ("tokenizer", "window", "limits")} | {"validation": data.rule}
    return RecognitionModule(SignRecognizer(classifier, data.signs, data.parts, made_with), optim, smoothing)


def fit(
    module: RecognitionModule, data: RecognitionData, epochs: int, resume: Path | None = None, **options
) -> pl.Trainer:
    options = {"enable_checkpointing": False, "callbacks": [BatchSeed(1)], **options}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return trainer


@pytest.mark.parametrize(("parts", "expected"), [(("rhand", "face"), 100.0), (("lhand", "rhand"), None)])
def test_signs_are_told_by_what_is_seen(tmp_path, parts, expected):
    """All of them by hands and face; by the hands alone those that share them are guessed, and their group is right."""
    corpus = ToySigns({"train": 12, "test": 6})
    data = recognition_data(tmp_path, corpus, parts=parts)
    module = made_module(data)
    trainer = fit(module, data, 20)
    test = features(tmp_path, corpus, "test")
    evaluation = recognition(module.recognizer, test, corpus.labels("test"), "toy", "test", batch_size=4)
    scores = {cell.metric: cell.score.values["percent"] for cell in evaluation.table.cells}
    assert scores["top-1", "normal"] == scores["group", "confusing"] == 100.0
    assert trainer.callback_metrics["val/top-5"] == 100.0  # of four signs
    if expected is not None:
        assert scores["top-1", "confusing"] == scores["top-1", "all"] == expected
        assert trainer.callback_metrics["val/top-1"] == expected
    else:
        assert scores["top-1", "confusing"] < 85.0
        assert scores["top-1", "all"] == pytest.approx((scores["top-1", "confusing"] + 100.0) / 2)
    assert any("who knows the group alone is right in 50.0 %" in note for note in evaluation.table.notes)
    for clip in evaluation.clips:
        assert (clip["rank"] == 1) == (clip["top 1"] == clip["label"]) == (clip["top-1 all percent"] == 100.0)
        assert sorted(clip[f"top {i}"] for i in range(1, 5)) == [sign.number for sign in SIGNS]


def test_the_encoders_do_not_change(tmp_path):
    made = tokenizer()
    before = made.hash
    corpus = ToySigns({"train": 4})
    found = features(tmp_path, corpus, tokenizer=made)
    data = RecognitionData(corpus, found, None, ["face"], val_share=0.3, batch_size=4, eval_batch_size=4)
    fit(made_module(data), data, 2)
    assert made.hash == before and not any(p.grad is not None for p in made.parameters())


def test_what_is_logged_is_of_the_whole_split(tmp_path):
    data = recognition_data(tmp_path, ToySigns({"train": 8}))
    module = made_module(data)
    fit(module, data, 1)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (logged,) = trainer.validate(module, data.val_dataloader(), verbose=False)
    items = [data.val[i] for i in range(len(data.val))]
    with torch.no_grad():
        scores = [module.recognizer.eval()(*_inputs([item]))[0] for item in items]
    losses = [F.cross_entropy(s, torch.tensor(item.sign)).item() for s, item in zip(scores, items)]
    right = [s.argmax().item() == item.sign for s, item in zip(scores, items)]
    assert logged["val/loss"] == pytest.approx(sum(losses) / 8, rel=1e-4)  # without smoothing
    assert logged["val/top-1"] == pytest.approx(100 * sum(right) / 8)


def _inputs(items: list) -> tuple[torch.Tensor, torch.Tensor]:
    batch = collate_signs(items)
    return batch.states, batch.lengths


def test_the_training_loss_is_smoothed(tmp_path):
    data = recognition_data(tmp_path, ToySigns({"train": 4}))
    module = made_module(data, smoothing=0.2)
    batch = collate_signs([data.train[i] for i in range(4)])
    module.log = lambda *arguments, **options: None
    found = module.training_step(batch, 0)
    log_p = module.recognizer(batch.states, batch.lengths).log_softmax(1)
    own = -log_p[torch.arange(4), batch.signs]
    assert found.item() == pytest.approx((0.8 * own - 0.2 * log_p.mean(1)).mean().item(), rel=1e-5)


@pytest.mark.parametrize("step", [3, 7])  # between epochs of three batches, and within one
def test_a_resumed_training_is_the_unbroken_one(tmp_path, step):
    def run(folder: str, epochs: int = 4, resume: Path | None = None, **options) -> RecognitionModule:
        data = recognition_data(tmp_path, ToySigns({"train": 4}))
        module = made_module(data)
        fit(module, data, epochs, resume, **options)
        return module

    whole = run("whole")
    saving = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=step, save_top_k=-1, filename="{step}")
    options = {"enable_checkpointing": True, "callbacks": [BatchSeed(1), saving]}
    run("saving", **options)
    resumed = run("resumed", resume=tmp_path / "saved" / f"step={step}.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_tokenizer_or_of_other_signs_is_refused(tmp_path):
    module = made_module(recognition_data(tmp_path, ToySigns({"train": 4})))
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    other = made_module(recognition_data(tmp_path, ToySigns({"train": 4}, signs=SIGNS[:3])))
    with pytest.raises(UserError, match="does not fit: its signs hash is"):
        other.on_load_checkpoint(checkpoint)
    with pytest.raises(UserError, match="its tokenizer is None, the run's is"):
        module.on_load_checkpoint({})


def test_clips_of_signs_that_are_not_trained_on_are_counted_and_listed(tmp_path):
    """The table says that it is of fewer clips than the split has."""
    data = recognition_data(tmp_path, ToySigns({"train": 4}, signs=SIGNS[:3]))
    corpus = ToySigns({"test": 3})
    found = features(tmp_path / "test", corpus, "test")
    evaluation = recognition(made_module(data).recognizer, found, corpus.labels("test"), "toy", "test", batch_size=2)
    (cell,) = [c for c in evaluation.table.cells if c.metric == ("top-1", "all")]
    assert (cell.score.clips, cell.total) == (9, 12)
    assert set(evaluation.unscored) == {("toy", f"9/{i}", "recognition") for i in range(3)}
    assert cell.score.signature.classes == 3


def test_a_clip_in_a_batch_of_a_test_is_the_clip_alone(tmp_path):
    corpus = ToySigns({"train": 4, "test": 4})
    module = made_module(recognition_data(tmp_path, corpus))
    found = features(tmp_path, corpus, "test")
    single, batched = (
        recognition(module.recognizer, found, corpus.labels("test"), "toy", "test", batch_size=size)
        for size in (1, 7)
    )
    assert {c["clip"]: c["top 1"] for c in single.clips} == {c["clip"]: c["top 1"] for c in batched.clips}
    assert [c.score for c in single.table.cells] == [c.score for c in batched.table.cells]


def test_items_of_a_data_set(tmp_path):
    found = features(tmp_path, ToySigns({"train": 1}))
    item = SignDataset(found, {"9/0": 3}, ["face", "body"])[0]
    assert (item.name, item.sign) == ("9/0", 3)
    assert torch.equal(item.states, found.read("9/0")[:, [3, 0]])


def test_it_begins_from_a_trained_one_sign_by_sign_and_part_by_part(tmp_path, caplog):
    corpus = ToySigns({"train": 4})
    trained = made_module(recognition_data(tmp_path, corpus, parts=("rhand", "face"))).recognizer
    trained.save_pretrained(tmp_path / "model")
    data = recognition_data(tmp_path, ToySigns({"train": 4}, signs=SIGNS[1:]), parts=("lhand", "rhand"))
    module = made_module(data)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in module.recognizer.state_dict().items()}
    begin(module.recognizer, tmp_path / "model")
    ours, theirs, head = module.recognizer.state_dict(), trained.state_dict(), "classifier.head.3.weight"
    assert torch.equal(ours[head], theirs[head][1:]) and len(theirs[head]) == 4
    for name in ("classifier.mean", "classifier.std", "classifier.parts"):  # lhand is new, rhand was the first
        assert torch.equal(ours[name][1], theirs[name][0]) and torch.equal(ours[name][0], before[name][0])
    assert torch.equal(ours["classifier.encoder.layers.0.linear1.weight"], theirs["classifier.encoder.layers.0.linear1.weight"])
    assert "classifier.parts (1 of its 2 rows)" in caplog.text and "3 begin anew" in caplog.text
    same = made_module(recognition_data(tmp_path, corpus, parts=("rhand", "face"))).recognizer
    with torch.no_grad():
        for parameter in same.parameters():
            parameter.add_(1.0)
    begin(same, tmp_path / "model")
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in theirs.items())
    module.recognizer.made_with["tokenizer"] = "another"
    with pytest.raises(UserError, match="reads the states of tokenizer .*, this run those of another: name one"):
        begin(module.recognizer, tmp_path / "model")

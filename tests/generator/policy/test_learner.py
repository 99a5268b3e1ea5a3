"""Learning by reward: the probability of what is rewarded rises, by every objective; processes and checkpoints agree."""

from __future__ import annotations

import copy
import math

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from soke.data.clip import ClipError
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.generator.policy import learner as learning
from soke.generator.policy.likelihood import distributions, drawn
from soke.generator.policy.module import PolicyModule
from soke.generator.settings import Search
from soke.run.callbacks import BatchSeed
from soke.run.settings import Optim
from tests.evaluation.helpers import Corpus
from tests.generator.policy.helpers import make_learner, make_producer
from tests.generator.test_module import Gradients

CLIPS = Corpus(5).clips("train")
OBJECTIVES = ("reinforce", "scst", "grpo", "dpo")


def bandit(monkeypatch) -> None:
    """The share of the first stream's codes that are 3 is all that counts."""
    def rewarded(attempts, weights):
        shares = torch.stack([(codes[:, 0] == 3).float().mean() for codes in attempts.codes])
        return {"reward": shares, "reward_dtw": shares}
    monkeypatch.setattr(learning, "rewards_of", rewarded)


def probability(generator) -> float:
    """Of code 3, at the first step of every sentence."""
    scores = distributions(generator, drawn(generator, CLIPS[:2], Search()))
    return scores[:, 0, 0, 0, 3].exp().mean().item()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_rewarded_code_becomes_likelier(body, monkeypatch, objective):
    bandit(monkeypatch)
    torch.manual_seed(0)
    learner = make_learner(body, objective=objective, samples=8, beta=1.0)
    generator = learner.producer.generator
    optimiser, before = torch.optim.Adam(generator.parameters(), 4e-3), probability(generator)
    for _ in range(4):
        loss, *_ = learner.loss(CLIPS[:2])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert probability(generator) > 1.5 * before
    assert probability(learner.start) == pytest.approx(before)  # it stays what it was


def test_equal_rewards_teach_nothing_and_the_start_does_not_diverge_from_itself(body, monkeypatch):
    monkeypatch.setattr(learning, "rewards_of", lambda attempts, weights: {"reward": torch.ones(len(attempts.codes))})
    learner = make_learner(body, objective="grpo")
    loss, values, count = learner.loss(CLIPS)
    assert (count, values["kl"].item(), values["reward_spread"].item(), loss.item()) == (15, 0, 0, 0)
    loss.backward()
    assert max(p.grad.abs().max() for p in learner.producer.generator.parameters() if p.grad is not None) == 0
    assert set(learner.validated(CLIPS)) == {"reward", "kl", "steps"} and learner.validated(CLIPS)["kl"][0] == 0


def test_samples_are_used_again_and_drawn_anew(body, monkeypatch):
    learner, sets = make_learner(body, objective="grpo", updates=2), []
    original = learning.drawn
    monkeypatch.setattr(learning, "drawn", lambda *a: sets.append(1) or original(*a))
    for step, count in enumerate([1, 1, 2, 2, 3]):
        _, values, _ = learner.loss(CLIPS[:2])
        assert len(sets) == count and ("reward" in values) == (step % 2 == 0)
    learner.forget()
    learner.loss(CLIPS[:2])
    assert len(sets) == 4


def test_only_so_many_sentences_are_signed_and_clips_without_motion_are_skipped(body):
    class Torn(Corpus):
        def load(self, clip):
            if clip.name in ("c0", "c1"):
                raise ClipError("torn")
            return super().load(clip)

    learner = make_learner(body, corpus=Torn(5), samples=2)
    assert learner.loss(CLIPS)[2] == 6 and {s.name for s in learner.skipped} == {"c0", "c1"}
    assert learner.loss(CLIPS[:2])[0] is None
    few = make_learner(body, sentences=2)
    assert few.loss(CLIPS)[2] == 6


def test_the_running_mean_is_of_the_batches_before(body):
    learner = make_learner(body, objective="reinforce", decay=0.75)
    assert learner._running_mean(None) == 0.0 and learner.baseline is None
    assert learner._running_mean(torch.tensor([[1.0, 3.0]])) == 2.0  # the first has its own
    assert learner._running_mean(torch.tensor([[4.0]])) == 2.0
    assert learner.baseline == pytest.approx(0.75 * 2.0 + 0.25 * 4.0)


def batches(count: int) -> list[CodeBatch]:
    made = []
    for i in range(count):
        clips = [CLIPS[i % 5], CLIPS[(i + 2) % 5]]
        codes = torch.randint(0, 12, (2, 4, 3), generator=torch.Generator().manual_seed(i))
        texts, languages = [clip.text for clip in clips], [clip.language for clip in clips]
        made.append(CodeBatch(codes, torch.tensor([4, 4]), texts, languages, clips, []))
    return made


def make_module(body, learner=None, **changes) -> PolicyModule:
    learner = learner or make_learner(body, **{"share": 0.5, **changes})
    producer = learner.producer
    return PolicyModule(
        producer.generator, producer.tokenizer, Optim(lr=1e-3, schedule="constant"), learner=learner,
        clips=Corpus(5).clips("val")[:2],
    )


def fit(module: PolicyModule, epochs: int, folder=None, train=6, **options) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )
    trainer.callbacks.append(BatchSeed(5))
    loaders = [DataLoader(batches(count), batch_size=None) for count in (train, 2)]
    trainer.fit(module, *loaders, ckpt_path=folder, weights_only=True if folder else None)
    return trainer


@pytest.mark.parametrize(("objective", "more"), [
    pytest.param("reinforce", {}, marks=pytest.mark.slow), ("grpo", {"updates": 2}),
])
def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(body, tmp_path, objective, more):
    settings = {"objective": objective, "samples": 2, "share": 0.7, **more}
    whole = fit(make_module(body, **settings), 2, train=3)
    first = fit(make_module(body, **settings), 1, train=3)
    first.save_checkpoint(tmp_path / "last.ckpt")
    rest = fit(make_module(body, **settings), 2, tmp_path / "last.ckpt", train=3)
    assert rest.global_step == whole.global_step == 6
    for (name, ours), theirs in zip(whole.model.state_dict().items(), rest.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert whole.model.learner.state() == rest.model.learner.state()
    assert whole.callback_metrics["val/reward"] == rest.callback_metrics["val/reward"]
    assert not any("start" in name or "learner" in name for name in whole.model.state_dict())


def test_a_checkpoint_of_another_start_or_another_reader_is_refused(body):
    module, checkpoint = make_module(body), {}
    module._start, module._best = 0.4, 0.5
    module.on_save_checkpoint(checkpoint)
    other = make_module(body)
    other.on_load_checkpoint(copy.deepcopy(checkpoint))
    assert other._best == 0.5
    other.learner.begun_from = "another"
    with pytest.raises(UserError, match="began from the generator start, TRAIN.INIT is another"):
        other.on_load_checkpoint(copy.deepcopy(checkpoint))
    changed = copy.deepcopy(checkpoint)
    changed["soke"]["policy"]["readers"] = ["0123456789ab"]
    with pytest.raises(UserError, match="POLICY.READER holds other models"):
        make_module(body).on_load_checkpoint(changed)
    del checkpoint["soke"]["policy"]
    with pytest.raises(UserError, match="has not learnt by reward"):
        make_module(body).on_load_checkpoint(checkpoint)


def test_what_is_logged(body):
    module = make_module(body, rewards={"dtw": 1.0, "length": 0.2})
    logged = fit(module, 1).callback_metrics
    both = {f"{stage}/{name}" for stage in ("train", "val") for name in (
        "reward", "reward_dtw", "reward_length", "kl", "steps", "loss",
    )}
    assert both | {"start/reward", "train/reward_spread", "train/clipped"} <= set(logged)
    assert (module.monitor, module.monitor_mode) == ("val/reward", "max")
    assert logged["val/reward"] == pytest.approx(
        (logged["val/reward_dtw"] + 0.2 * logged["val/reward_length"]).item(), rel=1e-5
    )
    assert logged["val/kl"] > 0 and logged["start/reward"] != logged["val/reward"]


def test_training_stops_when_the_reward_falls(body, monkeypatch, caplog):
    module, rewards = make_module(body, patience=2), iter([0.3, 0.4, 0.2, 0.1, 0.9])
    monkeypatch.setattr(module, "_validate_reward", lambda: {"reward": torch.tensor(next(rewards))})
    assert fit(module, 9, train=1).current_epoch == 3 and module._best == pytest.approx(0.4)
    assert "for 2 validations the reward has not risen above 0.4, the last is 0.1" in caplog.text
    assert "that of TRAIN.INIT" not in caplog.text
    never = make_module(body, patience=0)
    monkeypatch.setattr(never, "_validate_reward", lambda: {"reward": torch.tensor(0.3)})
    assert fit(never, 4, train=1).current_epoch == 4
    assert "has not risen above 0.3, that of TRAIN.INIT" in caplog.text


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_parameter_has_a_gradient_and_a_batch_without_clips_none_but_zero(body, precision):
    """For which the other processes wait; samples and their probabilities are in float32."""
    empty = CodeBatch(torch.zeros(0, 0, 0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), [], [], [], [])
    steps, module = Gradients(), make_module(body, share=1.0)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, precision=precision, callbacks=[steps],
    )
    trainer.fit(module, DataLoader([*batches(1), empty], batch_size=None))
    wanted = {name for name, p in module.named_parameters() if p.requires_grad}
    signed, nothing = steps.found
    assert signed.keys() == nothing.keys() == wanted
    assert any(g.any() for g in signed.values()) and not any(g.any() for g in nothing.values())
    assert math.isclose(trainer.callback_metrics["train/kl"].item(), 0.0)


def test_every_share_of_the_batches_is_drawn(body):
    module = make_module(body, make_learner(body, make_producer(translation=0.3), share=0.5))
    module._trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    torch.manual_seed(0)
    names = [module._drawn().__name__ for _ in range(2000)]
    shares = {name: names.count(name) / 2000 for name in set(names)}
    assert shares == pytest.approx({"_policy_step": 0.5, "_translation_step": 0.3, "_step": 0.2}, abs=0.03)

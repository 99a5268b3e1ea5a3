"""Prompt2LangGloss: prompts in, tokens that name their sign language, and the poses that are made of them."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import sacrebleu
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.group import new_group, specs_of
from soke.regressor.langgloss import LangGlossFront
from soke.regressor.module import RegressorModule
from soke.regressor.producer import RegressorProducer
from soke.regressor.regressor import PoseRegressor
from soke.regressor.settings import LangGloss
from soke.run.settings import Optim
from soke.settings import SettingsError
from soke.text.lang_glosses import END, PADDING
from soke.text.prompts import Prompts
from tests.regressor.helpers import (
    FEATURES,
    FPS,
    LAYOUT,
    LOCALES,
    SETTINGS,
    assert_close,
    batch_of,
    clip,
    objectives,
    regressor,
    sample,
    samples,
)

PROMPTS = Prompts({"ASL": ["sign {}", "how is {} signed", "{} please"], "DGS": ["wie geht {}", "bitte {}"]})
WRITING = LangGloss(layers=1, weight=0.5, max_tokens=8)


def writing(source: str = "text", seed: int = 0, **changes) -> PoseRegressor:
    """As `regressor`, with LangGloss and, where it reads prompts, the templates above."""
    plain = regressor(seed=seed, source="text", **changes)
    items = samples()
    settings = replace(SETTINGS, **changes, source=source, lang_gloss=WRITING)
    prompts = PROMPTS if source == "prompt" else None
    specs = specs_of(settings, [item.clip for item in items], LOCALES, FPS, prompts)
    torch.manual_seed(seed)
    groups = {name: new_group(spec, FEATURES) for name, spec in specs.items()}
    mean, std = plain.statistics.mean, plain.statistics.std
    return PoseRegressor(LAYOUT, mean, std, groups).eval()


def front_of(model: PoseRegressor) -> LangGlossFront:
    return model.groups["all"].front


def embedded(model: PoseRegressor, sentences):
    return model.groups["all"]._embedded(sentences)


def trained(model: PoseRegressor, steps: int = 100) -> PoseRegressor:
    """Overfitted to the samples."""
    batch, optimizer = batch_of(samples()), torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for step in range(steps):
        model.epoch = step
        output = model(batch.clips, batch.features, batch.lengths)
        loss = output.errors.mean() + output.terms["lang_gloss"].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
    return model.eval()


@pytest.fixture(scope="module")
def overfitted():
    return trained(writing("prompt", width=32, feedforward=64, counter_weight=1.0))


def saved(model: PoseRegressor, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


CLIPS = [sample.clip for sample in samples()]
OWN = [[f"{c.language}_{word}" for word in c.gloss.split()] for c in CLIPS]


def test_a_sentence_written_alone_is_written_as_in_a_batch():
    model = writing()
    front = front_of(model)
    together = front.write(*embedded(model, CLIPS), [c.language for c in CLIPS])
    for i, own in enumerate(CLIPS):
        alone = front.write(*embedded(model, [own]), [own.language])
        assert alone.ids == [together.ids[i]]
        count = len(alone.ids[0]) + 1
        assert together.mask[i].tolist() == [True] * count + [False] * (together.mask.shape[1] - count)
        torch.testing.assert_close(together.states[i, :count], alone.states[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def slowly_written(front: LangGlossFront, x, mask, language: str) -> list[int]:
    """The reference: the whole beginning is decoded anew for every token."""
    memory, ids, own = front.encode_embedded(x, mask), [], front.glosses.words_of(language)
    while len(ids) < front.settings.max_tokens:
        states, _ = front.decode(torch.tensor([[front.glosses.beginning(language), *ids]]), memory)
        scores = front.head(states[0, -1])
        chosen = max([END, *own], key=lambda i: scores[i])
        if chosen == END:
            break
        ids.append(chosen)
    return ids


@pytest.mark.parametrize("seed", range(3))
def test_cached_is_uncached(seed):
    model = writing(seed=seed)
    front = front_of(model)
    for own in CLIPS:
        x, mask = embedded(model, [own])
        written = front.write(x, mask, [own.language])
        (ids,) = written.ids
        assert ids == slowly_written(front, x, mask, own.language)
        whole, _ = front.decode(torch.tensor([[front.glosses.beginning(own.language), *ids]]), front.encode_embedded(x, mask))
        torch.testing.assert_close(written.states, whole, atol=1e-5, rtol=1e-5)


def test_no_more_tokens_than_allowed_and_known_words_of_the_own_language_alone():
    model = writing()
    front = front_of(model)
    with torch.no_grad():  # the ends and all that must not be written are made likely
        front.head.bias[END] = -100
        front.head.bias[[PADDING, *(front.glosses.unknown(language) for language in LOCALES)]] = 100
    written = model.lang_glosses([Typed("snow", "ASL"), Typed("snow", "DGS")])
    assert [len(tokens) for tokens in written] == [8, 8]
    known = {language: {f"{language}_{word}" for word in front.glosses.words[language]} for language in LOCALES}
    assert set(written[0]) <= known["ASL"] and set(written[1]) <= known["DGS"]


def test_a_sentence_of_which_nothing_is_written_is_signed_all_the_same():
    model = writing()
    front = front_of(model)
    with torch.no_grad():
        front.head.bias[END] = 100
    written = front.write(*embedded(model, CLIPS), [own.language for own in CLIPS])
    assert written.ids == [[]] * len(CLIPS) and written.mask.tolist() == [[True]] * len(CLIPS)
    assert all(len(features["head"]) for features in model.generate(CLIPS, 5).features)


def test_the_loss_is_the_mean_cross_entropy_of_tokens_and_end():
    model = writing()
    front = front_of(model)
    written = front(*embedded(model, CLIPS), CLIPS)
    for i, own in enumerate(CLIPS):
        ids = front.glosses.ids(own.language, own.text, own.gloss)
        states, _ = front.decode(
            torch.tensor([[front.glosses.beginning(own.language), *ids]]), front.encode_embedded(*embedded(model, [own]))
        )
        expected = functional.cross_entropy(front.head(states[0]), torch.tensor([*ids, END]))
        torch.testing.assert_close(written.losses[i], expected)
    output = model(CLIPS, (batch := batch_of(samples())).features, batch.lengths)
    torch.testing.assert_close(output.terms["lang_gloss"], WRITING.weight * written.losses)


def test_unknown_words_are_read_but_in_no_loss():
    model = writing()
    front = front_of(model)
    known, unknown = clip("rain", "ASL", gloss="RAIN"), clip("rain", "ASL", gloss="RAIN RAINBOW")
    with torch.no_grad():
        front.head.bias[front.glosses.unknown("ASL")] = -1e4
    losses = front(*embedded(model, [known, unknown]), [known, unknown]).losses
    assert losses[1] < 100  # two of three tokens count: RAIN and the end
    assert model.own_lang_glosses([unknown]) == [["ASL_RAIN", "ASL_RAINBOW"]]


def test_poses_teach_what_is_written():
    model, batch = writing().train(), batch_of(samples())
    model(batch.clips, batch.features, batch.lengths).errors.mean().backward()
    gradients = {name: p.grad for name, p in front_of(model).named_parameters()}
    assert all(gradients[name].abs().sum() > 0 for name in gradients if not name.startswith("head"))
    assert gradients["head.weight"] is None  # the cross-entropy's alone


def test_it_learns_to_write_and_to_sign_what_it_writes(overfitted):
    assert overfitted.lang_glosses(CLIPS) == overfitted.own_lang_glosses(CLIPS) == OWN
    made, signed = ([torch.cat([*features.values()], dim=1) for features in of] for of in (
        overfitted.generate(CLIPS, 60).features, [item.features for item in samples()],
    ))
    for i, frames in enumerate(made):
        lengths = [min(len(frames), len(reference)) for reference in signed]
        missed = [float((frames[:n] - reference[:n]).abs().mean()) for n, reference in zip(lengths, signed)]
        assert missed[i] < 0.5 * min(missed[:i] + missed[i + 1 :]), f"{CLIPS[i].text}: {missed}"


def test_the_states_of_training_are_those_of_inference_where_the_tokens_are_the_same(overfitted):
    front, source = front_of(overfitted), embedded(overfitted, CLIPS)
    taught, written = front(*source, CLIPS), front.write(*source, [c.language for c in CLIPS])
    assert taught.ids == written.ids
    assert torch.equal(taught.mask, written.mask)
    torch.testing.assert_close(taught.states[taught.mask], written.states[written.mask], atol=1e-4, rtol=1e-4)


def test_a_mixed_batch_is_each_sentence_alone(overfitted):
    together = overfitted.generate(CLIPS, 60)
    for i, own in enumerate(CLIPS):
        alone = overfitted.generate([own], 60)
        assert alone.ended == [together.ended[i]]
        assert_close(alone.features[0], together.features[i])


def test_the_same_text_in_two_languages_is_two_sequences(overfitted):
    asl, dgs = overfitted.lang_glosses([Typed("snow", "ASL"), Typed("snow", "DGS")])
    assert asl and dgs and all(t.startswith("ASL_") for t in asl) and all(t.startswith("DGS_") for t in dgs)
    with pytest.raises(UserError, match="does not sign CSL"):
        overfitted.lang_glosses([Typed("snow", "CSL")])


def test_what_was_saved_writes_and_signs_the_same(overfitted, tmp_path):
    loaded = PoseRegressor.from_pretrained(saved(overfitted, tmp_path / "regressor"))
    assert loaded.hash == overfitted.hash and loaded.groups["all"].spec == overfitted.groups["all"].spec
    assert loaded.lang_glosses(CLIPS) == OWN
    typed = Typed("rain tomorrow", "ASL")
    assert RegressorProducer(loaded).lang_gloss(typed) == "{}\n{}".format(
        PROMPTS.of("typed", typed.text, "ASL"), " ".join(overfitted.lang_glosses([typed])[0])
    )
    assert_close(loaded.generate(CLIPS, 60).features[1], overfitted.generate(CLIPS, 60).features[1])


def test_training_reads_another_prompt_in_every_epoch_and_nothing_else_does():
    model = writing("prompt")
    group, own = model.groups["all"], CLIPS[0]
    read = {tuple(group.spec.source(own, epoch)) for epoch in range(30)}
    assert read == {
        ("<ASL>", *tokens, "</s>") for tokens in (
            ("sign", "rain", "tomorrow"), ("how", "is", "rain", "tomorrow", "signed"), ("rain", "tomorrow", "please"),
        )
    }
    batch = batch_of(samples()[:1])
    errors = {}
    for training in (True, False):
        model.train(training)
        for model.epoch in range(30):
            output = model(batch.clips, batch.features, batch.lengths)
            errors.setdefault(training, set()).add(round(float(output.terms["lang_gloss"][0].detach()), 5))
    assert (len(errors[True]), len(errors[False])) == (3, 1)


def test_a_clip_s_own_prompt_goes_before_templates_and_brings_its_words():
    own = replace(clip("rain", "ASL", gloss="RAIN"), prompt="Tell me rain!")
    settings = replace(SETTINGS, source="prompt")
    (spec,) = specs_of(settings, [own], LOCALES, FPS, PROMPTS).values()
    assert spec.source(own) == spec.source(own, 3) == ["tell", "me", "rain", "</s>"]
    assert sorted(spec.tokens) == ["me", "rain", "tell"]  # not those of templates, which no training reads
    (spec,) = specs_of(settings, [replace(own, prompt=None)], LOCALES, FPS, PROMPTS).values()
    assert sorted(spec.tokens) == ["how", "is", "please", "rain", "sign", "signed"]
    assert spec.prompts == PROMPTS.only(["ASL"]) and spec.glosses is None


def test_prompts_are_read_by_groups_of_each_language_too():
    made = specs_of(replace(SETTINGS, source="prompt", groups="per_language"), CLIPS, LOCALES, FPS, PROMPTS)
    assert {name: spec.prompts for name, spec in made.items()} == {name: PROMPTS.only([name]) for name in LOCALES}
    assert made["DGS"].source(CLIPS[2])[-1] == "</s>" and "regen" in made["DGS"].source(CLIPS[2])


@pytest.mark.parametrize("changes, problem", [
    ({"groups": "per_language", "lang_gloss": WRITING}, "`groups` must be shared, not per_language"),
    ({"source": "gloss", "lang_gloss": WRITING}, "would write the glosses that it reads"),
    ({"prompt_folder": "prompts"}, "`prompt_folder` has no effect with `source`=text"),
])
def test_settings_that_make_no_sense_are_refused(changes, problem):
    with pytest.raises(SettingsError, match=problem):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize("changes", [{"layers": 0}, {"weight": 0.0}, {"weight": float("nan")}, {"max_tokens": 0}])
def test_settings_of_lang_gloss_that_make_no_sense_are_refused(changes):
    with pytest.raises(SettingsError, match=f"`{[*changes][0]}` must be"):
        replace(WRITING, **changes)


def test_training_logs_the_loss_and_what_is_written_and_its_export_signs(overfitted, tmp_path):
    """A sentence that is written wrong on purpose: DGS_REGEN MORGEN for MORGEN REGEN; unigrams are all right."""
    items = [*samples()[:2], *samples()[3:], sample("morgen regen", "DGS", 2, gloss="REGEN MORGEN")]
    model = PoseRegressor.from_pretrained(saved(overfitted, tmp_path / "before"))
    batches = DataLoader([batch_of(items[:2]), batch_of([]), batch_of(items[2:])], batch_size=None)
    module = RegressorModule(model, Optim(lr=1e-12, schedule="constant"), objectives())
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=tmp_path, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )
    trainer.fit(module, batches, batches)
    logged, clips = trainer.callback_metrics, [item.clip for item in items]
    assert float(logged["val/lang_gloss_exact"]) == pytest.approx(4 / 5)
    hypotheses, references = model.lang_glosses(clips), model.own_lang_glosses(clips)
    expected = sacrebleu.corpus_bleu(
        [" ".join(h) for h in hypotheses], [[" ".join(r) for r in references]], tokenize="none", smooth_method="none",
    ).score
    assert float(logged["val/lang_gloss_BLEU-4"]) == pytest.approx(expected, abs=1e-3) and 50 < expected < 100
    assert float(logged["train/loss"]) > float(logged["train/lang_gloss"]) > 0
    module.export(tmp_path / "export")
    producer = RegressorProducer(PoseRegressor.from_pretrained(tmp_path / "export"), max_frames=20)
    motions = producer.produce([*clips, Typed("rain tomorrow", "ASL")])
    assert [motion.fps for motion in motions] == [24.0, 24.0, 24.0, 25.0, 25.0, 24.0]
    assert all(0 < len(motion) <= 20 and motion.made_by for motion in motions)


def test_a_checkpoint_of_other_templates_is_not_resumed():
    module, other = (RegressorModule(writing("prompt"), Optim(), objectives()) for _ in range(2))
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    spec = other.regressor.groups["all"].spec
    other.regressor.groups["all"].spec = replace(spec, prompts=Prompts(PROMPTS.templates, seed=1))
    with pytest.raises(UserError, match="it has other groups than the run"):
        other.on_load_checkpoint(checkpoint)


def test_a_regressor_without_lang_gloss_says_so():
    with pytest.raises(UserError, match="writes no LangGloss: train one with configs/signllm_prompt2langgloss.yaml"):
        regressor().lang_glosses(CLIPS)

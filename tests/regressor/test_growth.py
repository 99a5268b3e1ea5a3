"""Groups that share nothing (MLSF): each learns by its own clips alone, and comes, goes and stays without the others."""
from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from soke.data.dataset import MotionBatch, MotionSample
from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.group import new_group, specs_of
from soke.regressor.growth import assembled, learning, only, start_from, with_languages
from soke.regressor.module import RegressorModule
from soke.regressor.regressor import PoseRegressor
from soke.regressor.settings import LangGloss
from soke.run.settings import Optim
from tests.regressor import helpers
from tests.regressor.helpers import FPS, LOCALES, SENTENCES, batch_of, objectives, regressor, sample, samples

TYPED = [Typed(*sentence) for sentence in SENTENCES]
KINDS = ({}, {"just_counter": True}, {"future": 4}, {"start": "mean", "loss": "l1"})
NEW = "LSA"


@pytest.fixture
def new_language(monkeypatch) -> list[MotionSample]:
    """Clips of a language that no model has learnt; the word "sun" is one of ASL, too."""
    monkeypatch.setitem(helpers.CORPORA, NEW, "lsa")
    monkeypatch.setitem(FPS, "lsa", 30.0)
    monkeypatch.setitem(LOCALES, NEW, "es_XX")
    return [sample("sol y sun", NEW, 0), sample("lluvia hoy", NEW, 1)]


def specs(items: Sequence[MotionSample], **changes):
    settings = replace(helpers.SETTINGS, groups="per_language", **changes)
    return specs_of(settings, [item.clip for item in items], LOCALES, FPS)


def state_of(model: PoseRegressor, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.groups[name].state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


# --- a mixed batch


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_mixed_batch_gives_bit_for_bit_what_each_language_gives_alone(settings):
    model, items = regressor(groups="per_language", **settings), samples()
    batch = batch_of(items)
    together, made = model(batch.clips, batch.features, batch.lengths), model.generate(batch.clips, 9)
    for language in ("ASL", "DGS"):
        rows = [i for i, item in enumerate(items) if item.clip.language == language]
        own = batch_of([items[i] for i in rows])
        alone, signed = model(own.clips, own.features, own.lengths), model.generate(own.clips, 9)
        for name in ("errors", "squared", "counter", "frames"):
            assert torch.equal(getattr(together, name)[rows], getattr(alone, name))
        for row, features in zip(rows, signed.features):
            assert_same(made.features[row], features)


def test_the_gradient_of_a_group_is_that_of_its_language_alone():
    """Times its share of the batch's frames, over which the mean is."""
    model, items = regressor(groups="per_language").train(), samples()

    def gradients(clips: Sequence[MotionSample], name: str) -> list[Tensor]:
        batch = batch_of(clips)
        output = model(batch.clips, batch.features, batch.lengths)
        loss = (output.errors * output.frames).sum() / output.frames.sum()
        return torch.autograd.grad(loss, list(model.groups[name].parameters()))

    for name in ("ASL", "DGS"):
        own = [item for item in items if item.clip.language == name]
        share = sum(len(item.motion) for item in own) / sum(len(item.motion) for item in items)
        for mixed, alone in zip(gradients(items, name), gradients(own, name)):
            torch.testing.assert_close(mixed, share * alone, atol=1e-7, rtol=1e-4)


def trained(model: PoseRegressor, batches: Sequence[MotionBatch], folder, **options) -> RegressorModule:
    optim = Optim(kind="adamw", lr=1e-2, weight_decay=0.1, schedule="constant")
    module = RegressorModule(model, optim, objectives())
    trainer = pl.Trainer(
        default_root_dir=folder, max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0, use_distributed_sampler=False,
        **{"gradient_clip_val": 0.1, **options},
    )
    trainer.fit(module, torch.utils.data.DataLoader(list(batches), batch_size=None))
    return module


def test_training_changes_each_group_by_its_own_clips_alone(tmp_path):
    """What is said in the other language, and how large its gradients are, which are clipped, changes nothing; nor does a
    batch without one of its clips, in which momentum and weight decay would go on."""
    items = samples()
    others = [
        item if item.clip.language == "ASL" else replace(
            item, clip=replace(item.clip, text="regen und regen"),
            features={part: 9 * values.flip(0) for part, values in item.features.items()},
        ) for item in items
    ]
    german = [item for item in items if item.clip.language == "DGS"]
    model = regressor(groups="per_language")
    start = {name: state_of(model, name) for name in model.groups}
    runs = {
        name: trained(copy.deepcopy(model), batches, tmp_path).regressor for name, batches in {
            "mixed": [batch_of(items), batch_of(items)],
            "other German": [batch_of(others), batch_of(others)],
            "German alone between": [batch_of(items), batch_of(german), batch_of(items)],
            "German alone": [batch_of(german)],
        }.items()
    }
    assert_same(state_of(runs["mixed"], "ASL"), state_of(runs["other German"], "ASL"))
    assert not torch.equal(*(run.groups["DGS"].network.frame_head.weight for run in list(runs.values())[:2]))
    mixed, between = (state_of(runs[name], "ASL") for name in ("mixed", "German alone between"))
    assert_same(mixed, between)
    assert_same(state_of(runs["German alone"], "ASL"), start["ASL"])
    assert not torch.equal(mixed["network.frame_head.weight"], start["ASL"]["network.frame_head.weight"])


@pytest.mark.parametrize("clip", [None, 0.05])
def test_each_group_s_gradient_is_clipped_by_itself(clip):
    module, norms = RegressorModule(regressor(groups="per_language"), Optim(), objectives()), {}
    batch = batch_of(samples())
    output = module.regressor(batch.clips, batch.features, batch.lengths)
    output.errors.sum().backward()
    before = {n: torch.stack([p.grad.norm() for p in g.parameters()]).norm() for n, g in module.regressor.groups.items()}
    module.configure_gradient_clipping(None, clip)
    for name, group in module.regressor.groups.items():
        norms[name] = torch.stack([p.grad.norm() for p in group.parameters()]).norm()
        torch.testing.assert_close(norms[name], before[name] if clip is None else torch.tensor(clip), rtol=1e-3, atol=0)


# --- a language is added


@pytest.mark.parametrize("start", [None, "ASL"])
@pytest.mark.parametrize("groups", ["per_language", "shared"])
def test_an_added_group_leaves_the_others_as_they_are_to_the_bit(new_language, tmp_path, groups, start):
    """Weights, hashes and outputs, of a model with a group per language and of one with a group for all."""
    model = regressor(groups=groups)
    model.save_pretrained(tmp_path / "model")
    before = {name: (group.hash, state_of(model, name)) for name, group in model.groups.items()}
    signed = model.generate(TYPED, 8)
    grown = with_languages(model, specs(new_language), start)
    assert [name for name, group in grown.groups.items() if not group.frozen] == [NEW]
    assert grown.provenance()["frozen_groups"] == {name: found for name, (found, _) in before.items()}
    fresh = state_of(grown, NEW)
    module = trained(grown, [batch_of(new_language)] * 3, tmp_path)
    assert not torch.equal(state_of(grown, NEW)["network.frame_head.weight"], fresh["network.frame_head.weight"])
    module.export(tmp_path / "grown")
    loaded = PoseRegressor.from_pretrained(tmp_path / "grown")
    assert loaded.languages == ["ASL", "DGS", NEW] and torch.equal(loaded.mean, model.mean)
    assert torch.equal(loaded.std, model.std)
    for name, (found, weights) in before.items():
        assert loaded.groups[name].hash == found
        assert_same(state_of(loaded, name), weights)
    for ours, theirs in zip(signed.features, loaded.generate(TYPED, 8).features):
        assert_same(theirs, ours)
    assert len(loaded.generate([Typed("sol y lluvia", NEW)], 8).features[0]) == 3
    for name in before:
        file = f"groups/{name}/model.safetensors"
        assert (tmp_path / "grown" / file).read_bytes() == (tmp_path / "model" / file).read_bytes()


def test_a_language_without_lang_gloss_is_added_to_a_model_that_writes_it(new_language, tmp_path):
    """What is logged is of the group that learns."""
    items = samples()
    settings = replace(helpers.SETTINGS, lang_gloss=LangGloss(layers=1, weight=1.0, max_tokens=5))
    model, written = regressor(), specs_of(settings, [item.clip for item in items], LOCALES, FPS)
    statistics = model.statistics
    groups = {name: new_group(spec, len(model.mean)) for name, spec in written.items()}
    model = PoseRegressor(model.layout, statistics.mean, statistics.std, groups)
    assert (model.terms, model.writes) == (["lang_gloss"], True)
    grown = with_languages(model, specs(new_language))
    assert (grown.terms, grown.writes) == ([], False)
    module = RegressorModule(grown, Optim(schedule="constant"), objectives())
    trainer = pl.Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False)
    (logged,) = trainer.validate(module, torch.utils.data.DataLoader([batch_of(new_language)], batch_size=None))
    assert "val/loss" in logged and not [name for name in logged if "lang_gloss" in name]


def test_a_group_has_its_own_words_and_sizes(new_language):
    grown = with_languages(regressor(groups="per_language"), specs(new_language, width=32, layers=1))
    assert set(grown.groups[NEW].vocabulary.tokens) == {"sol", "y", "sun", "lluvia", "hoy"}
    assert (grown.groups[NEW].settings.width, grown.groups["ASL"].settings.width) == (32, 16)
    assert grown.settings.width == 32  # of what is trained
    assert grown.rate(Typed("sol", NEW)) == 30.0


def test_what_the_model_signs_already_is_refused(new_language):
    model = regressor(groups="per_language")
    with pytest.raises(UserError, match=r"signs DGS already \(ASL, DGS\): leave the corpora of that language out"):
        with_languages(model, specs([*new_language, sample("morgen", "DGS")]))
    with pytest.raises(UserError, match="does not sign KSL: it has learnt ASL, DGS"):
        with_languages(model, specs(new_language), "KSL")


def test_a_group_starts_from_another_as_far_as_it_fits(new_language, caplog):
    caplog.set_level(logging.INFO)
    model = regressor(groups="per_language")
    grown = with_languages(model, specs(new_language), "ASL")
    ours, theirs = grown.groups[NEW], grown.groups["ASL"]
    for name, value in ours.state_dict().items():
        if name not in ("network.token_embedding.weight", "deviation"):
            assert torch.equal(value, theirs.state_dict()[name]), name
    words = {word: [g.network.token_embedding.weight[g.vocabulary.ids([word])[0]] for g in (ours, theirs)] for word in ("sun", "sol")}
    assert torch.equal(*words["sun"]) and not torch.equal(*words["sol"])
    assert torch.equal(ours.network.token_embedding.weight[:4], theirs.network.token_embedding.weight[:4])
    total = sum(p.numel() for p in ours.parameters())
    assert f"the group {NEW} starts from that of ASL: {total - 4 * 16} of its {total} weights, the embeddings of 1 of its 5" in caplog.text
    with torch.no_grad():  # a copy, not the same weights
        ours.network.frame_head.weight.zero_()
    assert theirs.network.frame_head.weight.any()


def test_what_does_not_fit_starts_at_random(new_language):
    model = regressor(groups="per_language")
    grown = with_languages(model, specs(new_language, layers=1, future=3), "ASL")  # a shallower network, another head
    ours, theirs = grown.groups[NEW], grown.groups["ASL"]
    assert torch.equal(ours.network.encoder[0].feedforward[0].weight, theirs.network.encoder[0].feedforward[0].weight)
    assert ours.network.frame_head.weight.shape != theirs.network.frame_head.weight.shape
    with pytest.raises(UserError, match="nothing of the group of ASL fits one of width 32, for it has 16: give the new one"):
        start_from(with_languages(model, specs(new_language, width=32)).groups[NEW], model.groups["ASL"])


# --- groups by themselves


def test_a_group_is_saved_and_loaded_alone_and_a_model_is_put_together_of_groups(tmp_path):
    model = regressor(groups="per_language")
    for language in ("ASL", "DGS"):
        only(model, [language]).save_pretrained(tmp_path / language)
    alone = [PoseRegressor.from_pretrained(tmp_path / language) for language in ("ASL", "DGS")]
    assert [one.languages for one in alone] == [["ASL"], ["DGS"]]
    signed = model.generate(TYPED, 8).features
    for one in alone:
        rows = [i for i, sentence in enumerate(TYPED) if sentence.language in one.languages]
        for row, features in zip(rows, one.generate([TYPED[i] for i in rows], 8).features):
            assert_same(features, signed[row])
        with pytest.raises(UserError, match="does not sign"):
            one.generate([TYPED[i] for i in range(len(TYPED)) if i not in rows], 8)
    whole = assembled(alone)
    assert whole.hash == model.hash
    for ours, theirs in zip(signed, whole.generate(TYPED, 8).features):
        assert_same(theirs, ours)


def test_groups_that_do_not_belong_together_are_refused():
    model = regressor(groups="per_language")
    with pytest.raises(UserError, match="two regressors have a group ASL of ASL"):
        assembled([model, only(model, ["ASL"])])
    moved = [replace(item, features={p: v + 1 for p, v in item.features.items()}) for item in samples()]
    other = only(regressor(moved, groups="per_language"), ["DGS"])
    with pytest.raises(UserError, match="of ASL and of DGS do not belong together: their statistics differ"):
        assembled([only(model, ["ASL"]), other])


# --- groups that go on


@pytest.mark.parametrize("settings", [{}, {"lang_gloss": LangGloss(layers=1, weight=1.0, max_tokens=9)}], ids=str)
def test_a_group_of_all_goes_on_as_it_was_and_new_words_move_none(settings):
    """Those of LangGloss stand language by language, so that new ones come between."""
    model, items = regressor(**settings), samples()
    shared = replace(helpers.SETTINGS, **settings)
    same, begun = learning(model, specs_of(shared, [item.clip for item in items], LOCALES, FPS))
    assert begun.anew == {} and begun.unused == []
    assert_same(state_of(model, "all"), state_of(same, "all"))
    more = [*items, sample("hail tomorrow", "ASL", 9, gloss="HAIL TOMORROW")]
    grown, begun = learning(model, specs_of(shared, [item.clip for item in more], LOCALES, FPS))
    assert any("network.token_embedding.weight" in name for name in begun.anew)
    assert len(begun.anew) == (4 if settings else 1)
    batch = batch_of(items)
    one, other = (m.eval()(batch.clips, batch.features, batch.lengths).errors for m in (model, grown))
    torch.testing.assert_close(one, other)
    assert all(parameter.requires_grad for parameter in grown.parameters())


def test_languages_are_found_under_all_of_their_codes_and_one_at_least_is_named():
    model = regressor(groups="per_language")
    assert only(model, ["GSL"]).languages == ["DGS"]
    with pytest.raises(UserError, match="no sign language is named that is to be kept; the regressor signs ASL, DGS"):
        only(model, [])

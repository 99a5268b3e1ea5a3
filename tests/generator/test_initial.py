"""A generator that begins from a trained one: what fits is loaded, by what it means; what does not is named."""

from __future__ import annotations

import pytest
import torch

from soke.errors import UserError
from soke.generator.initial import begin_from, untrained
from soke.generator.text_tokenizer import TextTokenizer
from tests.generator.helpers import make_generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "generator"
    make_generator(5).save_pretrained(folder)
    return folder


def test_the_same_kind_of_generator_becomes_the_trained_one(folder):
    new, trained = make_generator(6), make_generator(5)
    assert begin_from(new, folder) == []
    for (name, ours), theirs in zip(new.state_dict().items(), trained.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert new.mbart.shared.weight is new.mbart.decoder.embed_tokens.weight


def test_rows_are_found_by_their_tokens_and_new_ones_are_named(folder):
    new, trained = make_generator(6, languages=["CSL", "DGS"], fps={"CSL": 30.0, "DGS": 25.0}), make_generator(5)
    before = new.mbart.shared.weight.clone()
    assert begin_from(new, folder) == ["the tokens of CSL"]
    table, theirs = new.mbart.shared.weight, trained.mbart.shared.weight
    ids, their_ids = (g.vocabulary.language_ids("DGS") for g in (new, trained))
    assert torch.equal(table[ids], theirs[their_ids]) and ids != []
    assert torch.equal(table[new.vocabulary.language_ids("CSL")], before[new.vocabulary.language_ids("CSL")])
    first = int(new.vocabulary.first_codes[0])
    assert torch.equal(table[first:], theirs[int(trained.vocabulary.first_codes[0]) :])


def test_a_head_that_it_does_not_have_begins_anew_and_is_named(folder):
    new = make_generator(6, translation=0.5, text_head="separate")
    assert begin_from(new, folder) == ["text_head.weight", "text_head.bias"]


def test_prompts_of_another_kind_begin_anew(folder):
    new = make_generator(6, prompts="language_and_part")
    assert begin_from(new, folder) == ["the tokens of ASL", "the tokens of DGS"]


def test_prompts_of_streams_follow_their_streams(tmp_path):
    """Wherever these stand, and whatever others there are."""
    trained = make_generator(5, streams=STREAMS, prompts="language_and_part")
    trained.save_pretrained(tmp_path / "generator")
    for streams in ({"face": 9, "rhand": 5, "lhand": 13, "body": 7}, {"face": 9, "body": 7}, {"face": 9, "mouth": 6}):
        new = make_generator(6, streams=streams, prompts="language_and_part")
        before = new.mbart.shared.weight.clone()
        named = [f"the tokens of {name}" for name in ("ASL", "DGS")] * ("mouth" in streams)
        assert [name for name in begin_from(new, tmp_path / "generator") if "tokens" in name] == named
        for language in ("ASL", "DGS"):
            ids, theirs = (dict(zip(g.spec.streams, g.vocabulary.language_ids(language))) for g in (new, trained))
            for stream, row in ids.items():
                kept = before[row] if stream == "mouth" else trained.mbart.shared.weight[theirs[stream]]
                assert torch.equal(new.mbart.shared.weight[row], kept), (stream, streams)


def test_another_tokenizer_s_codes_and_another_mbart_are_refused(folder, monkeypatch):
    with pytest.raises(UserError, match="codes of tokenizer 0123456789ab, this run those of another"):
        begin_from(make_generator(6, tokenizer_hash="another"), folder)
    with pytest.raises(UserError, match="no generator in"):
        begin_from(make_generator(6), folder / "nowhere")
    new = make_generator(6)
    new.mbart.shared.weight = torch.nn.Parameter(torch.zeros(len(new.mbart.shared.weight), 8))
    with pytest.raises(UserError, match="is of width 32, this one of 8: set GENERATOR.MBART"):
        begin_from(new, folder)
    monkeypatch.setattr(TextTokenizer, "get_vocab", lambda self: {str(id(self)): 1}, raising=False)
    with pytest.raises(UserError, match="reads text in other tokens"):
        begin_from(make_generator(6), folder)


STREAMS = {"body": 7, "lhand": 13, "rhand": 5, "face": 9}  # of the others' codes, lhand has more here, and face is new


@pytest.mark.parametrize("heads", ["separate", "tied"])
def test_streams_that_mean_the_same_keep_their_codes_and_others_begin_anew(folder, tmp_path, heads):
    if heads == "tied":
        folder = tmp_path / "tied"
        make_generator(5, heads=heads).save_pretrained(folder)
    new, trained = (
        make_generator(6, streams=STREAMS, tokenizer_hash="another", heads=heads), make_generator(5, heads=heads)
    )
    before = {name: value.clone() for name, value in new.state_dict().items()}
    left = begin_from(new, folder, ["body", "lhand"])
    named = ["the codes of lhand", "the codes of rhand", "the codes of face"]
    of_heads = [f"heads.linear.{s}.{kind}" for s in ("lhand", "rhand", "face") for kind in ("weight", "bias")]
    assert left == named + of_heads * (heads == "separate")
    rows, theirs = (
        {s: range(first, first + g.spec.streams[s]) for s, first in zip(g.spec.streams, g.vocabulary.first_codes.tolist())}
        for g in (new, trained)
    )
    table = new.mbart.shared.weight
    assert torch.equal(table[rows["body"]], trained.mbart.shared.weight[theirs["body"]])
    for stream in ("lhand", "rhand", "face"):
        assert torch.equal(table[rows[stream]], before["mbart.shared.weight"][rows[stream]])
    for name, value in new.state_dict().items():
        if name.startswith("heads"):
            whole = trained.state_dict() if ".body." in name else before
            assert torch.equal(value, whole[name]), name


def test_a_text_head_that_is_new_starts_as_the_trained_rows_are(folder):
    new = make_generator(6, translation=0.5, text_head="separate")
    begin_from(new, folder)
    assert torch.equal(new.text_head.weight, new.mbart.shared.weight[: new.text_head.size])


def test_the_trained_one_s_own_mbart_serves(folder):
    """And not that of GENERATOR.MBART, which need not be there."""
    trained = make_generator(5)
    new = untrained(folder, trained.spec, {"ASL": {}, "DGS": {}})
    assert begin_from(new, folder) == []
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in new.state_dict().items())
    with pytest.raises(UserError, match="no generator in"):
        untrained(folder / "nowhere", trained.spec, {})

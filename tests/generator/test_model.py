"""The generator: cached equals uncached, one equals many, padding and company change nothing."""
from __future__ import annotations

import copy
import json
import random
import unicodedata

import pytest
import torch

from soke.errors import UserError
from soke.generator.files import trained_mbart
from soke.generator.model import SignGenerator
from soke.generator.schemes import ABSENT, SCHEMES
from soke.generator.settings import Search
from soke.tokenizer.codes import Codes
from tests.generator.helpers import CODEBOOKS, M3T, make_generator, settings_of_before

TEXTS = ["rain tomorrow", "sun", "snow and rain come tomorrow to all of us", "morgen regen", "a", "xyz xyz xyz xyz"]
LANGUAGES = ["ASL", "ASL", "ASL", "DGS", "DGS", "ASL"]


SYSTEMS = {"three streams": {}, "four streams, prompts of each": M3T}
SEARCHES = {
    "greedy": Search(),
    "no repeat": Search(no_repeat=2),
    "long": Search(min_steps=7),
    "sample": Search("sample", temperature=0.8, top_k=6, top_p=0.95, seed=3),
    "beam": Search("beam", beams=3),
}


@torch.no_grad()
def slow_row(model: SignGenerator, text: str, language: str, row: int) -> list[list[int]]:
    """What one row of one sentence says, greedily and without a cache: the whole prefix again at every step."""
    source = model.source.batch([text], [language])
    states = model.mbart.encoder(input_ids=source.ids).last_hidden_state
    scheme, sizes = model.scheme, list(model.spec.streams.values())
    prompts, streams = torch.tensor(model.vocabulary.language_ids(language)), scheme.active[:, row].any(0)
    own = prompts[streams] if model.spec.settings.prompts == "language_and_part" else prompts[row : row + 1]
    rows = [model.mbart.shared(own).mean(0)[None, None]]
    said: list[list[int]] = []
    while len(said) < model.spec.settings.max_steps * scheme.period:
        hidden = model.mbart.decoder(
            inputs_embeds=torch.cat(rows, dim=1), encoder_hidden_states=states, use_cache=False
        ).last_hidden_state
        logits = model.heads(hidden[0, -1], model.mbart.shared.weight)
        phase, choice = len(said) % scheme.period, []
        for p, size in enumerate(sizes):
            scores = list(logits.values())[p]
            may_end = bool(scheme.may_end[phase, row, p]) and len(said) >= scheme.period
            best = int(scores.argmax() if may_end else scores[:size].argmax())
            choice.append(best if scheme.active[phase, row, p] else ABSENT)
        said.append(choice)
        if any(c == size for c, size in zip(choice, sizes)):
            break
        there = [model.mbart.shared(model.vocabulary.first_codes[p] + c) for p, c in enumerate(choice) if c != ABSENT]
        rows.append(torch.stack(there).mean(0)[None, None])
    return said


def slow_generate(model: SignGenerator, text: str, language: str) -> torch.Tensor:
    rows = [torch.tensor(slow_row(model, text, language, row)) for row in range(model.scheme.rows)]
    return model.scheme.revert(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=ABSENT))


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
@pytest.mark.parametrize("decoding", SCHEMES)
@pytest.mark.parametrize("seed", range(3))
def test_cached_batch_equals_uncached_single(seed, decoding, system):
    model = make_generator(seed, decoding=decoding, **system)
    batch = model.generate(TEXTS, LANGUAGES)
    for text, language, codes in zip(TEXTS, LANGUAGES, batch):
        assert torch.equal(codes, slow_generate(model, text, language)), text


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
@pytest.mark.parametrize("decoding", SCHEMES)
@pytest.mark.parametrize("search", SEARCHES.values(), ids=list(SEARCHES))
def test_batch_equals_its_sentences_one_by_one(decoding, search, system):
    for seed in (3,) if system else (0, 3):
        model = make_generator(seed, decoding=decoding, **system)
        together = model.generate(TEXTS, LANGUAGES, search)
        for text, language, codes in zip(TEXTS, LANGUAGES, together):
            assert torch.equal(codes, model.generate([text], [language], search)[0]), (seed, text)


@pytest.mark.parametrize("decoding", SCHEMES)
def test_one_beam_is_greedy(decoding):
    for seed in range(4):
        model = make_generator(seed, decoding=decoding)
        greedy, beam = (model.generate(TEXTS, LANGUAGES, s) for s in (Search(), Search("beam", beams=1)))
        assert all(torch.equal(g, b) for g, b in zip(greedy, beam))


@pytest.mark.parametrize("decoding", SCHEMES)
def test_same_seed_same_sample(decoding):
    model = make_generator(0, decoding=decoding)
    first, again, other = (model.generate(TEXTS, LANGUAGES, Search("sample", seed=s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not all(torch.equal(a, b) for a, b in zip(first, other))


def test_a_sample_does_not_depend_on_how_its_text_and_its_language_are_written():
    model, search = make_generator(0), Search("sample", seed=1, temperature=2.0)
    composed, decomposed = (f"  {unicodedata.normalize(form, 'morgen überall')} regen" for form in ("NFC", "NFD"))
    wanted = model.generate([composed], ["DGS"], search)[0]
    for text, language in ((decomposed, "DGS"), (composed.strip(), "DGS"), (composed, "GSL")):
        assert torch.equal(model.generate([text], [language], search)[0], wanted)


def test_sampling_needs_no_luck_when_one_code_is_allowed():
    model = make_generator(1)
    for search in (Search("sample", top_k=1), Search("sample", top_p=1e-6), Search("sample", temperature=1e-4)):
        for greedy, sample in zip(model.generate(TEXTS, LANGUAGES), model.generate(TEXTS, LANGUAGES, search)):
            assert torch.equal(greedy, sample)


@pytest.mark.parametrize("decoding", SCHEMES)
@pytest.mark.parametrize("search", SEARCHES.values(), ids=list(SEARCHES))
def test_constraints_hold_over_random_prompts(decoding, search):
    """Every code lies in its part's codebook and lengths keep their limits, over 1,000 prompts in all settings."""
    model, rng = make_generator(4, decoding=decoding), random.Random(0)
    texts = ["".join(rng.choices("abcdefgh rainsum,.", k=rng.randint(1, 30))) + "x" for _ in range(70)]
    languages = rng.choices(["ASL", "DGS"], k=len(texts))
    sizes = torch.tensor(list(CODEBOOKS.values()))
    for codes in model.generate(texts, languages, search):
        assert search.min_steps <= len(codes) <= model.spec.settings.max_steps and codes.shape[1] == 3
        assert (codes >= 0).all() and (codes < sizes).all()


@pytest.mark.parametrize("decoding", ["multi_head", "sequential"])
@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_no_repeat_guard(decoding, method):
    model = make_generator(0, decoding=decoding)

    def repeats(search: Search) -> int:
        count = 0
        for codes in model.generate(TEXTS, LANGUAGES, search):
            pairs = [tuple(codes[i : i + 2].flatten().tolist()) for i in range(len(codes) - 1)]
            count += len(pairs) - len(set(pairs))
        return count

    free, guarded = (repeats(Search(method, min_steps=10, no_repeat=n, temperature=0.2)) for n in (0, 2))
    assert free > 0 and guarded == 0


def test_output_lengths_follow_the_search():
    model = make_generator(0)
    assert all(len(codes) == 5 for codes in model.generate(TEXTS, LANGUAGES, Search(min_steps=5, max_steps=5)))


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_faster_settings_keep_the_codes_legal(weights):
    model = make_generator(0).for_inference(weights)
    sizes = torch.tensor(list(CODEBOOKS.values()))
    assert all((codes < sizes).all() and len(codes) for codes in model.generate(TEXTS, LANGUAGES))


def test_tied_heads_score_with_the_embedding_table():
    model = make_generator(0, heads="tied")
    table, hidden = model.mbart.shared.weight, torch.randn(2, 32)
    full = hidden @ table.T  # the whole vocabulary, of which each part's mask leaves its codes and the end
    end = model.source.text_tokenizer.eos_token_id
    for first, (part, size) in zip(model.vocabulary.first_codes.tolist(), CODEBOOKS.items()):
        kept = torch.cat([full[:, first : first + size], full[:, end : end + 1]], dim=1)
        torch.testing.assert_close(model.heads(hidden, table)[part], kept)
    assert not any(name.startswith("heads") for name, _ in model.named_parameters())
    assert all(len(codes) for codes in model.generate(TEXTS, LANGUAGES))


def test_label_smoothing_changes_the_loss_and_not_the_report():
    model, codes = make_generator(0), torch.zeros(2, 3, 3, dtype=torch.long)
    plain, smooth = (
        model(TEXTS[:2], LANGUAGES[:2], Codes(codes, torch.tensor([3, 2])), label_smoothing=s) for s in (0.0, 0.1)
    )
    assert plain.losses == smooth.losses and plain.loss != smooth.loss
    torch.testing.assert_close(plain.loss, torch.stack(list(plain.losses.values())).mean())


def test_samples_end_by_themselves():
    lengths = {len(codes) for seed in range(4) for codes in make_generator(seed).generate(TEXTS, LANGUAGES)}
    assert len(lengths) > 2 and min(lengths) >= 1


def test_order_and_company_do_not_matter(generator):
    together = generator.generate(TEXTS, LANGUAGES)
    backwards = generator.generate(TEXTS[::-1], LANGUAGES[::-1])[::-1]
    for first, second in zip(together, backwards):
        assert torch.equal(first, second)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=list(SYSTEMS))
@pytest.mark.parametrize("decoding", SCHEMES)
def test_loss_of_a_batch_is_that_of_its_samples(decoding, system):
    """The batch's loss per head is the mean over all asked steps of its samples, alone and unpadded."""
    generator = make_generator(0, decoding=decoding, **system)
    books = generator.spec.streams
    torch.manual_seed(0)
    lengths = [3, 5, 1]
    samples = [torch.stack([torch.randint(0, n, (k,)) for n in books.values()], 1) for k in lengths]
    whole = generator(TEXTS[:3], LANGUAGES[:3], Codes.of(samples))
    single = [generator([t], [g], Codes.of([codes])) for t, g, codes in zip(TEXTS, LANGUAGES, samples)]
    for part in books:
        # in sequential decoding the first part alone is asked for the end
        asked = [k + (decoding != "sequential" or part == "body") for k in lengths]
        expected = sum(s.losses[part] * n for s, n in zip(single, asked)) / sum(asked)
        torch.testing.assert_close(whole.losses[part], expected)


@pytest.mark.parametrize("decoding", [
    pytest.param(name, marks=[] if name == "multi_head" else pytest.mark.slow) for name in SCHEMES
])
@pytest.mark.parametrize("settings", [
    {}, pytest.param({"heads": "tied"}, marks=pytest.mark.slow),
    pytest.param({"retrieval_form": "fused", "retrieval_drop": 0.5}, marks=pytest.mark.slow),
    pytest.param(M3T, marks=pytest.mark.slow),
])
def test_learns_a_sentence(decoding, settings):
    model = make_generator(5, decoding=decoding, **settings).train()
    codes = torch.stack([torch.randint(0, n, (6,)) for n in model.spec.streams.values()], 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        model(["rain"], ["ASL"], Codes.of([codes])).loss.backward()
        optimizer.step()
    assert torch.equal(model.generate(["rain"], ["ASL"])[0], codes)
    assert model.training


def test_fusion_weights_decide_what_the_decoder_hears():
    only_body = make_generator(1, fusion={"body": 1.0, "lhand": 0.0, "rhand": 0.0})
    codes = torch.tensor([[[1, 2, 3]]])
    other = torch.tensor([[[1, 7, 0]]])
    torch.testing.assert_close(only_body._inputs(codes), only_body._inputs(other))
    equal = make_generator(1)
    assert not torch.allclose(equal._inputs(codes), equal._inputs(other))
    absent = torch.tensor([[[1, ABSENT, ABSENT]]])
    torch.testing.assert_close(equal._inputs(absent), only_body._inputs(codes))


def test_mbart_in_half_precision_is_read_in_float32(generator, tmp_path):
    half = copy.deepcopy(generator.mbart).half()
    half.save_pretrained(tmp_path)
    read = trained_mbart(tmp_path)
    assert {weight.dtype for weight in read.parameters()} == {torch.float32}
    assert torch.equal(read.shared.weight, half.shared.weight.float())


def test_saved_generator_says_the_same(generator, tmp_path):
    generator.save_pretrained(tmp_path / "generator")
    loaded = SignGenerator.from_pretrained(tmp_path / "generator")
    assert loaded.spec == generator.spec
    for first, second in zip(generator.generate(TEXTS, LANGUAGES), loaded.generate(TEXTS, LANGUAGES)):
        assert torch.equal(first, second)
    assert [p.name for p in tmp_path.iterdir()] == ["generator"]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_sentence_is_refused(generator, text):
    with pytest.raises(UserError, match="empty"):
        generator.generate(["rain", text], ["ASL", "ASL"])


def test_unknown_language_is_refused(generator):
    with pytest.raises(UserError, match="'LSF'.*ASL, DGS"):
        generator.generate(["rain"], ["LSF"])


def test_no_sentences_no_codes(generator):
    assert generator.generate([], []) == []


def test_missing_generator_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        SignGenerator.from_pretrained(tmp_path / "nowhere")


def test_a_generator_that_was_saved_without_locales_has_those_of_known_languages(generator, tmp_path):
    generator.save_pretrained(tmp_path / "old")
    path = tmp_path / "old" / "generator.json"
    content = settings_of_before(tmp_path / "old")
    assert content["spec"].pop("locales") == {"ASL": "en_XX", "DGS": "de_DE"}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert SignGenerator.from_pretrained(tmp_path / "old").source.locales == {"ASL": "en_XX", "DGS": "de_DE"}
    content["spec"]["languages"] = ["BSL", "DGS"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"generator.json: .* texts of BSL are written: state it in `locales`"):
        SignGenerator.from_pretrained(tmp_path / "old")
    content["spec"]["locales"] = {"BSL": "en_XX"}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert SignGenerator.from_pretrained(tmp_path / "old").source.locales == {"BSL": "en_XX", "DGS": "de_DE"}


def test_a_training_motion_of_more_steps_than_positions_is_said_so():
    model, longest = make_generator(decoding="sequential"), torch.zeros(1, 53, 3, dtype=torch.long)
    model(["rain"], ["ASL"], Codes.of(longest))  # 53 * 3 codes and the end, in 160 positions
    with pytest.raises(UserError, match="a motion's row of codes of 163 tokens exceeds this mBART's 160 positions"):
        model(["rain"], ["ASL"], Codes.of(longest.new_zeros(1, 54, 3)))

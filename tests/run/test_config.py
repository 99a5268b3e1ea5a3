"""Every shipped configuration loads and means something; every mistake is reported at once, by name."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass, replace

import pytest

from soke.data.clip import ClipError
from soke.errors import UserError
from soke.run.config import ROOT, keyed, load_config, resolve, to_yaml
from soke.tokenizer.settings import AutoencoderSettings, Ema, Fsq

RUNNABLE = [
    "configs/deto.yaml", "configs/soke.yaml", "configs/soke_grpo.yaml", "configs/back_translation.yaml",
    *(f"configs/{name}.yaml" for name in ("m3t_tokenizer", "m3t", "m3t_back_translation")),
    "configs/recognition.yaml", "configs/progressive_transformer.yaml", "configs/demo/progressive_transformer.yaml",
    *(f"configs/{folder}{name}.yaml" for folder in ("", "demo/") for name in ("retrieval", "motion_autoencoder")),
    "configs/signllm_prompt2langgloss.yaml", "configs/signllm_back_translation.yaml",
    *(f"configs/demo/{name}.yaml" for name in (
        "back_translation", "deto", "face_back_translation", "face_deto", "face_hands_back_translation",
        "face_progressive_transformer", "face_s_motiongpt", "face_soke", "face_whole", "m3t_tokenizer_ten", "recognition",
        "recognition_ten", "soke", "soke_grpo",
    )),
    *(f"configs/ablation/{name}.yaml" for name in (
        "fused_retrieval", "m3t_retrieval", "m3t_without_translation", "monolingual", "no_retrieval", "parallel",
        "released_fusion", "s_motiongpt", "s_motiongpt_tokenizer", "sequential", "soke_face", "soke_face_tokenizer",
        "soke_fsq", "soke_fsq_tokenizer", "tied_heads", "translation",
    )),
    *(f"configs/signllm_mlsf{size}.yaml" for size in ("", "_large", "_super")),
    *(f"configs/ablation/signllm_{name}.yaml" for name in ("dsgs", "positions", "rotations")),
    "configs/demo/signllm_ablation.yaml",
    *(f"configs/ablation/signllm_{name}.yaml" for name in (
        "future_noise", "future_prediction", "just_counter", "mse", "noise", "rl", "rl_plc",
        "text2langgloss",
    )),
    *(f"configs/skels/{name}.yaml" for name in ("tokenizer", "soke", "back_translation")),
    *(f"configs/demo/{name}.yaml" for name in ("m3t_tokenizer", "m3t", "m3t_back_translation")),
    *(f"configs/demo/{name}.yaml" for name in ("signllm", "signllm_back_translation", "signllm_prompt2langgloss")),
]


loaded = functools.cache(load_config)


@pytest.mark.parametrize("file", RUNNABLE)
def test_shipped_configurations_load(file):
    assert loaded(file).parts


def test_all_runnable_configurations_are_listed():
    """A file that names a run is one to test; the others are layers, or plans of several runs."""
    named = [p for p in (ROOT / "configs").rglob("*.yaml") if "\nNAME:" in p.read_text() and p.name != "default.yaml"]
    assert sorted(str(p.relative_to(ROOT)) for p in named) == sorted(RUNNABLE)


def test_published_hyper_parameters():
    tokenizer, generator = load_config("configs/deto.yaml"), load_config("configs/soke.yaml")
    codes = {"body": 96, "lhand": 192, "rhand": 192}
    published = {
        part: AutoencoderSettings(
            quantizer=Ema(codes=size, decay=0.99), code_dim=512, width=512, depth=3, dilation_growth=3, downsample=4
        ) for part, size in codes.items()
    }
    assert tokenizer.tokenizer.autoencoders(tokenizer.parts) == published
    assert (tokenizer.train.end_epoch, generator.train.end_epoch) == (500, 150)
    assert (tokenizer.train.batch_size, generator.train.batch_size) == (320, 32)
    for config in (tokenizer, generator):
        optim = config.train.optim
        assert (optim.lr, optim.betas, optim.weight_decay, optim.eta_min) == (2e-4, [0.9, 0.99], 0.0, 1e-6)
    assert generator.generator.fusion is None  # equal: lambda = 1/3 for three parts
    loss = tokenizer.loss
    assert (loss.feature, loss.commitment, loss.velocity, loss.reduction) == (1.0, 0.02, 0.0, "all")
    assert tokenizer.dataset.train_on_lexicon and tokenizer.dataset.lexicon
    coupled = load_config("configs/ablation/s_motiongpt_tokenizer.yaml")
    assert coupled.loss == loss and not coupled.dataset.train_on_lexicon  # one corpus, no lexicon


def test_published_hyper_parameters_of_m3t_s_tokenizer():
    """Appendix D.1; the levels, and both ends of the rate, are in no text that is left."""
    config = load_config("configs/m3t_tokenizer.yaml")
    levels = {"body": (8, 4, 3), "rhand": (8, 6, 4), "face": (8, 8, 8)}
    assert config.tokenizer.autoencoders(config.parts) == {
        part: AutoencoderSettings(
            quantizer=Fsq(levels=of, bound="standard"), code_dim=3, width=1024, depth=6, dilation_growth=3, downsample=4
        ) for part, of in levels.items()
    }
    train, optim = config.train, config.train.optim
    assert (train.batch_size, train.end_epoch, optim.warmup_epochs, optim.schedule) == (8, 100, 25, "cosine")
    assert (optim.kind, optim.lr, optim.eta_min, optim.weight_decay) == ("adam", 2e-4, 1e-6, 0.0)
    assert (config.loss.kind, config.loss.feature, config.loss.velocity) == ("l2", 1.0, 0.0)


def test_m3t_s_generator_is_the_published_one():
    """M3T, section 3.3 and appendix D.2; what the paper's text no longer says is [A] in the file."""
    config, soke = load_config("configs/m3t.yaml"), load_config("configs/soke.yaml")
    g, o = config.generator, config.train.optim
    assert (g.decoding, g.prompts, g.heads, g.text_head, g.fusion) == (
        "multi_head", "language_and_part", "separate", "separate", None
    )
    assert (g.translation, g.retrieval.words, config.dataset.lexicon) == (0.5, 0, None)
    assert (config.train.batch_size, config.train.end_epoch) == (32, 200) and config.eval.generate_every > 0
    assert (o.kind, o.schedule, o.lr, o.eta_min, o.warmup_epochs) == ("adamw", "cosine", 2e-4, 1e-6, 0)
    assert config.test.search.method == "greedy" and (config.dataset.frames, config.body.model) == ("smplfx", "smplfx")
    assert config.dataset.code_path != soke.dataset.code_path
    lines = (ROOT / "configs" / "m3t.yaml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith(("#", "BASE"))]) <= 10
    demo = load_config("configs/demo/m3t.yaml")
    assert demo.generator == replace(g, mbart="deps/mbart-face", max_steps=40) and demo.train.optim.kind == "adamw"
    without, retrieving = (load_config(f"configs/ablation/m3t_{name}.yaml") for name in (
        "without_translation", "retrieval",
    ))
    assert without.generator == replace(g, translation=0.0) and without.train == config.train
    assert retrieving.generator == replace(g, retrieval=replace(g.retrieval, words=3))
    assert retrieving.dataset == replace(config.dataset, lexicon=soke.dataset.lexicon)


def test_lists_of_keywords_need_signs():
    lists = ["DATASET.LEXICON=null", "GENERATOR.RETRIEVAL.KEYWORDS=lists"]
    with pytest.raises(UserError, match="GENERATOR.RETRIEVAL.KEYWORDS needs signs"):
        load_config("configs/soke.yaml", overrides=lists)
    load_config("configs/soke.yaml", overrides=[*lists, "GENERATOR.RETRIEVAL.WORD_CODES=word2code.json"])


def test_an_override_without_a_value_is_empty_text():
    assert load_config("configs/soke.yaml", overrides=["METRIC.BACK_TRANSLATION="]).metric.back_translation == ""


@pytest.mark.parametrize(
    "text",
    [
        "/data/Project #2/CSL", "a: b", "*star", "&and", "~/data", "~", "C:\\data\\new", "{x}", "[x]", "@x", "%x",
        "`x`", "| x", "> x", "!x", "- x", "? x", "1e3", "007", "true", "null#", "it's", 'say "x"', " x ", "a = b", "#",
        "日本 #1",
    ],
)
def test_text_is_taken_as_it_is(text):
    config = load_config(
        "configs/soke.yaml",
        overrides=[f"FOLDER={text}", f"DATASET.CORPORA.csl.ROOT={text}", f"DATASET.LEXICON={text}", f"NAME={text}"],
    )
    assert (config.folder, config.name, config.dataset.lexicon) == (text, text, text)
    assert config.dataset.corpora["csl"].root == text and config.tokenizer.path.startswith(text)


def test_quotes_around_texts_and_values_of_other_kinds_are_yaml():
    config = load_config("configs/soke.yaml", overrides=[
        "NAME='a b'", 'FOLDER="x # y"', "TRAIN.RESUME=''", "DATASET.LEXICON=null", "DEVICE=[0, 1]",
        "METRIC.DTW=fastdtw", "DATASET.CORPORA={csl: {ROOT: '/data/Project #2'}}", "TRAIN.OPTIM.LR=1e-4",
        "SEED=7", "BODY.BETAS=[]",
    ])
    assert (config.name, config.folder, config.train.resume, config.dataset.lexicon) == ("a b", "x # y", "", None)
    assert config.dataset.corpora["csl"].root == "/data/Project #2" and config.train.optim.lr == 1e-4
    assert (config.device, config.seed, config.metric.dtw, config.body.betas) == ([0, 1], 7, "fastdtw", [])


@pytest.mark.parametrize("key", ["DATASET.LEXICON", "GENERATOR.FUSION"])
def test_no_value_is_null_where_that_may_be(key):
    section, name = key.split(".")
    config = load_config("configs/soke.yaml", overrides=["GENERATOR.FUSION={body: 1, lhand: 1, rhand: 1}", f"{key}="])
    assert getattr(getattr(config, section.lower()), name.lower()) is None


@pytest.mark.parametrize("override", ["DATASET.CORPORA={csl: {ROOT: /data/Project #2}}", "BODY.BETAS=[1", "X.Y={a"])
def test_broken_yaml_in_an_override_is_told(override):
    with pytest.raises(UserError, match=re.escape(override) + " cannot be read .*quotes around texts"):
        load_config("configs/soke.yaml", overrides=[override])


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "back_translation" not in file])
def test_models_of_earlier_stages_follow_the_folder(file):
    config = load_config(file, overrides=["FOLDER=/scratch/x"])
    assert config.metric.back_translation.startswith("/scratch/x/translation/")
    if config.train.stage == "generator":
        assert config.tokenizer.path.startswith("/scratch/x/tokenizer/")
    assert loaded(file).metric.back_translation.startswith("experiments/translation/")
    assert load_config(file, overrides=["TOKENIZER.PATH=mine"]).tokenizer.path == "mine"


def test_every_generator_finds_the_tokenizer_that_a_shipped_configuration_trains():
    configs = [loaded(file) for file in RUNNABLE]
    made = {f"{c.folder}/tokenizer/{c.name}/tokenizer" for c in configs if c.train.stage == "tokenizer"}
    assert {c.tokenizer.path for c in configs if c.train.stage == "generator"} <= made


def test_no_two_shipped_configurations_share_their_results():
    configs = [loaded(file) for file in RUNNABLE]
    assert len({(c.results, c.name) for c in configs}) == len(configs)


def test_commands_that_are_advised_train_in_full():
    pages = [ROOT / "README.md", *(ROOT / "soke").rglob("*.md")]
    code = [*(ROOT / "soke").rglob("*.py"), *(ROOT / "prepare").glob("*.py"), *ROOT.glob("*.py")]
    files = [*code, *(ROOT / "prepare").glob("*.sh"), *pages]
    plain = (file.read_text(encoding="utf-8").replace('"', " ") for file in files)
    text = " ".join(" ".join(content.split()) for content in plain)
    commands = re.findall(r"python -m (?:train|prepare\.add_language --model \S+) --cfg \S+(?: [^`#]{0,40})?", text)
    assert len(commands) > 8 and [command for command in commands if "--nodebug" not in command] == []


def test_written_configuration_reads_back(tmp_path):
    config = load_config(
        "configs/soke.yaml", overrides=["TRAIN.BATCH_SIZE=7", "GENERATOR.FUSION={body: 1, lhand: 0, rhand: 0}"]
    )
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert load_config(file) == config


def test_layers_override_in_order(tmp_path):
    assets = tmp_path / "assets.yaml"
    assets.write_text("SEED: 5\nTRAIN: {BATCH_SIZE: 6}\n")
    config = load_config("configs/soke.yaml", assets, ["TRAIN.BATCH_SIZE=7"])
    assert (config.seed, config.train.batch_size, config.train.end_epoch) == (5, 7, 150)


def test_every_mistake_is_reported_at_once_with_the_nearest_name():
    overrides = [
        "TRAIN.BATCHSIZE=3",
        "TRIAN.X=1",
        "SEED=many",
        "TRAIN.STAGE=tokeniser",
        "DATASET.CORPORA.how2sing.ROOT=x",
    ]
    with pytest.raises(UserError) as error:
        load_config("configs/soke.yaml", overrides=overrides)
    message = str(error.value)
    for expected in (
        "TRAIN.BATCHSIZE (did you mean BATCH_SIZE?)", "TRIAN (did you mean TRAIN?)", "SEED must be a whole number",
        "did you mean tokenizer?", "did you mean how2sign?",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("TOKENIZER.CODES.face=3", "TOKENIZER.CODES is now each part's own, PARTS.<part>.quantizer.codes"),
        ("TOKENIZER.EMA_DECAY=0.9", "TOKENIZER.EMA_DECAY is now TOKENIZER.EMA.DECAY"),
        ("PARTS.lhnd.quantizer.codes=8", "PARTS has no entry lhnd, but body, lhand, rhand (did you mean lhand?)"),
        ("PARTS.lhand.quantizer=null", "PARTS.lhand.quantizer: it needs a kind, one of ema, vq, fsq, residual"),
        ("PARTS.lhand.quantizer.kind=fqs", "not 'fqs' (did you mean fsq?)"),
        ("PARTS.lhand.quantizer.kind=fsq", "PARTS.lhand.quantizer: fsq needs levels"),
        ("PARTS.lhand.quantizer={kind: fsq, levels: [8, 1]}", "PARTS.lhand.quantizer: levels must list whole numbers"),
        ("PARTS.lhand.quantizer.levels=[8, 5]", "PARTS.lhand.quantizer: ema has no levels"),
        ("PARTS.lhand.quantizer.code=8", "PARTS.lhand.quantizer: ema has no code (did you mean codes?)"),
        ("PARTS.lhand.quantizer.codes=0", "PARTS.lhand.quantizer: codes must be a whole number of at least 1, not 0"),
        ("PARTS.lhand.quantizer.decay=1.5", "PARTS.lhand.quantizer: decay must be between 0 and 1, not 1.5"),
        ("PARTS.lhand.quantizer={kind: residual, count: 2, of: {kind: vq}}", "PARTS.lhand.quantizer: vq needs codes"),
        ("TOKENIZER.EMA.DECAY=0", "TOKENIZER.EMA.DECAY must be between 0 and 1"),
        ("PARTS.lhand.mirrors=rhand", "shares that of rhand"),
        ("TRANSLATION.DECAY=0.5", "TRANSLATION.DECAY is now TRAIN.OPTIM.FACTOR"),
        ("TRANSLATION.PATIENCE=3", "TRANSLATION.PATIENCE is now TRAIN.OPTIM.PATIENCE"),
        ("TRAIN.OPTIM.FACTOR=1.5", "TRAIN.OPTIM.FACTOR must be between 0 and 1, not 1.5"),
        ("TRAIN.OPTIM.KIND=sgd", "TRAIN.OPTIM.KIND is 'sgd', but must be one of adamw, adam"),
        ("TRAIN.OPTIM.SCHEDULE=cosin", "must be one of cosine, linear, inverse_sqrt, plateau, constant (did you mean cosine?)"),
        ("LOSS.KIND=l3", "LOSS.KIND is 'l3', but must be one of smooth_l1, l2, l1"),
        ("TOKENIZER.DOWNSAMPLE=3", "power of two"),
        ("DATASET.MIN_FRAMES=42", "multiples of TOKENIZER.DOWNSAMPLE"),
        ("DATASET.MIN_FRAMES=800", "above DATASET.MAX_FRAMES"),
        ("GENERATOR.FUSION={body: 1}", "GENERATOR.FUSION"),
        ("BODY.BETAS=[1]", "10 numbers"),
        ("TRAIN.BATCH_SIZE=0", "at least 1"),
        ("TRAIN.BATCH_FRAMES=399", "must be 0, or hold the longest clip, DATASET.MAX_FRAMES (400), not 399"),
        ("DATASET.CORPORA.csl.WEIGHT=0", "DATASET.CORPORA.csl.WEIGHT must be a number above 0, not 0.0"),
        ("DATASET.CORPORA.csl.WEIGHT=.nan", "DATASET.CORPORA.csl.WEIGHT must be a number above 0, not nan"),
        ("SEED=true", "SEED must be a whole number"),
        ("PARTS=[{name: body}]", "PARTS[0].joints is missing"),
        ("nonsense", "no override"),
        ("TRAIN.LABEL_SMOOTHING=1", "TRAIN.LABEL_SMOOTHING must be at least 0 and below 1, not 1.0"),
        ("TRAIN.GRAD_CLIP=.nan", "TRAIN.GRAD_CLIP must be a gradient norm, or 0 for no clipping, not nan"),
        ("TRAIN.OPTIM.WARMUP_EPOCHS=150", "TRAIN.OPTIM.WARMUP_EPOCHS must be at least 0 and below TRAIN.END_EPOCH (150)"),
        ("TEST.SEARCH.TOP_P=0", "TEST.SEARCH.TOP_P must be above 0 and at most 1, not 0.0"),
        ("TEST.SEARCH.MIN_STEPS=101", "TEST.SEARCH.MIN_STEPS is 101, above the longest output of 100 steps"),
        ("TEST.SEARCH.MAX_STEPS=0", "TEST.SEARCH.MIN_STEPS is 1, above the longest output of 0 steps"),
        ("GENERATOR.RETRIEVAL.DROP=1.5", "GENERATOR.RETRIEVAL.DROP must be between 0 and 1, not 1.5"),
        ("GENERATOR.TRANSLATION=-1", "GENERATOR.TRANSLATION must be between 0 and 1, not -1.0"),
        ("TRANSLATION.HEADS=0", "TRANSLATION.HEADS must be at least 1, not 0"),
        ("TRANSLATION.WIDTH=9", "TRANSLATION.WIDTH must be even and a multiple of TRANSLATION.HEADS (8), not 9"),
        ("DATASET.CORPORA.how2sing.PACKED=x", "DATASET.CORPORA.how2sing.ROOT is missing"),
        (
            "DATASET.CORPORA={a: {ROOT: x, READER: soke.m.R}, b: {ROOT: x/, READER: soke.m.R}}",
            "DATASET.CORPORA.b.ROOT is that of a, whose",
        ),
        ("DATASET.CORPORA.mine.ROOT=x", "needs DATASET.CORPORA.mine.READER, the class"),
        ("EVAL.GENERATE_EVERY=3", "EVAL.GENERATE_EVERY must be a multiple of EVAL.EVERY_EPOCHS (10)"),
        ("NUM_NODES=0", "NUM_NODES must be at least 1, not 0"),
        ("GENERATOR.FUSION={body: .nan, lhand: 1, rhand: 1}", "GENERATOR.FUSION must give each of body, lhand, rhand"),
        ("GENERATOR.FUSION={}", "GENERATOR.FUSION must give each of body, lhand, rhand"),
        ("GENERATOR.RETRIEVAL.STEPS=0", "GENERATOR.RETRIEVAL.STEPS must be at least 1, not 0"),
        ("GENERATOR.RETRIEVAL.WORDS=-1", "GENERATOR.RETRIEVAL.WORDS must be at least 0, not -1"),
        ("TRAIN.NUM_WORKERS=-1", "TRAIN.NUM_WORKERS must be at least 0, not -1"),
        ("RENDER.SIZE=0", "RENDER.SIZE must be at least 16, not 0"),
        ("PARTS.body.expression=-3", "PARTS[0].expression must be at least 0, not -3"),
        ("PARTS.lhand.joints=[]", "PARTS[1].joints is empty, and there is nothing else"),
        ("BODY.BETAS=[.nan,0,0,0,0,0,0,0,0,0]", "BODY.BETAS must hold finite numbers"),
        ("SEED=-1", "SEED must be at least 0 and below 2^32, not -1"),
        ("NAME=", "NAME must be that of a folder to be made for the run, not ''"),
        ("NAME=../other", "NAME must be that of a folder to be made for the run, not '../other'"),
        ("ACCELERATOR=gpuu", "ACCELERATOR must be one of auto, cpu, gpu, cuda, mps, not gpuu (did you mean gpu?)"),
        ("DEVICE=0", "DEVICE must be a number of devices, a list of their ids from 0 on, or auto, not 0"),
        ("DEVICE=[]", "DEVICE must be a number of devices, a list of their ids from 0 on, or auto, not []"),
        ("DEVICE=all", "DEVICE must be a number of devices, a list of their ids from 0 on, or auto, not 'all'"),
        ("TRAIN.OPTIM.LR=.nan", "TRAIN.OPTIM.LR must be a number of at least 0, not nan"),
        ("TRAIN.OPTIM.WEIGHT_DECAY=-1", "TRAIN.OPTIM.WEIGHT_DECAY must be a number of at least 0, not -1.0"),
        ("TRAIN.OPTIM.BETAS=[0.9, 1]", "TRAIN.OPTIM.BETAS must be two numbers of at least 0 and below 1, not [0.9, 1.0]"),
    ],
)
def test_bad_values_and_combinations(override, expected):
    with pytest.raises(UserError, match=re.escape(expected)):
        load_config("configs/soke.yaml", overrides=[override])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["TRAIN.FREEZE={mbart: 1}"], "TRAIN.FREEZE={mbart: 1}: TRAIN.FREEZE must be a list, not {'mbart': 1}"),
        (["TRAIN.OPTIM.FACTORS=[0.1]"], "TRAIN.OPTIM.FACTORS must hold KEY: value pairs, not [0.1]"),
        (["TRAIN.FREEZE=[a]", "TRAIN.FREEZE={}"], "TRAIN.FREEZE={}: TRAIN.FREEZE must be a list, not {}"),
        (["TRAIN=[1]"], "TRAIN must hold KEY: value pairs, not [1]"),
        (["PARTS.lhand.quantizer=[ema]"], "PARTS.lhand.quantizer must hold KEY: value pairs, not ['ema']"),
        (["PARTS.lhand=[ema]"], "PARTS.lhand must hold KEY: value pairs, not ['ema']"),
    ],
)
def test_a_list_in_the_place_of_a_table_is_named_and_a_table_in_that_of_a_list(overrides, expected, tmp_path):
    with pytest.raises(UserError, match=re.escape(expected)):
        load_config("configs/soke.yaml", overrides=overrides)
    file = tmp_path / "mine.yaml"
    file.write_text("BASE: configs/soke.yaml\nTRAIN: {FREEZE: {mbart: 1}}\n")
    with pytest.raises(UserError, match=f"{file}: TRAIN.FREEZE must be a list"):
        load_config(file)


def test_an_override_changes_an_entry_of_a_list_that_another_one_has_given():
    part = "PARTS=[{name: body, joints: [upper_body], rotation: axis_angle, quantizer: {kind: ema, codes: 4}}]"
    (made,) = load_config("configs/deto.yaml", overrides=[part, "PARTS.body.quantizer.codes=8"]).parts
    assert made.quantizer == {"kind": "ema", "codes": 8}


def test_no_stream_weighs_nothing_where_it_is_read_alone():
    overrides = ["GENERATOR.FUSION={body: 1, lhand: 0, rhand: 1}", "GENERATOR.DECODING=parallel"]
    with pytest.raises(UserError, match="GENERATOR.FUSION must .* above 0 with GENERATOR.DECODING=parallel, whose steps"):
        load_config("configs/soke.yaml", overrides=overrides)
    load_config("configs/soke.yaml", overrides=overrides[:1])


def test_mistakes_within_and_between_sections_are_reported_at_once():
    overrides = [
        "TRAIN.BATCH_SIZE=0", "TRAIN.STAGE=tokeniser", "TEST.SEARCH.BEAMS=0", "GENERATOR.RETRIEVAL.SIMILAR=2",
        "GENERATOR.RETRIEVAL.MATCH=soke_substring", "DATASET.CORPORA.how2sing.PACKED=x", "TRAIN.BATCH_FRAMES=5",
    ]
    with pytest.raises(UserError) as error:
        load_config("configs/soke.yaml", overrides=overrides)
    assert str(error.value) == (
        "configs/soke.yaml: "
        "TRAIN.BATCH_SIZE must be at least 1, not 0; "
        "TRAIN.STAGE is 'tokeniser', but must be one of tokenizer, generator, regressor, translation, recognition, retrieval, motion_autoencoder (did you mean tokenizer?); "
        "TEST.SEARCH.BEAMS must be at least 1, not 0; "
        "DATASET.CORPORA.how2sing.ROOT is missing; "
        "DATASET.CORPORA.how2sing is none of how2sign, csl, phoenix, nmfs_csl, faces (did you mean how2sign?); a corpus of "
        "your own needs DATASET.CORPORA.how2sing.READER, the class that reads it, as package.module.Class; "
        "GENERATOR.RETRIEVAL.SIMILAR must be between 0 and 1, not 2.0; "
        "GENERATOR.RETRIEVAL.SIMILAR=2.0 has no effect with GENERATOR.RETRIEVAL.MATCH=soke_substring: set "
        "GENERATOR.RETRIEVAL.SIMILAR to 0, or GENERATOR.RETRIEVAL.MATCH to token; "
        "TRAIN.BATCH_FRAMES must be 0, or hold the longest clip, DATASET.MAX_FRAMES (400), not 5"
    )


def test_what_matters_to_another_stage_alone_is_no_mistake():
    load_config("configs/deto.yaml", overrides=["EVAL.EVERY_EPOCHS=3", "GENERATOR.RETRIEVAL.KEYWORDS=lists"])
    load_config("configs/back_translation.yaml", overrides=["PARTS.lhand.quantizer=null"])
    with pytest.raises(UserError, match="WARMUP_EPOCHS must be 0 for TRAIN.OPTIM.SCHEDULE=plateau"):
        load_config("configs/back_translation.yaml", overrides=["TRAIN.OPTIM.WARMUP_EPOCHS=1"])


def test_settings_that_turn_out_wrong_later_are_named_by_their_keys():
    from soke.generator.settings import Search

    with pytest.raises(UserError, match="^TEST.SEARCH.BEAMS must be at least 1, not 0$"), keyed():
        Search("beam", beams=0)
    with pytest.raises(UserError, match="^DATASET.MIN_FRAMES is above DATASET.MAX_FRAMES$"), keyed():
        replace(load_config("configs/soke.yaml").dataset, min_frames=4000)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("check `corpora`, or set `generate_every`=0", "check DATASET.CORPORA, or set EVAL.GENERATE_EVERY=0"),
        ("with `strict`=false it would be skipped", "with DATASET.STRICT=false it would be skipped"),
        ("made with `min_frames`=8", "made with DATASET.MIN_FRAMES=8"),
        ("set `word_codes`, `keywords` and `tokenizer.path`",
         "set GENERATOR.RETRIEVAL.WORD_CODES, GENERATOR.RETRIEVAL.KEYWORDS and TOKENIZER.PATH"),
        ("the signs of `lexicon`", "the signs of DATASET.LEXICON"),
        ("`root`, `batch_size`, `NaN` and `python -m prepare.keywords`", ""),  # of several sections, or of none
    ],
)
def test_arguments_that_an_error_names_get_their_keys(said, shown):
    with pytest.raises(ClipError, match=f"^{re.escape(shown or said)}$"), keyed():
        raise ClipError(said)


def test_settings_check_themselves_where_no_configuration_is():
    from soke.generator.settings import Search

    with pytest.raises(UserError, match="^Search: `temperature` must be a number above 0, not inf"):
        Search("sample", temperature=float("inf"))  # of which all scores would be NaN, and each code the first one
    with pytest.raises(UserError, match="^Search: `beams` must be at least 1, not 0; `top_p` must be above 0"):
        Search("beam", beams=0, top_p=2.0)
    with pytest.raises(UserError, match="^Search: `length_penalty` must be a finite number, not nan"):
        Search("beam", length_penalty=float("nan"))


def test_no_value_has_a_second_default():
    """Where settings have one in Python, for entries of lists and tables and for a search, default.yaml says the same
    or nothing."""
    def compared(section) -> None:
        for field in fields(section):
            value = getattr(section, field.name)
            if field.default is not MISSING:
                assert value == field.default, f"{type(section).__name__}.{field.name}"
            if is_dataclass(value):
                compared(value)

    compared(load_config("configs/default.yaml", overrides=["DATASET.CORPORA.csl.ROOT=x", "PARTS=[]"]))


def test_batches_by_frames_need_lengths():
    overrides = ["TRAIN.BATCH_FRAMES=12800", "DATASET.GROUP_BY_LENGTH=false"]
    with pytest.raises(UserError, match="TRAIN.BATCH_FRAMES needs DATASET.GROUP_BY_LENGTH=true"):
        load_config("configs/soke.yaml", overrides=overrides)


def test_bad_files(tmp_path):
    with pytest.raises(UserError, match="did you mean configs/soke.yaml"):
        load_config("configs/sokee.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("A: [1\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_config(broken)
    circle = tmp_path / "circle.yaml"
    circle.write_text(f"BASE: {circle}\n")
    with pytest.raises(UserError, match="back to itself"):
        load_config(circle)


@pytest.mark.parametrize(
    ("encoding", "fault"), [("utf-8-sig", None), ("latin-1", "its line 2 holds the byte 0xfc"), ("utf-16", "UTF-16")]
)
def test_a_file_in_another_encoding_is_named(tmp_path, encoding, fault):
    file = tmp_path / "mine.yaml"
    file.write_bytes("BASE: [configs/deto.yaml]\r\nNAME: grün\r\n".encode(encoding))
    if fault is None:
        assert load_config(file).name == "grün"
    else:
        with pytest.raises(UserError, match=f"mine.yaml is not in UTF-8: .*{fault}"):
            load_config(file)


def test_paths_do_not_depend_on_where_the_caller_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("data") == ROOT / "data" and resolve("/data").as_posix() == "/data"
    assert load_config("configs/soke.yaml").name == "soke"


@pytest.mark.parametrize("program", ["train", "test", "get_motion_code", "vis_mesh"])
@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "configs/soke.yaml", "TRIAN.X=1"]])
def test_help_and_configuration_errors_load_no_library(program, arguments):
    """Torch alone takes seconds to import; without it the answer comes at once."""
    code = (
        f"import sys, {program}, soke.run.cli\n"
        f"sys.argv = ['{program}']\n"
        "try:\n"
        f"    {program}.main({arguments!r})\n"
        "except BaseException as error:\n"
        "    print('ended by', type(error).__name__)\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    ended = "SystemExit" if arguments == ["--help"] else "UserError"
    assert f"ended by {ended}\nFalse False" in done.stdout, done.stderr


def test_settings_load_no_library():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "soke").rglob("settings.py")]
    assert len(modules) > 7
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numpy", "transformers", "pytorch_lightning", "omegaconf"} & set(done.stdout.split())


def test_user_errors_end_without_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "train", "--cfg", "configs/soke.yaml", "TRIAN.X=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "error: configs/soke.yaml: unknown key TRIAN (did you mean TRAIN?)"


def test_flags_become_overrides():
    from soke.run import cli

    config, args = cli.parse(
        cli.parser("train", ""),
        [
            "--cfg",
            "configs/soke.yaml",
            "--batch_size",
            "5",
            "--device",
            "0",
            "1",
            "SEED=9",
            "--num_nodes",
            "2",
            "--nodebug",
        ],
    )
    assert (config.train.batch_size, config.device, config.seed, config.num_nodes, args.nodebug) == (
        5,
        [0, 1],
        9,
        2,
        True,
    )


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_only_a_cosine_is_extended(schedule):
    load_config("configs/deto.yaml", overrides=["TRAIN.EXTEND=true"])
    with pytest.raises(UserError, match=f"TRAIN.EXTEND is for TRAIN.OPTIM.SCHEDULE=cosine or linear: with {schedule}"):
        load_config("configs/deto.yaml", overrides=["TRAIN.EXTEND=true", f"TRAIN.OPTIM.SCHEDULE={schedule}"])


def test_a_file_changes_entries_of_parts_by_name(tmp_path):
    """Other entries and settings stay; a quantizer that says its kind takes the place of the other."""
    file = tmp_path / "own.yaml"
    file.write_text("BASE: [configs/deto.yaml]\nNAME: own\nPARTS:\n  lhand: {quantizer: {kind: fsq, levels: [8, 5]}}\n")
    config, published = load_config(file, overrides=["PARTS.rhand.quantizer.codes=64"]), load_config("configs/deto.yaml")
    assert [part.quantizer for part in config.parts] == [
        {"kind": "ema", "codes": 96}, {"kind": "fsq", "levels": [8, 5]}, {"kind": "ema", "codes": 64},
    ]
    assert [part.joints for part in config.parts] == [part.joints for part in published.parts]
    assert config.tokenizer.streams(config.parts) == {"body": 96, "lhand": 40, "rhand": 64}
    copy = tmp_path / "copy.yaml"
    copy.write_text(to_yaml(config))
    assert load_config(copy) == config


@pytest.mark.parametrize(
    ("file", "used"),
    [
        ("deto", {"SPEED", "ROTATION_NOISE", "MIRROR"}), ("soke", {"DROP_STEP"}),
        ("back_translation", {"SPEED", "ROTATION_NOISE", "MIRROR", "TIME_MASK"}), ("recognition", set()),
        ("retrieval", {"SPEED", "ROTATION_NOISE", "MIRROR"}), ("motion_autoencoder", set()),
        ("progressive_transformer", {"SPEED", "ROTATION_NOISE", "MIRROR"}),
        ("skels/tokenizer", {"SPEED", "POSITION_NOISE", "MIRROR"}),
    ],
)
def test_an_augmentation_without_effect_is_refused_by_name(file, used):
    """A stage's own are taken; the others, and noise of what the parts are not, are named."""
    corpus = next(iter(loaded(f"configs/{file}.yaml").dataset.corpora))
    asked = dict.fromkeys(("DROP_STEP", "SPEED", "ROTATION_NOISE", "POSITION_NOISE", "TIME_MASK"), "0.1")
    asked["MIRROR"] = f"{{{corpus}: 0.5}}"
    for key, value in asked.items():
        override = [f"AUGMENT.{key}={value}"]
        if key in used:
            assert load_config(f"configs/{file}.yaml", overrides=override).augment.used == {key.lower()}
        else:
            with pytest.raises(UserError, match=f"AUGMENT.{key} has no effect"):
                load_config(f"configs/{file}.yaml", overrides=override)


def test_augmentations_check_themselves():
    wrong = ["SPEED=1", "DROP_STEP=2", "ROTATION_NOISE=-1", "TIME_MASK=1", "MIRROR={csll: 0.5, csl: 3}"]
    with pytest.raises(UserError) as error:
        load_config("configs/deto.yaml", overrides=[f"AUGMENT.{item}" for item in wrong])
    for told in (
        "AUGMENT.SPEED must be at least 0 and below 1, not 1.0", "AUGMENT.DROP_STEP must be between 0 and 1, not 2.0",
        "AUGMENT.ROTATION_NOISE must be a number of at least 0, not -1.0", "AUGMENT.TIME_MASK must be at least 0",
        "AUGMENT.MIRROR.csl must be a probability between 0 and 1, not 3.0",
        "AUGMENT.MIRROR.csll is no corpus of this training, how2sign, csl, phoenix, lexicon (did you mean csl?)",
    ):
        assert told in str(error.value)
    assert load_config("configs/deto.yaml", overrides=["AUGMENT.MIRROR={lexicon: 0.5}"]).augment.used == {"mirror"}


@pytest.mark.parametrize(("override", "problem"), [
    ("REGRESSOR.NOISE=.nan", "REGRESSOR.NOISE must be a finite number of at least 0, not nan"),
    ("REGRESSOR.COUNTER_NOISE=.inf", "REGRESSOR.COUNTER_NOISE must be a finite number of at least 0, not inf"),
    ("REGRESSOR.COUNTER_WEIGHT=.inf", "REGRESSOR.COUNTER_WEIGHT must be a finite number above 0"),
    ("LOSS.FEATURE=.nan", "LOSS.FEATURE must be a finite number of at least 0, not nan"),
    ("TRANSLATION.TEXT_WEIGHT=.inf", "TRANSLATION.TEXT_WEIGHT one above 0"),
    ("REGRESSOR.FUTURE=0", "REGRESSOR.FUTURE must be at least 1, not 0"),
])
def test_weights_and_noise_are_finite(override, problem):
    with pytest.raises(UserError, match=re.escape(problem)):
        load_config("configs/progressive_transformer.yaml", overrides=[override])

"""Every shipped configuration loads and means something; every mistake is reported at once, by name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from soke.config import ROOT, load_config, resolve, to_yaml
from soke.errors import UserError

RUNNABLE = [
    "configs/deto.yaml", "configs/soke.yaml", "configs/back_translation.yaml",
    *(f"configs/demo/{name}.yaml" for name in ("deto", "soke", "soke_comparison", "back_translation")),
    *(f"configs/ablation/{name}.yaml" for name in (
        "fused_retrieval", "monolingual", "no_retrieval", "parallel", "released_fusion", "s_motiongpt",
        "s_motiongpt_tokenizer", "sequential", "tied_heads", "translation",
    )),
]  # fmt: skip


@pytest.mark.parametrize("file", RUNNABLE)
def test_shipped_configurations_load(file):
    assert load_config(file).PARTS


def test_all_runnable_configurations_are_listed():
    """A file that names a run is one to test; the others are layers, or plans of several runs."""
    named = [p for p in (ROOT / "configs").rglob("*.yaml") if "\nNAME:" in p.read_text() and p.name != "default.yaml"]
    assert sorted(str(p.relative_to(ROOT)) for p in named) == sorted(RUNNABLE)


def test_published_hyper_parameters():
    tokenizer, generator = load_config("configs/deto.yaml"), load_config("configs/soke.yaml")
    assert tokenizer.TOKENIZER.CODES == {"body": 96, "lhand": 192, "rhand": 192}
    t = tokenizer.TOKENIZER
    assert (t.CODE_DIM, t.WIDTH, t.DEPTH, t.DILATION_GROWTH, t.DOWNSAMPLE, t.EMA_DECAY) == (512, 512, 3, 3, 4, 0.99)
    assert (tokenizer.TRAIN.END_EPOCH, generator.TRAIN.END_EPOCH) == (500, 150)
    assert (tokenizer.TRAIN.BATCH_SIZE, generator.TRAIN.BATCH_SIZE) == (320, 32)
    for config in (tokenizer, generator):
        optim = config.TRAIN.OPTIM
        assert (optim.LR, optim.BETAS, optim.WEIGHT_DECAY, optim.ETA_MIN) == (2e-4, [0.9, 0.99], 0.0, 1e-6)
    assert generator.GENERATOR.FUSION is None  # equal: lambda = 1/3 for three parts
    loss = tokenizer.LOSS
    assert (loss.FEATURE, loss.COMMITMENT, loss.VELOCITY, loss.REDUCTION) == (1.0, 0.02, 0.0, "all")
    assert tokenizer.DATASET.TRAIN_ON_LEXICON and tokenizer.DATASET.LEXICON
    coupled = load_config("configs/ablation/s_motiongpt_tokenizer.yaml")
    assert coupled.LOSS == loss and not coupled.DATASET.TRAIN_ON_LEXICON  # one corpus, no lexicon


def test_lists_of_keywords_need_signs():
    lists = ["DATASET.LEXICON=null", "GENERATOR.RETRIEVAL.KEYWORDS=lists"]
    with pytest.raises(UserError, match="GENERATOR.RETRIEVAL.KEYWORDS needs signs"):
        load_config("configs/soke.yaml", overrides=lists)
    load_config("configs/soke.yaml", overrides=[*lists, "GENERATOR.RETRIEVAL.WORD_CODES=word2code.json"])


def test_an_override_without_a_value_is_empty_text():
    assert load_config("configs/soke.yaml", overrides=["METRIC.BACK_TRANSLATION="]).METRIC.BACK_TRANSLATION == ""


@pytest.mark.parametrize(
    "text",
    [
        "/data/Project #2/CSL", "a: b", "*star", "&and", "~/data", "~", "C:\\data\\new", "{x}", "[x]", "@x", "%x",
        "`x`", "| x", "> x", "!x", "- x", "? x", "1e3", "007", "true", "null#", "it's", 'say "x"', " x ", "a = b", "#",
        "日本 #1",
    ],
)  # fmt: skip
def test_text_is_taken_as_it_is(text):
    config = load_config(
        "configs/soke.yaml",
        overrides=[f"FOLDER={text}", f"DATASET.CORPORA.csl.ROOT={text}", f"DATASET.LEXICON={text}", f"NAME={text}"],
    )
    assert (config.FOLDER, config.NAME, config.DATASET.LEXICON) == (text, text, text)
    assert config.DATASET.CORPORA["csl"].ROOT == text and config.TOKENIZER.PATH.startswith(text)


def test_quotes_around_texts_and_values_of_other_kinds_are_yaml():
    config = load_config("configs/soke.yaml", overrides=[
        "NAME='a b'", 'FOLDER="x # y"', "TRAIN.RESUME=''", "DATASET.LEXICON=null", "DEVICE=[0, 1]",
        "METRIC.DTW=fastdtw", "DATASET.CORPORA={csl: {ROOT: '/data/Project #2'}}", "TRAIN.OPTIM.LR=1e-4",
        "SEED=7", "BODY.BETAS=[]",
    ])  # fmt: skip
    assert (config.NAME, config.FOLDER, config.TRAIN.RESUME, config.DATASET.LEXICON) == ("a b", "x # y", "", None)
    assert config.DATASET.CORPORA["csl"].ROOT == "/data/Project #2" and config.TRAIN.OPTIM.LR == 1e-4
    assert (config.DEVICE, config.SEED, config.METRIC.DTW, config.BODY.BETAS) == ([0, 1], 7, "fastdtw", [])


@pytest.mark.parametrize("key", ["DATASET.LEXICON", "GENERATOR.FUSION"])
def test_no_value_is_null_where_that_may_be(key):
    section, name = key.split(".")
    config = load_config("configs/soke.yaml", overrides=["GENERATOR.FUSION={body: 1, lhand: 1, rhand: 1}", f"{key}="])
    assert getattr(getattr(config, section), name) is None


@pytest.mark.parametrize("override", ["DATASET.CORPORA={csl: {ROOT: /data/Project #2}}", "BODY.BETAS=[1", "X.Y={a"])
def test_broken_yaml_in_an_override_is_told(override):
    with pytest.raises(UserError, match=re.escape(override) + " cannot be read .*quotes around texts"):
        load_config("configs/soke.yaml", overrides=[override])


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "back_translation" not in file])
def test_models_of_earlier_stages_follow_the_folder(file):
    config = load_config(file, overrides=["FOLDER=/scratch/x"])
    assert config.METRIC.BACK_TRANSLATION.startswith("/scratch/x/translation/")
    if config.TRAIN.STAGE == "generator":
        assert config.TOKENIZER.PATH.startswith("/scratch/x/tokenizer/")
    assert load_config(file).METRIC.BACK_TRANSLATION.startswith("experiments/translation/")
    assert load_config(file, overrides=["TOKENIZER.PATH=mine"]).TOKENIZER.PATH == "mine"


def test_every_generator_finds_the_tokenizer_that_a_shipped_configuration_trains():
    configs = [load_config(file) for file in RUNNABLE]
    made = {f"{c.FOLDER}/tokenizer/{c.NAME}/tokenizer" for c in configs if c.TRAIN.STAGE == "tokenizer"}
    assert {c.TOKENIZER.PATH for c in configs if c.TRAIN.STAGE == "generator"} <= made


def test_no_two_shipped_configurations_share_their_results():
    configs = [load_config(file) for file in RUNNABLE]
    assert len({(c.RESULTS, c.NAME) for c in configs}) == len(configs)


def test_commands_that_are_advised_train_in_full():
    pages = [ROOT / "README.md", ROOT / "soke" / "data" / "DATA.md"]
    code = [*(ROOT / "soke").rglob("*.py"), *(ROOT / "prepare").glob("*.py"), *ROOT.glob("*.py")]
    files = [*code, *(ROOT / "prepare").glob("*.sh"), *pages]
    plain = (file.read_text(encoding="utf-8").replace('"', " ") for file in files)
    text = " ".join(" ".join(content.split()) for content in plain)
    commands = re.findall(r"python -m train --cfg \S+(?: [^`#]{0,40})?", text)
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
    assert (config.SEED, config.TRAIN.BATCH_SIZE, config.TRAIN.END_EPOCH) == (5, 7, 150)


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
    ):  # fmt: skip
        assert expected in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("TOKENIZER.CODES.face=3", "TOKENIZER.CODES names body, lhand, rhand, face"),
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
    ],
)
def test_bad_values_and_combinations(override, expected):
    with pytest.raises(UserError, match=re.escape(expected)):
        load_config("configs/soke.yaml", overrides=[override])


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
        assert load_config(file).NAME == "grün"
    else:
        with pytest.raises(UserError, match=f"mine.yaml is not in UTF-8: .*{fault}"):
            load_config(file)


def test_paths_do_not_depend_on_where_the_caller_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("data") == ROOT / "data" and resolve("/data").as_posix() == "/data"
    assert load_config("configs/soke.yaml").NAME == "soke"


@pytest.mark.parametrize("program", ["train", "test", "get_motion_code", "vis_mesh"])
@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "configs/soke.yaml", "TRIAN.X=1"]])
def test_help_and_configuration_errors_load_no_library(program, arguments):
    """Torch alone takes seconds to import; without it the answer comes at once."""
    code = (
        f"import sys, {program}, soke.cli\n"
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
    from soke import cli

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
    assert (config.TRAIN.BATCH_SIZE, config.DEVICE, config.SEED, config.NUM_NODES, args.nodebug) == (
        5,
        [0, 1],
        9,
        2,
        True,
    )

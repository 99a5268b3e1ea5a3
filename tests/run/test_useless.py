"""What is set and has no effect is refused by name; what another layer has turned to something else is not."""

from __future__ import annotations

import pytest

from prepare.plans import read_plan, row_config
from soke.errors import UserError
from soke.run.config import ROOT, load_config, to_yaml

REFUSED = [
    ("deto", "TRAIN.OPTIM.PATIENCE=3", "with TRAIN.OPTIM.SCHEDULE=cosine: set TRAIN.OPTIM.SCHEDULE=plateau, or EVAL.PATIENCE"),
    ("soke", "TRAIN.OPTIM.FACTOR=0.1", "with TRAIN.OPTIM.SCHEDULE=cosine: set TRAIN.OPTIM.SCHEDULE=plateau, or TRAIN.OPTIM.FACTORS"),
    ("deto", "TRAIN.OPTIM.ETA_MIN=1e-5 TRAIN.OPTIM.SCHEDULE=constant", "with TRAIN.OPTIM.SCHEDULE=constant"),
    ("deto", "TRAIN.BATCH_SIZE=8 TRAIN.BATCH_FRAMES=800", "with TRAIN.BATCH_FRAMES=800"),
    ("back_translation", "TRANSLATION.BATCH_SIZES={csl: 8} TRAIN.BATCH_FRAMES=800", "with TRAIN.BATCH_FRAMES=800"),
    ("deto", "TEST.BASELINES=[mean_pose]", "on a model of stage tokenizer"),
    ("progressive_transformer", "TEST.WEIGHTS=bfloat16", "on a model of stage regressor"),
    ("progressive_transformer", "TEST.COMPILE=true", "on a model of stage regressor"),
    ("progressive_transformer", "TEST.SEARCH.METHOD=sample", "on a model of stage regressor"),
    ("progressive_transformer", "DATASET.TRAIN_ON_LEXICON=true", "on a model of stage regressor"),
    ("back_translation", "DATASET.CORPORA.csl.WEIGHT=3", "on a model of stage translation"),
    ("soke", "TEST.SEARCH.TOP_P=0.9", "with TEST.SEARCH.METHOD=greedy: set TEST.SEARCH.METHOD=sample"),
    ("soke", "TEST.SEARCH.BEAMS=8 TEST.SEARCH.METHOD=sample", "with TEST.SEARCH.METHOD=sample: set TEST.SEARCH.METHOD=beam"),
    ("soke", "BODY.HEAD_PLACE=mean", "with BODY.MODEL=smplx"),
    ("deto", "TOKENIZER.VQ.DECAY=0.9", "with PARTS of which none is quantized by vq without a decay of its own"),
    ("m3t_tokenizer", "LOSS.COMMITMENT=1", "with PARTS of which none is quantized by ema or vq"),
    ("deto", "LOSS.CODEBOOK=2", "with PARTS of which none is quantized by vq"),
    ("soke", "GENERATOR.RETRIEVAL.WORDS=5 DATASET.LEXICON=null", "without signs to retrieve"),
    ("soke", "GENERATOR.RETRIEVAL.FORM=fused GENERATOR.RETRIEVAL.WORDS=0", "with GENERATOR.RETRIEVAL.WORDS=0"),
    ("soke", "POLICY.OBJECTIVE=dpo", "with POLICY.SHARE=0, where nothing learns by reward: set POLICY.SHARE"),
    ("soke", "POLICY.REWARDS.bleu=1", "with POLICY.SHARE=0"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.BETA=1", "with POLICY.OBJECTIVE=grpo"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.CLIP=0.1 POLICY.UPDATES=1", "with POLICY.UPDATES=1"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.KL=0.1 POLICY.OBJECTIVE=dpo", "with POLICY.OBJECTIVE=dpo"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.SHARE=1 TRAIN.LABEL_SMOOTHING=0.1", "with POLICY.SHARE=1 and GENERATOR.TRANSLATION=0"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.SHARE=1 AUGMENT.DROP_STEP=0.1", "with POLICY.SHARE=1"),
    ("progressive_transformer", "REGRESSOR.OBJECTIVES={mse: 0, plc: 1} PRIORITY.FORM=rank PRIORITY.TEMPERATURE=0.3",
     "with PRIORITY.FORM=rank"),
    ("progressive_transformer", "PRIORITY.QUANTILE=0.3", "where REGRESSOR.OBJECTIVES has no plc: give it a share there"),
    ("progressive_transformer", "REGRESSOR.NOISE=0 REGRESSOR.START=mean REGRESSOR.JUST_COUNTER=true", "with REGRESSOR.JUST_COUNTER=true"),
    ("soke", "LOGGER.PICTURES=2 LOGGER.TENSORBOARD=false", "where LOGGER.TENSORBOARD, WANDB and MLFLOW are false"),
]
TAKEN = [
    ("back_translation", "TRAIN.OPTIM.PATIENCE=3 TRAIN.OPTIM.FACTOR=0.5"),
    ("m3t_back_translation", "TRAIN.OPTIM.SCHEDULE=cosine TRAIN.BATCH_FRAMES=800"),  # the file's PATIENCE and sizes
    ("deto", "TRAIN.OPTIM.PATIENCE=8 TEST.SEARCH.SEED=0"),  # as they are anyway
    ("soke", "TEST.SEARCH.METHOD=sample TEST.SEARCH.TOP_P=0.9 TEST.SEARCH.SEED=2"),
    ("m3t_tokenizer", "TOKENIZER.FSQ.BOUND=symmetric"),
    ("deto", "TOKENIZER.EMA.DECAY=0.9 PARTS.lhand.quantizer={kind: residual, count: 2, of: {kind: vq, codes: 8}} TOKENIZER.VQ.DECAY=0.9"),
    ("soke_grpo", "TRAIN.INIT=x POLICY.SHARE=0"),
    ("progressive_transformer", "REGRESSOR.OBJECTIVES={mse: 0.5, rwr: 0.5} PRIORITY.TEMPERATURE=0.3"),
    ("progressive_transformer", "REGRESSOR.OBJECTIVES={mse: 0, rwr: .5, plc: .5} PRIORITY.FORM=rank PRIORITY.TEMPERATURE=0.3"),
    ("deto", "POLICY.OBJECTIVE=dpo PRIORITY.ETA=2 GENERATOR.RETRIEVAL.STEPS=3"),  # what matters to another stage alone
    ("ablation/no_retrieval", ""),
]


def load(file: str, overrides: str):
    """Overrides are separated by blanks before capitals."""
    items: list[str] = []
    for word in overrides.split():
        if "=" in word and word[0].isupper():
            items.append(word)
        else:
            items[-1] += f" {word}"
    return load_config(f"configs/{file}.yaml", overrides=items)


@pytest.mark.parametrize(("file", "overrides", "why"), REFUSED, ids=[f"{file} {given}" for file, given, _ in REFUSED])
def test_what_is_set_without_effect_is_refused(file, overrides, why):
    with pytest.raises(UserError) as error:
        load(file, overrides)
    told = str(error.value).partition(": ")[2]
    assert f"has no effect {why}" in told and told.count("has no effect") == 1


@pytest.mark.parametrize(("file", "overrides"), TAKEN)
def test_what_has_an_effect_or_was_turned_off_on_purpose_is_taken(file, overrides):
    load(file, overrides)


def test_what_a_base_sets_is_turned_off_by_the_file_above_it(tmp_path):
    below, above, over = (tmp_path / f"{name}.yaml" for name in ("below", "above", "over"))
    below.write_text("BASE: configs/progressive_transformer.yaml\nTRAIN: {OPTIM: {PATIENCE: 3}}\n")
    above.write_text(f"BASE: {below}\nTRAIN: {{OPTIM: {{SCHEDULE: cosine}}}}\n")
    over.write_text(f"BASE: {above}\nTRAIN: {{OPTIM: {{PATIENCE: 4}}}}\n")
    assert load_config(below).train.optim.patience == load_config(above).train.optim.patience == 3
    with pytest.raises(UserError, match="TRAIN.OPTIM.PATIENCE has no effect with TRAIN.OPTIM.SCHEDULE=cosine"):
        load_config(over)


def test_a_run_s_whole_configuration_is_read_back(tmp_path):
    """It states everything, of which much has no effect; what is set on it counts."""
    config = load_config("configs/demo/progressive_transformer.yaml")
    assert (config.train.optim.patience, config.train.optim.schedule) == (7, "cosine")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config
    with pytest.raises(UserError, match="TRAIN.OPTIM.PATIENCE has no effect"):
        load_config(tmp_path / "config.yaml", overrides=["TRAIN.OPTIM.PATIENCE=4"])


@pytest.mark.parametrize(("sizes", "told"), [
    ("{how2sgn: 8}", "TRANSLATION.BATCH_SIZES.how2sgn is no corpus of this training, how2sign, csl, phoenix .did you mean how2sign"),
    ("{nmfs_csl: 8}", "TRANSLATION.BATCH_SIZES.nmfs_csl is no corpus of this training"),
])
def test_a_batch_size_of_no_corpus_is_refused(sizes, told):
    with pytest.raises(UserError, match=told):
        load_config("configs/back_translation.yaml", overrides=[f"TRANSLATION.BATCH_SIZES={sizes}"])


def test_a_batch_size_of_a_corpus_that_was_left_out_is_no_mistake():
    config = load_config("configs/m3t_back_translation.yaml", overrides=["DATASET.CORPORA.how2sign=null"])
    assert config.translation.batch_sizes == {"how2sign": 128}


@pytest.mark.slow
def test_every_row_of_every_shipped_plan_is_a_configuration():
    plans = [read_plan(str(path)) for path in (ROOT / "configs" / "ablation").glob("*.yaml") if "ROWS:" in path.read_text()]
    rows = [(plan, row) for plan in plans for row in (*plan.starts, *dict.fromkeys(map(plan.run_of, plan.rows)))]
    assert len({row_config(plan, row, plan.seeds[0])[0].name for plan, row in rows}) == len(rows) > 20


def test_a_command_line_counts_however_many_sections_it_has():
    """It is no run's config.yaml, which states everything."""
    many = [
        "NAME=x", "SEED=2", "ACCELERATOR=cpu", "DEVICE=1", "FOLDER=f", "RESULTS=r", "EVAL.BATCH_SIZE=8", "TEST.SPLIT=val",
        "DATASET.MAX_FRAMES=200", "TOKENIZER.WIDTH=64", "GENERATOR.MAX_STEPS=50", "METRIC.POOL=16", "LOGGER.EVERY_STEPS=1",
        "RENDER.SIZE=64", "TRANSLATION.WIDTH=64", "RETRIEVAL.WIDTH=64",
    ]
    load_config("configs/demo/deto.yaml", overrides=[*many, "TRAIN.BATCH_FRAMES=800"])  # the file's BATCH_SIZE
    with pytest.raises(UserError, match="TRAIN.BATCH_SIZE has no effect with TRAIN.BATCH_FRAMES=800"):
        load_config("configs/demo/deto.yaml", overrides=[*many, "TRAIN.BATCH_FRAMES=800", "TRAIN.BATCH_SIZE=3"])

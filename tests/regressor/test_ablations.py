"""SignLLM's ablations: what each row changes, in the full-size files as in the plan at demo size."""
from __future__ import annotations

from dataclasses import fields

import pytest

from prepare.plans import read_plan, row_config
from soke.regressor.settings import LangGloss
from soke.run.config import Config, load_config

TABLE, REWARDS = read_plan("configs/ablation/signllm_table3.yaml"), read_plan("configs/ablation/signllm_rewards.yaml")
RWR, PLC = ({"mse": 0.0, "plc": 0.0, "rwr": 0.0, kind: 1.0} for kind in ("rwr", "plc"))
ROWS = {  # row -> its file, what it changes
    "MSE": ("mse", {}),
    "future prediction": ("future_prediction", {"future": 10}),
    "just counter": ("just_counter", {"just_counter": True}),
    "Gaussian noise": ("noise", {"noise": 5.0}),
    "future prediction and noise": ("future_noise", {"future": 10, "noise": 5.0}),
    "Text2LangGloss": (
        "text2langgloss", {"groups": "shared", "lang_gloss": LangGloss(layers=2, weight=1.0, max_tokens=100)},
    ),
    "RL": ("rl", {"objectives": RWR}),
    "RL + PLC": ("rl_plc", {"objectives": PLC}),
}


def changed(config: Config, start: Config, section: str) -> dict[str, object]:
    """The fields of a section in which a configuration differs from that which it starts from."""
    ours, theirs = getattr(config, section), getattr(start, section)
    names = (field.name for field in fields(ours))
    return {name: getattr(ours, name) for name in names if getattr(ours, name) != getattr(theirs, name)}


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_the_ablation_are_those_of_the_paper(row):
    file, expected = ROWS[row]
    base = load_config("configs/ablation/signllm_mse.yaml")
    assert list(base.dataset.corpora) == ["asl"] and base.regressor.objectives == {"mse": 1.0, "plc": 0.0, "rwr": 0.0}
    assert (base.regressor.future, base.regressor.noise, base.regressor.just_counter) == (1, 0.0, False)
    full, demo = load_config(f"configs/ablation/signllm_{file}.yaml"), row_config(TABLE, row, 1)[0]
    assert changed(full, base, "regressor") == expected
    assert changed(demo, load_config(TABLE.base), "regressor") == expected
    assert not changed(full, base, "priority") and not changed(full, base, "train")


def test_every_row_is_listed():
    assert list(TABLE.rows) == list(ROWS)


def test_forms_of_reward_differ_in_rewards_alone():
    configs = {row: row_config(REWARDS, row, 1)[0] for row in REWARDS.rows}
    plain = configs["MSE"]
    assert len({(str(c.regressor.objectives), str(c.priority)) for c in configs.values()}) == len(configs)
    for config in configs.values():
        assert set(changed(config, plain, "regressor")) <= {"objectives"} and not changed(config, plain, "train")
    channel = [c for c in configs.values() if c.regressor.objectives == PLC]
    assert {c.priority.form for c in channel} == {"exp", "inverse", "rank"} and {c.priority.by for c in channel} == {"sample", "batch"}

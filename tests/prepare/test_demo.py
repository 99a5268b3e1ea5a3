"""prepare/demo.sh: which programs it runs, with which configurations, and that it skips what is done."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from soke.build.stages import STAGES
from soke.run.config import ROOT, load_config

DEMOS = {
    "soke": ["deto", "back_translation", "soke"],
    "m3t": ["m3t_tokenizer", "m3t_back_translation", "m3t", "recognition"],
    "signllm": ["signllm", "signllm_back_translation"],
}
demos = pytest.mark.parametrize("demo", list(DEMOS))
# In place of Python: writes down what it is asked to do, and makes what a training exports.
PYTHON = """#!/usr/bin/env bash
if [ "$1" = -c ]; then echo 1; exit; fi
echo "$@" >> calls
if [ "$2" = train ]; then while read -r file exported; do
  if [ "$4" = "$file" ]; then mkdir -p "${exported%/*}"; touch "${exported%/*/*}/config.yaml" "$exported"; fi
done < exports; fi
if [ "$2" = prepare.synthetic_corpora ]; then mkdir -p "$4"; [ -e "$4/corpora.json" ] || touch "$4/corpora.json"; fi
echo "output of $2"
"""


SETTINGS = {"recognition": "recognizer.json", "regressor": "regressor.json", "generator": "generator.json"}


def exports(name: str) -> list[str]:
    """A configuration's file and what its training exports, of back-translation a folder per corpus."""
    config = load_config(f"configs/demo/{name}.yaml")
    stage, folder = config.train.stage, f"experiments/{config.train.stage}/{config.name}"
    corpora = [f"/{corpus}" for corpus in config.dataset.corpora] if stage == "translation" else [""]
    exported = SETTINGS.get(stage, "config.json")
    return [f"configs/demo/{name}.yaml {folder}{corpus}/{stage}/{exported}" for corpus in corpora]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "prepare").mkdir()
    shutil.copy(ROOT / "prepare" / "demo.sh", tmp_path / "prepare")
    (tmp_path / "prepare" / "setup.sh").write_text(f"set -euo pipefail\ncd {tmp_path}\nPATH={tmp_path}/bin:$PATH\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(PYTHON)
    (tmp_path / "bin" / "python").chmod(0o755)
    return tmp_path


def run(place: Path, demo: str) -> tuple[list[str], subprocess.CompletedProcess]:
    """What it called, and how it ended."""
    (place / "calls").write_text("")
    done = subprocess.run(["bash", "prepare/demo.sh", demo], cwd=place, capture_output=True, text=True)
    return (place / "calls").read_text().splitlines(), done


@demos
def test_a_demo_runs_from_nothing_to_a_table_and_skips_what_is_done(place, demo):
    (place / "exports").write_text("".join(f"{line}\n" for name in DEMOS[demo] for line in exports(name)))
    calls, done = run(place, demo)
    assert done.returncode == 0, done.stderr
    trained = [call.split()[3] for call in calls if call.startswith("-m train")]
    assert sorted(trained) == sorted(f"configs/demo/{name}.yaml" for name in DEMOS[demo])
    assert "output of test" in done.stdout and "output of vis_mesh" in done.stdout
    assert [call for call in calls if "vis_mesh" in call]
    again, done = run(place, demo)
    assert done.returncode == 0 and not [call for call in again if call.split()[1] in ("train", "test", "vis_mesh")]
    for exported in place.glob("experiments/*/*/*/*.json"):  # as a new training would leave them
        subprocess.run(["touch", "-d", "1 hour", str(exported)], check=True)
    again, _ = run(place, demo)
    assert [call for call in again if call in calls and "synthetic" not in call and "small_mbart" not in call] == [
        call for call in calls if call.split()[1] in ("test", "vis_mesh", "get_motion_code")
    ]


@demos
def test_its_configurations_fit_each_other(place, demo):
    """The corpora that it writes, the readers that its system asks, the corpus that it shows."""
    (place / "exports").write_text("".join(f"{line}\n" for name in DEMOS[demo] for line in exports(name)))
    calls, _ = run(place, demo)
    (written,) = (call.split()[3] for call in calls if "synthetic_corpora" in call)
    system = load_config(f"configs/demo/{demo}.yaml")
    assert all(corpus.root.startswith(f"{written}/") for corpus in system.dataset.corpora.values())
    (shown,) = (call.split("--demo_dataset ")[1].split()[0] for call in calls if "vis_mesh" in call)
    assert shown in system.dataset.corpora
    (reader,) = (load_config(f"configs/demo/{name}.yaml") for name in DEMOS[demo] if name.endswith("back_translation"))
    assert system.metric.back_translation == f"experiments/{reader.train.stage}/{reader.name}"
    assert set(reader.dataset.corpora) <= set(system.dataset.corpora)
    assert STAGES[system.train.stage].producer is not None


def test_what_was_trained_on_other_corpora_is_named(place):
    (place / "exports").write_text("".join(f"{line}\n" for name in DEMOS["signllm"] for line in exports(name)))
    run(place, "signllm")
    (place / "data" / "signllm" / "corpora.json").unlink()
    run_folder = place / "experiments" / "regressor" / "demo-signllm"
    subprocess.run(["touch", "-d", "2 days ago", str(run_folder / "config.yaml")], check=True)
    _, done = run(place, "signllm")
    assert done.returncode == 1 and "trained on other corpora than data/signllm: remove it" in done.stderr


def test_an_unknown_demo_is_refused_with_the_names_of_those_that_there_are(place):
    _, done = run(place, "signlm")
    assert done.returncode == 2 and "no demo signlm; there are soke (without an argument), m3t and signllm" in done.stderr

"""The command: what it can show of what it is given, and what it says where something is missing."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from soke.errors import UserError
from soke.run.config import load_config
from soke.viewer import __main__ as command
from soke.viewer.__main__ import main, world_of
from soke.viewer.serving import Viewer
from soke.viewer.study.__main__ import main as study
from soke.viewer.world import World


def config_in(folder, *overrides):
    corpora = ("how2sign", "csl", "phoenix")
    return load_config("configs/demo/soke.yaml", overrides=[
        *(f"DATASET.CORPORA.{name}.ROOT={folder}/{name}" for name in corpora), f"DATASET.LEXICON={folder}/lexicon",
        f"FOLDER={folder}/experiments", f"RESULTS={folder}/results", *overrides,
    ])


def test_without_anything_it_asks_for_something():
    with pytest.raises(UserError, match="--cfg with configurations, or --results"):
        main([])


def test_a_folder_that_is_no_result_is_named(tmp_path):
    with pytest.raises(UserError, match="table.json"):
        main(["--results", str(tmp_path)])


def test_an_unknown_flag_and_a_wrong_key_are_refused():
    with pytest.raises(SystemExit):
        main(["--cfg", "configs/demo/soke.yaml", "--nowhere"])
    with pytest.raises(UserError, match="NOKEY"):
        main(["--cfg", "configs/demo/soke.yaml", "NOKEY=1"])


def test_settings_may_follow_whichever_flag(monkeypatch):
    shown = []
    monkeypatch.setattr(command, "world_of", lambda configs, results: shown.append((configs, results)))
    monkeypatch.setattr(command, "Viewer", lambda *given: SimpleNamespace(address="", wait=lambda: None))
    cfg, results, size = ["--cfg", "configs/demo/soke.yaml"], ["--results", "results/one"], "RENDER.SIZE=64"
    for argv in ([*cfg, size, *results], [*cfg, *results, size], [*results, *cfg, "--port", "8081", size]):
        main(argv)
        (config,), folders = shown.pop()
        assert config.render.size == 64 and folders == [Path("results/one")]
    with pytest.raises(UserError, match="RENDER.SIZE=64 is of the configurations that --cfg names"):
        main([*results, size])


def test_hosts_and_ports_that_there_are_not_are_named_in_place_of_waiting_for_them(capsys):
    for host in ("192.0.2.1", "a..b"):  # of documentation, and of nobody
        with pytest.raises(UserError, match=f"--host {host} is no address of this machine"):
            Viewer(World([]), host)
    for start in (main, study):
        with pytest.raises(SystemExit):
            start([*["serve", "study"] * (start is study), "--port", "80000"])
        assert "'80000' is no port, which are 0 to 65535" in capsys.readouterr().err


def test_each_system_signs_the_languages_of_its_own_corpora(tmp_path, monkeypatch):
    known = {"how2sign": "ASL", "csl": "CSL", "phoenix": "DGS"}
    monkeypatch.setattr(
        command, "corpus_of", lambda name, dataset: SimpleNamespace(name=name, language=known[name], splits=())
    )
    few = config_in(tmp_path, "NAME=few", "DATASET.CORPORA.csl=null", "DATASET.CORPORA.phoenix=null")
    world = world_of([few, config_in(tmp_path)], [])
    assert [signer.languages for signer in world.signers] == [("ASL",), ("ASL", "CSL", "DGS")]
    assert world.languages == ["ASL", "CSL", "DGS"]


def test_before_anything_is_there_it_says_what_to_do(tmp_path):
    world = world_of([config_in(tmp_path)], [])
    assert [signer.name for signer in world.signers] == ["demo-soke"] and not world.sources
    assert len(world.notes) == 4 and all(str(tmp_path) in note for note in world.notes)
    (signer,) = world.signers
    signer.start()
    signer._read.wait(60)
    assert "demo-soke" in signer.status and "train" in signer.status

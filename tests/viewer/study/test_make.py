"""What `make` writes: pages that know nothing of whose signing they show, and a key that does."""
from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from soke.body.skeletonise import BodySkeleton
from soke.errors import UserError
from soke.run.config import load_config, to_yaml
from soke.viewer.study import make as making
from soke.viewer.study.__main__ import main
from soke.viewer.study.key import KEY, Key
from soke.viewer.study.plan import System
from tests.viewer.study.making import SYSTEMS, Corpus, fake_video, plan_of, results, sources_of

PAGES = making.PAGES


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures of every video, and those beside it, without drawing them."""
    found = []

    def draw(path, figures, caption, *args, **options):
        found.append((path.name, figures, options["beside"], caption))
        return fake_video(path, figures, caption)

    monkeypatch.setattr(making, "write_video", draw)
    return found


def data_of(site: Path) -> dict:
    return json.loads((site / "data.js").read_text(encoding="utf-8").removeprefix("window.STUDY = ").rstrip().rstrip(";"))


def test_pages_know_neither_systems_nor_checks_nor_right_answers(drawn, body, tmp_path):
    plan = plan_of()
    page = making.make(plan, sources_of(tmp_path, body, plan), tmp_path / "study")
    site = page.parent
    assert page == tmp_path / "study" / "site" / "index.html" and page.is_file()
    content, data = Key.read(tmp_path / "study").content, data_of(site)
    text = (site / "data.js").read_text(encoding="utf-8")
    assert not any(name in text for name in (*SYSTEMS, "ground truth", "shuffled", "check", "target", "error mm", "day/c"))
    assert {path.name for path in site.iterdir()} == {
        "index.html", "study.css", "study.js", "collects.js", "data.js", "videos"
    }
    assert data["hash"] == content["hash"] and len(data["items"]) == len(content["items"])
    for public, item in zip(data["items"], content["items"]):
        clip = content["clips"][item["clip"]]
        assert public["videos"] == [f"videos/{n:04d}.mp4" for n in item["videos"]]
        assert all(content["videos"][n]["clip"] == item["clip"] for n in item["videos"])
        assert [content["videos"][n]["shown"] for n in item["videos"]] == item["shown"]
        assert ("text" in public) == (item["task"] != "comprehend")  # it would tell
        assert public.get("text", clip["text"]) == clip["text"] and public["lang"] == "en"
    assert {path.name for path in (site / "videos").iterdir()} == {name for name, *_ in drawn}


def test_videos_of_a_clip_share_cameras_and_no_label_tells_whose_signing_it_is(drawn, body, tmp_path):
    plan = plan_of(anchors=["ground truth", "shuffled"])
    making.make(plan, sources_of(tmp_path, body, plan), tmp_path / "study")
    assert len(drawn) == 4 * 4  # clips, by two systems, the signers, and other sentences of theirs
    for _, figures, beside, caption in drawn:
        assert caption == "" and [figure.label for figure in [*figures, *beside]] == [""] * 4
        assert len(figures[0].close_ups) == 1  # the face


def test_each_video_shows_what_the_key_says(drawn, body, tmp_path):
    plan = plan_of(anchors=["ground truth", "shuffled"])
    sources = sources_of(tmp_path, body, plan)
    making.make(plan, sources, tmp_path / "study")
    content, figures = Key.read(tmp_path / "study").content, {name: f[0] for name, f, *_ in drawn}
    corpus, layout = Corpus(), sources[SYSTEMS[0]].layout
    clips = {clip.name: clip for clip in corpus.clips("test")}
    truths = {
        name: body.surface(layout.covered(corpus.load(clip))).cpu().numpy() for name, clip in clips.items()
    }
    for number, video in enumerate(content["videos"]):
        vertices, name = figures[f"{number:04d}.mp4"].vertices, content["clips"][video["clip"]]["name"]
        nearest = min(truths, key=lambda other: abs(truths[other] - vertices).max())
        if video["shown"] == "ground truth":
            assert nearest == name and abs(truths[name] - vertices).max() < 1e-6
        elif video["shown"] == "shuffled":
            assert nearest != name and abs(truths[nearest] - vertices).max() < 1e-6
        else:
            motion = sources[video["shown"]].motion(clips[name])
            assert abs(body.surface(motion).cpu().numpy() - vertices).max() < 1e-6


def test_the_hash_changes_with_what_is_shown_and_asked_and_a_changed_key_is_refused(drawn, body, tmp_path):
    hashes = []
    for number, plan in enumerate((plan_of(), plan_of(), plan_of(seed=2), plan_of(prefer=["overall"]))):
        out = tmp_path / f"study{number}"
        making.make(plan, sources_of(tmp_path, body, plan), out)
        hashes.append(Key.read(out).hash)
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
    path = tmp_path / "study0" / KEY
    path.write_text(path.read_text(encoding="utf-8").replace('"swapped": true', '"swapped": false', 1), encoding="utf-8")
    with pytest.raises(UserError, match="was changed since the study was made"):
        Key.read(tmp_path / "study0")


def test_scores_of_the_systems_go_into_the_key(drawn, body, tmp_path):
    plan = plan_of()
    making.make(plan, sources_of(tmp_path, body, plan), tmp_path / "study")
    content = Key.read(tmp_path / "study").content
    for place, name in enumerate(SYSTEMS):
        for clip, scores in zip(content["clips"], content["scores"][name]):
            assert scores == {"error mm": 10.0 * int(clip["name"][5:]) + 0.1 * (place + 1)}


def test_what_is_not_there_is_named(drawn, body, tmp_path):
    plan = plan_of()
    sources = sources_of(tmp_path, body, plan)

    def error_of(changed, **change) -> str:
        with pytest.raises(UserError) as caught:
            making.make(plan_of(**change), changed, tmp_path / "study")
        return str(caught.value)

    assert "CLIPS.own is 9, but there are 8 clips of different sentences" in error_of(sources, clips={"own": 9})
    assert "no other clip could be shown" in error_of(sources, clips={"own": 1})
    named = dict(sources) | {SYSTEMS[1]: replace(sources[SYSTEMS[1]], row="signed")}
    assert "has no row signed, but generated, generated, shuffled: state another SYSTEMS.kept in.ROW" in error_of(named)
    empty = dict(sources) | {SYSTEMS[1]: replace(sources[SYSTEMS[1]], folder=tmp_path / "nowhere")}
    assert "test it again with TEST.SAVE_PREDICTIONS=true" in error_of(empty)
    assert not (tmp_path / "study").exists()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "answers.jsonl").write_text("{}\n")
    assert "choose a new folder" in error_of(sources)


def test_results_are_read_by_the_configuration_that_stands_beside_them(drawn, tmp_path, capsys):
    reader = [
        f"DATASET.CORPORA.own.ROOT={tmp_path}", "DATASET.CORPORA.own.READER=tests.viewer.study.making.Configured",
        "ACCELERATOR=cpu",
    ]
    plan = plan_of(systems={name: System(str(tmp_path / name)) for name in SYSTEMS})
    for number, name in enumerate(SYSTEMS):
        results(tmp_path / name, Corpus(), 0.1 * number)
        (tmp_path / name / "config.yaml").write_text(to_yaml(load_config("configs/deto.yaml", None, reader)), "utf-8")
    written = {name.upper(): value for name, value in json.loads(json.dumps(asdict(plan))).items()}
    written["SYSTEMS"] = {name: {"RESULTS": str(tmp_path / name)} for name in SYSTEMS}
    written["RENDER"] = {"SIZE": 32, "BACKEND": "software"}
    (tmp_path / "plan.yaml").write_text(json.dumps(written), encoding="utf-8")  # JSON is YAML
    main(["make", "--plan", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "study")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "study" / "site" / "index.html")
    assert len(drawn) == 4 * 3 + 1 and Key.read(tmp_path / "study").plan["seed"] == plan.seed
    written["CLIPS"] = {"others": 2}
    (tmp_path / "other.yaml").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(UserError, match="CLIPS.others: left out was not tested on it, but on .*own"):
        main(["make", "--plan", str(tmp_path / "other.yaml"), "--out", str(tmp_path / "another")])
    with pytest.raises(UserError, match="there are no answers to the study"):
        main(["analyse", str(tmp_path / "study")])
    (tmp_path / SYSTEMS[1] / "config.yaml").unlink()
    with pytest.raises(UserError, match="SYSTEMS.kept in.RESULTS: .* holds no results of a test, it has no config.yaml"):
        main(["make", "--plan", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "another")])


def test_stick_figures_have_close_ups_of_their_hands_and_are_not_mixed_with_meshes(drawn, body, tmp_path):
    skeleton = BodySkeleton(body)
    plan = plan_of(clips={"own": 2}, checks=1)
    sources = sources_of(tmp_path, body, plan)
    mixed = sources | {SYSTEMS[1]: replace(sources[SYSTEMS[1]], body=skeleton)}
    with pytest.raises(UserError, match="bodies of different kinds"):
        making.make(plan, mixed, tmp_path / "mixed")
    drawn.clear()
    sticks = {name: replace(source, body=skeleton) for name, source in sources.items()}
    making.make(plan, sticks, tmp_path / "study")
    assert len(drawn) == 2 * 3 + 1 and all(figures[0].whole and len(figures[0].close_ups) == 2 for _, figures, *_ in drawn)


def test_every_word_of_the_pages_is_there_in_every_language():
    words = json.loads((PAGES / "words.json").read_text(encoding="utf-8"))
    script = (PAGES / "study.js").read_text(encoding="utf-8")
    assert words["en"].keys() == words["de"].keys() == words["zh"].keys()
    used = set(re.findall(r'say\("(\w+)"', script))
    assert used and used <= words["en"].keys()
    for language in words.values():
        for key, text in language.items():
            assert set(re.findall(r"\{\d\}", text)) == set(re.findall(r"\{\d\}", words["en"][key])), key


def test_pages_name_no_outside_address_and_set_no_markup():
    for name in ("index.html", "study.css", "study.js"):
        text = (PAGES / name).read_text(encoding="utf-8")
        assert not re.search(r"https?:|//[\w-]+\.\w|innerHTML|insertAdjacent|document\.write|eval\(", text)

"""An analysis finds what simulated raters were made to prefer, and says where it cannot tell."""
from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from soke.errors import UserError
from soke.storage import write_json
from soke.viewer.study.analyse import Study, analyse
from soke.viewer.study.answers import Answers, read_answer
from soke.viewer.study.key import ANSWERS, KEY, Key
from soke.viewer.study.plan import Detail
from soke.viewer.study.report import correlations_csv, picture, text_of
from tests.viewer.study.making import EVERY, SYSTEMS, answered, attentive, fake_key, lines, plan_of, start

STRENGTHS = {"ground truth": 4.0, SYSTEMS[1]: 2.0, SYSTEMS[0]: 1.0, "shuffled": 0.1}
PAIRS = [[SYSTEMS[0], SYSTEMS[1]], ["ground truth", SYSTEMS[0]], ["ground truth", SYSTEMS[1]]]


@pytest.fixture(scope="module")
def key() -> Key:
    return fake_key(plan_of(clips={"own": 12}, pairs=PAIRS, anchors=["ground truth", "shuffled"], forms=40, each=6), 30)


@pytest.fixture(scope="module")
def of_preferences() -> Key:
    return fake_key(plan_of(clips={"own": 12}, pairs=PAIRS, rate=[], comprehend="", forms=40, each=6), 30)


def kept(key: Key, folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    write_json(folder / KEY, key.content)
    (folder / ANSWERS).write_text(text, encoding="utf-8")
    return folder


def found_of(key: Key, records: list[dict]) -> dict:
    answers = Answers(key)
    for line in lines(records).splitlines():
        answers.add(read_answer(line, key))
    found = Study(key, answers).findings()
    assert json.loads(json.dumps(found, allow_nan=False)) and key.hash in text_of(found)  # whatever was answered
    correlations_csv(found)
    return found


def rated(key: Key, people: int, seed: int = 1) -> list[dict]:
    rng = Random(seed)
    judge = attentive(rng, STRENGTHS)
    return [record for n in range(people) for record in answered(key, n + 1, n % len(key.forms), judge)]


def test_known_preferences_are_found_within_their_intervals(key):
    found = found_of(key, rated(key, 40))
    assert found["participants"]["counted"] == found["participants"]["finished"] == 40
    for row in found["preferences"]:
        first, second = (STRENGTHS[name] for name in row["pair"])
        assert row["interval"][0] < first / (first + second) < row["interval"][1]
        assert row["first"] + row["same"] + row["second"] == 40 * 6 and sum(row["people"]) == 40
        assert row["p"] < 0.05 and row["people_p"] < 0.05 and row["p_holm"] >= row["p"]
        assert row["problem"] == ""
    truth = np.log([STRENGTHS[name] for name in found["bradley_terry"]["overall"]["systems"]])
    for fit in found["bradley_terry"].values():
        for (low, high), value in zip(fit["intervals"], truth - truth.mean()):
            assert low < value < high
    for row in found["ratings"]:
        strength = STRENGTHS[row["system"]]
        assert row["interval"][0] - 0.1 < 4 * strength / (1 + strength) < row["interval"][1] + 0.1
    for row in found["comprehension"]:
        strength = STRENGTHS[row["system"]]
        assert row["interval"][0] < strength / (1 + strength) < row["interval"][1]
        assert row["chance"] == 0.25 and row["system"] != "shuffled"
    assert found["sides"]["p"] > 0.01  # nobody prefers a side
    assert all(row["alpha"][0] > 0.3 for row in found["agreement"] if row["task"] == "rate")


def undecided(key: Key, seed: int) -> list[dict]:
    """Thirty people who draw lots, but for the checks."""
    rng = Random(seed)
    return [
        record for n in range(30)
        for record in answered(key, n + 1, n, lambda item, q: 0 if item["check"] else rng.choice([0, 1, None]))
    ]


def test_who_has_no_preference_has_none_in_the_tables(of_preferences):
    rows = found_of(of_preferences, undecided(of_preferences, 4))["preferences"]
    assert sum(row["interval"][0] < 0.5 < row["interval"][1] for row in rows) >= 5  # of six intervals of 95 %
    assert all(row["people_p_holm"] > 0.05 and row["p_holm"] > 0.05 and row["same"] > 30 for row in rows)


@pytest.mark.slow
def test_of_lots_that_are_drawn_one_in_twenty_seems_a_preference(of_preferences):
    rows = [row for seed in range(40) for row in found_of(of_preferences, undecided(of_preferences, seed))["preferences"]]
    for name in ("p", "people_p"):
        assert 0.005 < np.mean([row[name] < 0.05 for row in rows]) < 0.08
    assert 0.92 < np.mean([row["interval"][0] < 0.5 < row["interval"][1] for row in rows]) < 0.995


def test_a_side_that_is_always_preferred_favours_no_system(key):
    def judge(item, question):
        return 0 if item["task"] == "prefer" else item["target"] if item["task"] == "comprehend" else 2

    records = [record for n in range(8) for record in answered(key, n + 1, n, judge)]
    for record in records:
        if record["item"] != "start" and key.items[record["item"]]["task"] == "prefer" and not key.items[record["item"]]["check"]:
            record["answers"] = {"overall": "A", "face": "A"}
    found = found_of(key, records)
    assert found["sides"]["B"] == 0 and found["sides"]["p"] < 1e-6
    for row in found["preferences"]:
        assert row["first"] == row["second"] and row["share"] == 0.5


def test_too_little_data_is_said_in_place_of_numbers(key):
    found = found_of(key, [r for r in rated(key, 1) if r["item"] == "start" or key.items[r["item"]]["check"]])
    assert all(row["share"] is None and row["p"] is None and "too little data: 0" in row["problem"] for row in found["preferences"])
    assert all(fit["scores"] is None and "too little data" in fit["problem"] for fit in found["bradley_terry"].values())
    assert all(row["mean"] is None and "too little data" in row["problem"] for row in found["ratings"])
    assert all(row["share"] is None and "too little data" in row["problem"] for row in found["comprehension"])
    assert all(row["alpha"] is None and "too little data" in row["problem"] for row in found["agreement"])
    assert found["sides"] is None and found["seconds"] is None and not found["correlations"]
    two = found_of(key, rated(key, 2))
    assert all(row["people_p"] is None and "too little data for a test over people" in row["problem"] for row in two["preferences"])
    assert all(row["mean"] is None for row in two["ratings"])
    assert all(fit["intervals"] is None for fit in two["bradley_terry"].values())


def test_who_misses_checks_or_answers_none_does_not_count_and_is_listed(key):
    good = rated(key, 10)
    careless = [
        record for n in (20, 21)
        for record in answered(key, n, n, lambda item, q: {"prefer": 1, "rate": 4, "comprehend": "unknown"}[item["task"]])
    ]
    gone = answered(key, 30, 5, attentive(Random(0), STRENGTHS))[:4]  # before any check
    found = found_of(key, good + careless + gone)
    assert found["participants"]["excluded"] == {
        f"{20:032x}": "missed 1 of 1 checks", f"{21:032x}": "missed 1 of 1 checks", f"{30:032x}": "answered no check"
    }
    assert (found["participants"]["all"], found["participants"]["counted"], found["participants"]["finished"]) == (13, 10, 12)
    assert found["preferences"] == found_of(key, good)["preferences"]


def test_without_preferences_a_check_is_another_sentence_that_is_rated_low():
    key = fake_key(plan_of(prefer=[], pairs=[], comprehend="", anchors=[], clips={"own": 3}, checks=2))
    (low, high, once) = (
        answered(key, n, n, lambda item, q, r=r: r if item["check"] and q == "fidelity" else 3) for n, r in ((1, 1), (2, 2), (3, 0))
    )
    assert list(found_of(key, low + high + once)["participants"]["excluded"]) == [f"{2:032x}"]


def test_what_was_written_is_scored_as_texts_are():
    key = fake_key(plan_of(comprehend="write", prefer=[], pairs=[], rate=[], checks=0, forms=12))

    def judge(item, question):
        text = key.clips[item["clip"]]["text"]
        return {"ground truth": text, SYSTEMS[1]: text.rpartition(" ")[0], SYSTEMS[0]: ""}[item["shown"][0]]

    found = found_of(key, [record for n in range(12) for record in answered(key, n + 1, n, judge)])
    scores = {row["system"]: row["scores"] for row in found["comprehension"]}
    assert scores["ground truth"]["WER"][0] == 0 and scores["ground truth"]["chrF"][0] == 100
    assert scores[SYSTEMS[1]]["WER"][0] == pytest.approx(100 / 3)  # one of three words is lacking
    assert scores[SYSTEMS[0]]["WER"][0] == 100 and scores[SYSTEMS[0]]["BLEU-4"][0] == 0
    assert all("level:word" in signature for row in found["comprehension"] for signature in row["signatures"])


def test_texts_of_corpora_in_other_languages_are_scored_apart():
    key = fake_key(plan_of(comprehend="write", prefer=[], pairs=[], rate=[], checks=0, forms=12, clips={"own": 4}))
    for number in (2, 3):
        key.clips[number] |= {"corpus": "csl", "text": f"今天下雨{number}", "lang": "zh"}
    found = found_of(key, [
        r for n in range(12) for r in answered(key, n + 1, n, lambda item, q: key.clips[item["clip"]]["text"])
    ])
    assert {row["corpus"] for row in found["comprehension"]} == {"own", "csl"}
    for row in found["comprehension"]:
        assert row["scores"]["WER"][0] == 0 and ("level:word" in row["signatures"][0]) == (row["corpus"] == "own")


def test_a_question_may_be_asked_in_two_tasks_and_everybody_may_say_the_same(tmp_path):
    own = {"beauty": EVERY}
    key = fake_key(plan_of(prefer=["beauty"], rate=["beauty"], questions=own, comprehend="", checks=0, forms=8))
    found = found_of(key, [r for n in range(8) for r in answered(key, n + 1, n, lambda item, q: 0 if item["task"] == "prefer" else 4)])
    assert all(row["mean"] == 4 and row["interval"] is None for row in found["ratings"])
    assert [(row["task"], row["question"]) for row in found["agreement"]] == [("prefer", "beauty"), ("rate", "beauty")]
    assert all(fit["scores"] is None and "no finite score" in fit["problem"] for fit in found["bradley_terry"].values())
    picture(found, tmp_path / "a.png")


def test_judgements_correlate_with_the_scores_that_they_follow():
    key = fake_key(plan_of(clips={"own": 10}, prefer=[], pairs=[], comprehend="", checks=0, forms=8))
    rows = found_of(key, [
        r for n in range(8) for r in answered(key, n + 1, n, lambda item, q: min(4, item["clip"] // 2) if q == "grammar" else 4 - item["clip"] // 2)
    ])["correlations"]
    (grammar, fidelity) = rows
    assert grammar["metric"] == fidelity["metric"] == "error mm" and grammar["points"] == 20 and grammar["clips"] == 10
    assert grammar["spearman"][0] > 0.95 and fidelity["spearman"][0] < -0.95
    assert grammar["pearson"][0] == pytest.approx(-fidelity["pearson"][0])


def test_files_and_the_server_s_file_are_read_together_and_each_answer_counts_once(key, tmp_path):
    records = rated(key, 12)
    study = kept(key, tmp_path / "study", lines(records))
    own = [r for r in records if r["participant"] == f"{3:032x}"]
    saved = tmp_path / "answers-3.jsonl"
    late = answered(key, 50, 7, attentive(Random(5), STRENGTHS))
    saved.write_text(lines(own) + lines(late), encoding="utf-8")
    text = analyse(study, [saved], tmp_path / "analysis")
    found = json.loads((tmp_path / "analysis" / "analysis.json").read_text(encoding="utf-8"))
    assert found["participants"]["all"] == 13 and found["refused"] == [] and found["plan"] == key.hash
    assert text.startswith(f"text · plan {key.hash}\n13 participants, 13 have finished, 13 count;")
    assert (tmp_path / "analysis" / "analysis.txt").read_text(encoding="utf-8") == text
    rows = list(csv.DictReader((tmp_path / "analysis" / "correlations.csv").open(encoding="utf-8")))
    assert [row["judged"] for row in rows] == ["overall", "face", "grammar", "fidelity", "right"]
    assert [float(row["Spearman"]) for row in rows] == [row["spearman"][0] for row in found["correlations"]]
    assert (tmp_path / "analysis" / "analysis.png").read_bytes().startswith(b"\x89PNG")


def test_other_answers_are_listed_and_do_not_count(key, tmp_path, monkeypatch):
    monkeypatch.setattr("soke.viewer.study.analyse.picture", lambda found, path: path.touch())
    records = rated(key, 3)
    contradicting = records[1] | {"seconds": 3.0}
    other = [start(key, f"{9:032x}", 0) | {"plan": "0" * 12}]
    text = lines(records) + lines([contradicting]) + lines(other) + '{"half\n\n' + lines([records[0]])
    study = kept(key, tmp_path / "study", text)
    analyse(study, [], tmp_path / "out")
    found = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    count = len(records)
    assert [line.partition("line ")[2].split(":")[0] for line in found["refused"]] == [str(count + n) for n in (1, 2, 3)]
    assert "answered before" in found["refused"][0] and "another plan" in found["refused"][1] and "no JSON" in found["refused"][2]
    assert found["participants"]["all"] == 3
    with pytest.raises(UserError, match="1 lines were refused, the first: .*of another plan"):
        analyse(kept(key, tmp_path / "study", lines(other)), [], tmp_path / "out")
    with pytest.raises(UserError, match="there are no answers to the study"):
        analyse(kept(key, tmp_path / "study", ""), [], tmp_path / "out")


def test_skipped_items_count_nowhere(key):
    records = rated(key, 8)
    skipped = [r | {"answers": {"skipped": True}} if r["item"] != "start" and not key.items[r["item"]]["check"] else r for r in records]
    found = found_of(key, skipped)
    assert found["answers"] == 0 and found["skipped"] == sum(r["answers"] == {"skipped": True} for r in skipped)
    assert all(row["share"] is None for row in found["preferences"])


def test_details_are_counted():
    key = fake_key(plan_of(about=[Detail("hearing", EVERY, {"deaf": EVERY, "hearing": EVERY})], checks=0))
    records = [start(key, f"{n:032x}", 0) for n in range(4)]
    for record, value in zip(records, ("deaf", "deaf", "hearing")):
        record["answers"] = {"consent": True, "about": {"hearing": value}}
    assert found_of(key, records)["about"] == {"hearing": {"deaf": 2, "hearing": 1, "–": 1}}

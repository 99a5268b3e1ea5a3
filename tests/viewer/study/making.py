"""Studies of two systems that have no model, whose videos are bytes, and raters who know what they prefer."""
from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import torch

from soke.body.joints import UPPER_BODY
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion
from soke.body.posed import Posed
from soke.data.clip import Clip, SkippedClip
from soke.data.storage.saved import write_motion
from soke.viewer.study.answers import Answer
from soke.viewer.study.forms import forms_of, items_of
from soke.viewer.study.key import Key, hash_of
from soke.viewer.study.plan import Plan, System
from soke.viewer.study.sources import Source

EVERY = {"en": "text", "de": "Text", "zh": "文"}
SYSTEMS = ("left out", "kept in")
FRAMES, FPS = 3, 10.0


def plan_of(**changes: Any) -> Plan:
    values = dict(
        title=EVERY, consent=EVERY, systems={name: System(name) for name in SYSTEMS}, clips={"own": 4},
        pairs=[list(SYSTEMS), ["ground truth", SYSTEMS[0]]], prefer=["overall", "face"],
        rate=["grammar", "fidelity"], comprehend="choose", anchors=["ground truth"], forms=4, checks=1,
    )
    return Plan(**values | changes)


class Corpus:
    name, language, fps = "own", "ASL", FPS

    def __init__(self, size: int = 8):
        self.size = size

    def clips(self, split: str) -> list[Clip]:
        words = ["rain", "sun", "snow", "wind", "frost", "hail", "storm", "fog"]
        return [
            Clip(f"day/c{i}", self.name, split, self.language, f"{words[i % 8]} number {i}", Path("nowhere"), FPS)
            for i in range(self.size)
        ]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def load(self, clip: Clip) -> Motion:
        motion = Motion.rest(FRAMES, FPS)
        motion.rotations[:, 12:] = 0.02 * (1 + int(clip.name[5:])) * torch.arange(FRAMES)[:, None, None]
        return motion


class Configured(Corpus):
    """As a configuration names it."""

    def __init__(self, root: Path):
        super().__init__()


def results(folder: Path, corpus: Corpus, shift: float) -> None:
    """Predictions, and their scores in clips.csv: `error mm` is 10 times the clip's number, plus `shift`."""
    for clip in corpus.clips("test"):
        motion = corpus.load(clip)
        motion.rotations[:, 12:] += shift
        write_motion(folder / "predictions" / corpus.name / f"{clip.name}.npz", motion)
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["corpus", "clip", "row", "frames", "error mm", "text"])
        for number, clip in enumerate(corpus.clips("test")):
            writer.writerow([corpus.name, clip.name, "generated", FRAMES, 10.0 * number + shift, "seven words"])
            writer.writerow([corpus.name, clip.name, "generated, shuffled", FRAMES, 999.0, ""])


def sources_of(folder: Path, body: Posed, plan: Plan, size: int = 8) -> dict[str, Source]:
    corpus, layout = Corpus(size), MotionLayout([PartSpec("all", UPPER_BODY, jaw=True, expression=10)])
    for number, (name, system) in enumerate(plan.systems.items()):
        results(folder / name, corpus, 0.1 * (number + 1))
    return {
        name: Source(name, folder / name, system.row, "test", body, layout, {"own": corpus})
        for name, system in plan.systems.items()
    }


def fake_video(path: Path, figures: list, caption: str, *_: Any, **__: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figures[0].vertices.tobytes()[:2000])
    return path


def fake_key(plan: Plan, size: int = 8) -> Key:
    """The key of a study whose clips were never drawn."""
    count = sum(plan.clips.values())
    texts = [f"sentence number {n}" for n in range(count)]
    items = items_of(plan, ["own"] * count, texts, {"own": [f"another number {n}" for n in range(size)]})
    content = {
        "plan": asdict(plan), "clips": [{"corpus": "own", "name": f"c{n}", "text": t, "lang": "en"} for n, t in enumerate(texts)],
        "items": [asdict(item) for item in items], "forms": [[asdict(e) for e in form] for form in forms_of(plan, items)],
        "scores": {
            name: [{"error mm": 10.0 * n + place} for n in range(count)] for place, name in enumerate(plan.systems)
        },
    }
    content = json.loads(json.dumps(content))
    return Key(content | {"hash": hash_of(content)})


def start(key: Key, participant: str, form: int) -> dict[str, Any]:
    answers = {"consent": True, "about": {}}
    return {"plan": key.hash, "participant": participant, "form": form, "item": "start", "answers": answers, "seconds": 1.0}


def answered(
    key: Key, number: int, form: int, judge: Callable[[Mapping[str, Any], str], Any]
) -> list[dict[str, Any]]:
    """All answers of a participant, in the form's order.

    judge: item and question -> which of `shown` is preferred (its place, None: no difference), the rating, or what is
           understood; the question is "" there
    """
    participant = f"{number:032x}"
    given = [start(key, participant, form)]
    for entry in key.content["forms"][form]:
        item = key.items[entry["item"]]
        if item["task"] == "comprehend":
            answers = {"choice" if item["options"] else "text": judge(item, "")}
        else:
            answers = {question: judge(item, question) for question in key.plan[item["task"]]}
        if item["task"] == "prefer":
            answers = {question: _side(place, entry) for question, place in answers.items()}
        given.append(start(key, participant, form) | {"item": entry["item"], "answers": answers, "seconds": 9.5})
    return given


def _side(place: int | None, entry: Mapping[str, Any]) -> str:
    return "same" if place is None else "AB"[place ^ entry["swapped"]]


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(Answer(**record).line for record in records)


def attentive(rng: Random, chances: Mapping[str, float]) -> Callable[[Mapping[str, Any], str], Any]:
    """A rater who passes checks; chances: system -> strength, by which one is preferred, rated and understood."""

    def judge(item: Mapping[str, Any], question: str) -> Any:
        shown = item["shown"]
        if item["task"] == "prefer":
            if item["check"]:
                return 0
            first, second = (chances[name] for name in shown)
            return int(rng.random() > first / (first + second))
        strength = chances[shown[0]] / (1 + chances[shown[0]])
        if item["task"] == "rate":
            return sum(rng.random() < strength for _ in range(4))
        return item["target"] if rng.random() < strength else "unknown"

    return judge

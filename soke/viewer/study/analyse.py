"""What the answers to a study say."""
from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soke.errors import UserError
from soke.metrics.text_scores import TextScores
from soke.storage import new_file
from soke.text.words import level_of
from soke.viewer.study import agreement, preferences
from soke.viewer.study.answers import SAME, UNKNOWN, Answer, Answers
from soke.viewer.study.correlation import TOO_LITTLE, Correlation, correlation
from soke.viewer.study.forms import COMPREHEND, PREFER, RATE
from soke.viewer.study.intervals import ends, jackknife
from soke.viewer.study.key import ANSWERS, Key
from soke.viewer.study.plan import CHECKED_RATING
from soke.viewer.study.report import correlations_csv, picture, text_of

CHECK_RATING_AT_MOST = 1  # of what another sentence means [A]
_TEXT_SCORES = ("BLEU-4", "chrF", "ROUGE-L", "WER")
Point = tuple[str, int]  # system, clip


def analyse(study: Path, files: Sequence[Path], out: Path) -> str:
    """Writes analysis.json, analysis.txt, analysis.png and correlations.csv into `out`; returns the text.

    study: folder that `make` has written, with the answers that `serve` has taken, if any
    files: that participants have saved

    Raises UserError where there is no answer, or the key was changed.
    """
    key = Key.read(study)
    answers = Answers(key)
    kept = study / ANSWERS
    for path in [*[kept] * kept.is_file(), *files]:
        answers.read(path)
    if not answers.kept:
        refused = f"; {len(answers.refused)} lines were refused, the first: {answers.refused[0]}" if answers.refused else ""
        raise UserError(f"there are no answers to the study {key.hash} in {kept} and {len(files)} files{refused}")
    found = Study(key, answers).findings()
    text = text_of(found)
    with new_file(out / "analysis.json") as path:
        path.write_text(json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    for name, content in (("analysis.txt", text), ("correlations.csv", correlations_csv(found))):
        with new_file(out / name) as path:
            path.write_text(content, encoding="utf-8", newline="")
    with new_file(out / "analysis.png") as path:
        picture(found, path)
    return text


@dataclass
class Study:
    """A study that was answered."""

    key: Key
    answers: Answers

    def __post_init__(self) -> None:
        self.plan, self.items = self.key.plan, self.key.items
        self.excluded = {person: reason for person in self.answers.participants if (reason := self._fails(person))}
        self.people = [person for person in self.answers.participants if person not in self.excluded]
        self.place = {person: number for number, person in enumerate(self.people)}
        self.counted = [a for a in self.answers.of(self.people) if not self.items[a.item]["check"]]

    def findings(self) -> dict[str, Any]:
        """All of it, in plain types; what cannot be told is None, beside a sentence that says why."""
        every = {person: Counter() for person in self.answers.participants}
        for (person, item), answer in self.answers.kept.items():
            every[person]["items"] += item != "start"
            every[person]["skipped"] += answer.skipped
        form = {a.participant: a.form for a in self.answers.kept.values()}
        return {
            "plan": self.key.hash, "title": self.plan["title"][self.plan["languages"][0]],
            "participants": {
                "all": len(every), "counted": len(self.people),
                "finished": sum(n["items"] == len(self.key.forms[form[person]]) for person, n in every.items()),
                "excluded": self.excluded,
            },
            "answers": len(self.counted), "skipped": sum(n["skipped"] for n in every.values()),
            "seconds": statistics.median(a.seconds for a in self.counted) if self.counted else None,
            "refused": self.answers.refused, "about": self._about(), "sides": self._sides(),
            "preferences": self._preferences(), "bradley_terry": self._bradley_terry(), "ratings": self._ratings(),
            "comprehension": self._chosen() if self.plan["comprehend"] == "choose" else self._written(),
            "agreement": self._agreement(), "correlations": self._correlations(),
        }

    def _fails(self, person: str) -> str | None:
        """Why a participant's answers do not count."""
        if not self.plan["checks"]:
            return None
        checks = [answer for answer in self.answers.of([person]) if self.items[answer.item]["check"]]
        missed = sum(not self._passed(answer) for answer in checks)
        if missed > self.plan["misses"]:
            return f"missed {missed} of {len(checks)} checks"
        return None if checks else "answered no check"

    def _passed(self, answer: Answer) -> bool:
        if self.items[answer.item]["task"] == RATE:
            return answer.answers[CHECKED_RATING] <= CHECK_RATING_AT_MOST
        return self.winner(answer, self.plan["prefer"][0]) == self.items[answer.item]["shown"][0]

    def winner(self, answer: Answer, question: str) -> str | None:
        """Whose signing was preferred; None: no difference."""
        side = answer.answers[question]
        if side == SAME:
            return None
        swapped = self.key.forms[answer.form][answer.item]["swapped"]
        return self.items[answer.item]["shown"][(side == "B") != swapped]

    def of_task(self, task: str) -> list[Answer]:
        return [answer for answer in self.counted if self.items[answer.item]["task"] == task]

    def _about(self) -> dict[str, dict[str, int]]:
        """Of details with options: how many of those who count have chosen each."""
        starts = [answer for (person, item), answer in self.answers.kept.items() if item == "start" and person in self.place]
        return {
            detail["name"]: dict(Counter(start.answers["about"].get(detail["name"], "–") for start in starts))
            for detail in self.plan["about"] if detail["options"]
        }

    def _sides(self) -> dict[str, Any] | None:
        """Whether one side was preferred to the first question; it is as often either system's."""
        sides = Counter(answer.answers[self.plan["prefer"][0]] for answer in self.of_task(PREFER))
        decided = sides["A"] + sides["B"]
        if decided < preferences.LEAST_DECIDED:
            return None
        return {"A": sides["A"], "B": sides["B"], "p": preferences.exact_p(sides["A"], decided)}

    def _preferences(self) -> list[dict[str, Any]]:
        rows = []
        for question in self.plan["prefer"]:
            for pair in self.plan["pairs"]:
                rows.append({"question": question, "pair": pair} | self._preference(question, pair))
        for name in ("p", "people_p"):
            known = [row for row in rows if row[name] is not None]
            for row, value in zip(known, preferences.holm([row[name] for row in known])):
                row[f"{name}_holm"] = value
        return rows

    def _preference(self, question: str, pair: Sequence[str]) -> dict[str, Any]:
        """Answers, and people: of each what he has preferred more often."""
        own = [answer for answer in self.of_task(PREFER) if self.items[answer.item]["shown"] == list(pair)]
        won, balance = Counter(), Counter({answer.participant: 0 for answer in own})
        for answer in own:
            winner = self.winner(answer, question)
            won[winner] += 1
            balance[answer.participant] += (winner == pair[0]) - (winner == pair[1])
        first, second = won[pair[0]], won[pair[1]]
        people = [sum(np.sign(value) == sign for value in balance.values()) for sign in (1, 0, -1)]
        row = {
            "first": first, "same": won[None], "second": second, "share": None, "interval": None, "p": None,
            "p_holm": None, "people": [int(n) for n in people], "people_p": None, "people_p_holm": None, "problem": "",
        }
        if first + second < preferences.LEAST_DECIDED:
            row["problem"] = f"{TOO_LITTLE}: {first + second} decided answers, {preferences.LEAST_DECIDED} are needed"
            return row
        row["share"], row["p"] = first / (first + second), preferences.exact_p(first, first + second)
        row["interval"] = list(preferences.share_interval(first, first + second))
        if people[0] + people[2] >= preferences.LEAST_PEOPLE:
            row["people_p"] = preferences.exact_p(int(people[0]), int(people[0] + people[2]))
        else:
            row["problem"] = (
                f"{TOO_LITTLE} for a test over people: {people[0] + people[2]} prefer one, {preferences.LEAST_PEOPLE} are needed"
            )
        return row

    def _bradley_terry(self) -> dict[str, dict[str, Any]]:
        names = list(dict.fromkeys(name for pair in self.plan["pairs"] for name in pair))
        found = {}
        for question in self.plan["prefer"]:
            wins = np.zeros((len(self.people), len(names), len(names)))
            for answer in self.of_task(PREFER):
                shown = [names.index(name) for name in self.items[answer.item]["shown"]]
                winner = self.winner(answer, question)
                for i, j in (shown, shown[::-1]):
                    wins[self.place[answer.participant], i, j] += 0.5 if winner is None else winner == names[i]
            if wins.sum() < preferences.LEAST_DECIDED * len(self.plan["pairs"]):
                scores = preferences.Scores(None, None, f"{TOO_LITTLE}: {int(wins.sum())} answers")
            else:
                scores = preferences.bradley_terry(wins)
            found[question] = {
                "systems": names, "problem": scores.problem,
                "scores": None if scores.values is None else scores.values.tolist(),
                "intervals": None if scores.intervals is None else scores.intervals.tolist(),
            }
        return found

    def _ratings(self) -> list[dict[str, Any]]:
        rows = []
        for question in self.plan["rate"]:
            for system in self._shown(RATE):
                own = [a for a in self.of_task(RATE) if self.items[a.item]["shown"] == [system]]
                row = {"question": question, "system": system, "answers": len(own)}
                rows.append(row | self._mean_over_people([(a.participant, a.answers[question]) for a in own]))
        return rows

    def _mean_over_people(self, values: Sequence[tuple[str, float]]) -> dict[str, Any]:
        """Mean of (participant, value), and its interval over the participants."""
        people = len({person for person, _ in values})
        if people < preferences.LEAST_PEOPLE:
            needed = f"{TOO_LITTLE}: {people} participants, {preferences.LEAST_PEOPLE} are needed"
            return {"mean": None, "interval": None, "people": people, "problem": needed}
        sums = np.zeros((len(self.people), 2))
        for person, value in values:
            sums[self.place[person]] += value, 1
        total, without = sums.sum(axis=0), sums.sum(axis=0) - sums[sums[:, 1] > 0]
        interval = ends(jackknife(total[0] / total[1], without[:, 0] / without[:, 1]))
        return {"mean": float(total[0] / total[1]), "interval": interval, "people": people, "problem": ""}

    def _shown(self, task: str) -> list[str]:
        """Whose signing a task shows, in the plan's order."""
        names = {name for item in self.items if item["task"] == task and not item["check"] for name in item["shown"]}
        return [name for name in [*self.plan["systems"], *self.plan["anchors"]] if name in names]

    def _chosen(self) -> list[dict[str, Any]]:
        """Comprehension by choice of a sentence: whoever does not know is wrong."""
        rows, chance = [], 1 / (self.plan["distractors"] + 1)
        for system in self._shown(COMPREHEND):
            own = [a for a in self.of_task(COMPREHEND) if self.items[a.item]["shown"] == [system]]
            right = sum(self._understood(a) for a in own)
            row = {
                "system": system, "answers": len(own), "right": right, "chance": chance, "share": None, "interval": None,
                "unknown": sum(a.answers["choice"] == UNKNOWN for a in own), "p": None, "problem": "",
            }
            if len(own) < preferences.LEAST_DECIDED:
                row["problem"] = f"{TOO_LITTLE}: {len(own)} answers, {preferences.LEAST_DECIDED} are needed"
            else:
                row |= {"share": right / len(own), "p": preferences.exact_p(right, len(own), chance)}
                row["interval"] = list(preferences.share_interval(right, len(own)))
            rows.append(row)
        return rows

    def _understood(self, answer: Answer) -> bool:
        return answer.answers["choice"] == self.items[answer.item]["target"]

    def _written(self) -> list[dict[str, Any]]:
        """Comprehension by what was written, scored as texts are, per system and corpus."""
        rows, texts = [], self._texts_by_corpus()
        for system in self._shown(COMPREHEND):
            for corpus in dict.fromkeys(clip["corpus"] for clip in self.key.clips):
                own = [answer for answer in texts.get(corpus, []) if self.items[answer.item]["shown"] == [system]]
                row = {"system": system, "corpus": corpus, "answers": len(own), "scores": None, "problem": ""}
                if len(own) < preferences.LEAST_DECIDED:
                    row["problem"] = f"{TOO_LITTLE}: {len(own)} texts, {preferences.LEAST_DECIDED} are needed"
                else:
                    scored = [s for s in self._text_scores(own).scores() if s.signature.name in _TEXT_SCORES]
                    row["signatures"] = [str(s.signature) for s in scored]
                    row["scores"] = {
                        s.signature.name: [s.values["percent"], *s.intervals.get("percent", (None, None))] for s in scored
                    }
                rows.append(row)
        return rows

    def _texts_by_corpus(self) -> dict[str, list[Answer]]:
        """What was written, of each corpus, whose texts are of one language."""
        found: dict[str, list[Answer]] = {}
        for answer in self.of_task(COMPREHEND):
            if "text" in answer.answers:
                found.setdefault(self._clip(answer)["corpus"], []).append(answer)
        return found

    def _text_scores(self, answers: Sequence[Answer]) -> TextScores:
        metrics = TextScores(level_of([self._clip(a)["text"] for a in answers], "auto"))
        for a in answers:
            metrics.update(f"{a.participant} {a.item}", a.answers["text"], self._clip(a)["text"])
        return metrics

    def _clip(self, answer: Answer) -> Mapping[str, Any]:
        return self.key.clips[self.items[answer.item]["clip"]]

    def _agreement(self) -> list[dict[str, Any]]:
        rows = []
        for task, questions, size in ((PREFER, self.plan["prefer"], 3), (RATE, self.plan["rate"], 5)):
            for question in questions:
                counts = np.zeros((len(self.items), size), dtype=int)
                for answer in self.of_task(task):
                    counts[answer.item, self._category(answer, question)] += 1
                rows.append({"task": task, "question": question} | _agreed(counts[counts.sum(axis=1) > 1], task == RATE))
        return rows

    def _category(self, answer: Answer, question: str) -> int:
        """A rating, or 0: the pair's first is preferred, 1: no difference, 2: its second."""
        if self.items[answer.item]["task"] == RATE:
            return answer.answers[question]
        winner, shown = self.winner(answer, question), self.items[answer.item]["shown"]
        return 1 if winner is None else 2 * shown.index(winner)

    def _correlations(self) -> list[dict[str, Any]]:
        """Of each question's judgement of the systems' signed clips with each column of clips.csv."""
        rows = []
        for (task, question), judged in self._judgements().items():
            points = [point for point in judged if point[0] in self.plan["systems"]]
            known = [self.key.content["scores"][system][clip] for system, clip in points]
            for metric in dict.fromkeys(name for scores in known for name in scores):
                scores = np.array([scores.get(metric, np.nan) for scores in known])
                values, clips = np.array([judged[p] for p in points]), np.array([clip for _, clip in points])
                found = correlation(scores, values, clips)
                row = {"task": task, "question": question, "metric": metric, "problem": ""}
                if isinstance(found, Correlation):
                    row |= {name: getattr(found, name) for name in ("pearson", "spearman", "points", "clips")}
                else:
                    row |= {"pearson": None, "spearman": None, "problem": found}
                rows.append(row)
        return rows

    def _judgements(self) -> dict[tuple[str, str], dict[Point, float]]:
        """Task and question -> mean judgement of each signed clip: the rating; the share of its comparisons that it has
        won, no difference being half of one; whether it was understood, or chrF of what was written."""
        values: dict[tuple[str, str], dict[Point, list[float]]] = defaultdict(lambda: defaultdict(list))
        for answer in self.counted:
            item = self.items[answer.item]
            task, clip, shown = item["task"], item["clip"], item["shown"]
            if task == RATE:
                for question, value in answer.answers.items():
                    values[task, question][shown[0], clip].append(value)
            elif task == PREFER:
                for question in answer.answers:
                    winner = self.winner(answer, question)
                    for name in shown:
                        values[task, question][name, clip].append(0.5 if winner is None else winner == name)
            elif "choice" in answer.answers:
                values[task, "right"][shown[0], clip].append(self._understood(answer))
        for own in self._texts_by_corpus().values():
            of_each = self._text_scores(own).per_clip()
            for answer in own:
                point = self.items[answer.item]["shown"][0], self.items[answer.item]["clip"]
                values[COMPREHEND, "chrF"][point].append(of_each[f"{answer.participant} {answer.item}"]["chrF percent"])
        in_order = sorted(values, key=lambda key: [PREFER, RATE, COMPREHEND].index(key[0]))
        return {key: {point: float(np.mean(v)) for point, v in values[key].items()} for key in in_order}


def _agreed(counts: np.ndarray, ordered: bool) -> dict[str, Any]:
    """counts: [U, K] of units that two people or more have judged"""
    weights = (agreement.ordinal_weights if ordered else agreement.identity_weights)(counts.shape[1])
    row = {"units": len(counts), "answers": int(counts.sum()), "alpha": None, "ac": None, "problem": ""}
    if len(counts) < agreement.LEAST_UNITS:
        row["problem"] = f"{TOO_LITTLE}: {len(counts)} items that several people have judged, {agreement.LEAST_UNITS} are needed"
        return row
    for name, coefficient in (
        ("alpha", lambda c: agreement.krippendorff_alpha(c, ordered)), ("ac", lambda c: agreement.gwet_ac2(c, weights)),
    ):
        value = coefficient(counts)
        if np.isfinite(value):
            row[name] = [value, *(agreement.interval(counts, coefficient) or (None, None))]
        else:
            row["problem"] = "all answers are the same: alpha is undefined"
    return row

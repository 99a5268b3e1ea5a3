"""Answers: which are well-formed, and those of a study, of its own file and of files that participants have saved."""
from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soke.storage import read_text
from soke.viewer.study.forms import COMPREHEND, PREFER, RATE
from soke.viewer.study.key import Key

START = "start"  # in the place of an item: consent, and what a participant says of himself
SAME, UNKNOWN = "same", "unknown"
LONGEST_TEXT, LONGEST_DETAIL = 1000, 200  # characters, as pages have them
LONGEST_LINE = 16384  # bytes
_FIELDS = {"plan", "participant", "form", "item", "answers", "seconds"}
_PARTICIPANT = re.compile(r"[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_DAY = 86400.0
_SCALE = range(5)


class Refused(ValueError):
    """An answer that is none; the message says why."""


class AnsweredBefore(Refused):
    """A second answer of a participant to an item."""


@dataclass(frozen=True)
class Answer:
    """What one participant has answered to one item.

    item:    its number, or START
    answers: question -> answer; A and B are the sides that were seen
    seconds: from when the item was shown
    """

    plan: str
    participant: str
    form: int
    item: int | str
    answers: Mapping[str, Any]
    seconds: float

    @property
    def skipped(self) -> bool:
        return self.answers.get("skipped") is True

    @property
    def line(self) -> str:
        """As files of answers have it."""
        return json.dumps({name: getattr(self, name) for name in sorted(_FIELDS)}) + "\n"


def read_answer(data: bytes | str, key: Key) -> Answer:
    """A line of JSON as an answer to an item of the key's study. Raises Refused for everything else."""
    if len(data) > LONGEST_LINE:
        raise Refused(f"longer than {LONGEST_LINE} bytes")
    try:
        values = json.loads(data, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from None
    if not isinstance(values, dict) or set(values) != _FIELDS:
        raise Refused(f"not the fields {', '.join(sorted(_FIELDS))}")
    answer = Answer(**values)
    if answer.plan != key.hash:
        raise Refused("of another plan")
    if not isinstance(answer.participant, str) or not _PARTICIPANT.fullmatch(answer.participant):
        raise Refused("the participant is no 32 hex digits")
    if type(answer.form) is not int or not 0 <= answer.form < len(key.forms):
        raise Refused("the study has no such form")
    if type(answer.seconds) not in (int, float) or not 0 <= answer.seconds <= _DAY:
        raise Refused("the seconds are no time")
    if not isinstance(answer.answers, dict):
        raise Refused("the answers are no table")
    if answer.item == START:
        _require_start(answer.answers, key)
    elif type(answer.item) is not int or answer.item not in key.forms[answer.form]:
        raise Refused("its form has no such item")
    elif answer.answers != {"skipped": True} or answer.answers["skipped"] is not True:
        _require_answers(answer.answers, key.items[answer.item], key.plan)
    return answer


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name comes twice")
    return values


def _require_start(answers: Mapping[str, Any], key: Key) -> None:
    if set(answers) != {"consent", "about"} or answers["consent"] is not True or not isinstance(answers["about"], dict):
        raise Refused("no consent")
    details = {detail["name"]: detail["options"] for detail in key.plan["about"]}
    for name, value in answers["about"].items():
        if name not in details:
            raise Refused("nobody asked for such a detail")
        if details[name]:
            if not isinstance(value, str) or value not in details[name]:
                raise Refused(f"{name} has no such option")
        else:
            _require_text(value, LONGEST_DETAIL)


def _require_answers(answers: Mapping[str, Any], item: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Raises Refused for what is no whole answer to an item."""
    if item["task"] == COMPREHEND:
        _require_understood(answers, item)
        return
    if set(answers) != set(plan[item["task"]]):
        raise Refused("not all of the item's questions, or others")
    for value in answers.values():
        if item["task"] == PREFER and not (isinstance(value, str) and value in ("A", "B", SAME)):
            raise Refused("a preference is A, B or same")
        if item["task"] == RATE and (type(value) is not int or value not in _SCALE):
            raise Refused("a rating is 0, 1, 2, 3 or 4")


def _require_understood(answers: Mapping[str, Any], item: Mapping[str, Any]) -> None:
    name = "choice" if item["options"] else "text"
    if set(answers) != {name}:
        raise Refused(f"no {name}")
    value = answers[name]
    if name == "text":
        _require_text(value, LONGEST_TEXT)
    elif value != UNKNOWN and (type(value) is not int or not 0 <= value < len(item["options"])):
        raise Refused("no such option")


def _require_text(value: Any, longest: int) -> None:
    """Raises Refused for what no page sends: signs of control, half characters. What looks like markup is a text."""
    if not isinstance(value, str) or len(value) > longest or _CONTROL.search(value):
        raise Refused(f"no text of at most {longest} characters")


@dataclass
class Answers:
    """The answers of a study, each once.

    kept:    (participant, item) -> answer
    refused: what was refused, a sentence each that names file and line
    """

    key: Key
    kept: dict[tuple[str, int | str], Answer] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _forms: dict[str, int] = field(default_factory=dict)  # of the participants

    def require(self, answer: Answer) -> None:
        """Raises Refused for a second answer to an item, one of another form, and one without consent."""
        if (answer.participant, answer.item) in self.kept:
            raise AnsweredBefore("answered before")
        if answer.item != START and answer.participant not in self._forms:
            raise Refused("no consent was given before")
        if self._forms.get(answer.participant, answer.form) != answer.form:
            raise Refused("the participant has another form")

    def add(self, answer: Answer) -> None:
        """Raises as `require` does."""
        self.require(answer)
        self._forms[answer.participant] = answer.form
        self.kept[answer.participant, answer.item] = answer

    @property
    def participants(self) -> Collection[str]:
        return self._forms.keys()

    def read(self, path: Path) -> None:
        """Adds the lines of a file. One that says again what is known does not count, what else is wrong is noted."""
        for number, line in enumerate(read_text(path).split("\n"), 1):
            if not line.strip():
                continue
            try:
                answer = read_answer(line, self.key)
                if self.kept.get((answer.participant, answer.item)) != answer:
                    self.add(answer)
            except Refused as reason:
                self.refused.append(f"{path}, line {number}: {reason}")

    def of(self, participants: Iterable[str]) -> list[Answer]:
        """To items, not skipped."""
        chosen = set(participants)
        return [
            answer for (participant, item), answer in self.kept.items()
            if participant in chosen and item != START and not answer.skipped
        ]

"""Items and forms: what is shown in a study, and which participant sees what of it, on which side and in which order.

A form is a participant's list of entries. All of it follows from the plan's seed, and is written down: pages read it.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from soke.viewer.study.plan import GROUND_TRUTH, SHUFFLED, Plan

PREFER, RATE, COMPREHEND = TASKS = ("prefer", "rate", "comprehend")


@dataclass(frozen=True)
class Item:
    """One screen of a study.

    task:    prefer, rate or comprehend
    clip:    number of its clip
    shown:   whose signing is shown: of a pair two, of which a form may swap the sides
    check:   whether it tells who pays attention: the first of `shown` is the right answer, or is rated low
    options: sentences that can be chosen; empty: text is written, or another task
    target:  which of the options is the clip's
    """

    task: str
    clip: int
    shown: tuple[str, ...]
    check: bool = False
    options: tuple[str, ...] = ()
    target: int | None = None


@dataclass(frozen=True)
class Entry:
    """item: number of the item; swapped: whether its second video is A; order: in which its options are shown"""

    item: int
    swapped: bool = False
    order: tuple[int, ...] = field(default=())


def items_of(plan: Plan, corpora: Sequence[str], texts: Sequence[str], distractors: Mapping[str, Sequence[str]]) -> list[Item]:
    """Every item of a study, in an order that does not tell whose signing an item shows.

    corpora:     of each of the N clips
    texts:       [N] their sentences
    distractors: corpus -> sentences that may stand beside a clip's own

    Raises ValueError where a corpus has too few other sentences.
    """
    rng, found = Random(f"{plan.seed}/items"), []
    for clip in range(len(texts)):
        found += [Item(PREFER, clip, tuple(pair)) for pair in plan.pairs]
        found += [Item(RATE, clip, (name,)) for name in plan.shown if plan.rate]
        if plan.comprehend:
            options, target = _options(plan, rng, texts[clip], distractors[corpora[clip]])
            found += [Item(COMPREHEND, clip, (n,), options=options, target=target) for n in plan.shown if n != SHUFFLED]
    checked = (PREFER, (GROUND_TRUTH, SHUFFLED)) if plan.prefer else (RATE, (SHUFFLED,))
    spread = rng.sample(range(len(texts)), len(texts))
    found += [Item(checked[0], spread[n % len(spread)], checked[1], check=True) for n in range(plan.checks)]
    rng.shuffle(found)
    return found


def _options(plan: Plan, rng: Random, text: str, others: Sequence[str]) -> tuple[tuple[str, ...], int | None]:
    """The sentence among others of about its length, which does not tell it; and where it stands."""
    if plan.comprehend == "write":
        return (), None
    others = [other for other in dict.fromkeys(others) if other != text]
    if len(others) < plan.distractors:
        raise ValueError(f"{len(others)} other sentences are too few for DISTRACTORS={plan.distractors}")
    rng.shuffle(others)
    options = [text, *sorted(others, key=lambda other: abs(len(other) - len(text)))[: plan.distractors]]
    rng.shuffle(options)
    return tuple(options), options.index(text)


def forms_of(plan: Plan, items: Sequence[Item]) -> list[list[Entry]]:
    """The forms, plan.forms of them.

    No form has an item twice. First comes what has to be understood, each sentence once, signed by one of the systems,
    which take turns from form to form; then ratings, then preferences with the checks, each block in an order of its own:
    whoever has read a sentence need not understand it. With plan.each, a form has so many clips of each pair and system,
    all of them equally often over the forms. Of the two forms 2 k and 2 k + 1 one swaps the sides of the other; within
    each, every pair has as many swapped items as others, or one more.
    """
    return [_form(plan, items, number) for number in range(plan.forms)]


def _form(plan: Plan, items: Sequence[Item], number: int) -> list[Entry]:
    twins, own = Random(f"{plan.seed}/twins {number // 2}"), Random(f"{plan.seed}/form {number}")
    understood, rated, preferred = _understood(plan, items, number), [], []
    for task, chosen in ((RATE, rated), (PREFER, preferred)):
        of_task = [n for n, item in enumerate(items) if item.task == task]
        for place, shown in enumerate(dict.fromkeys(items[n].shown for n in of_task if not items[n].check)):
            same = [n for n in of_task if items[n].shown == shown and not items[n].check]
            same = _window(plan, same, number // 2)
            chosen += zip(same, _sides(twins, len(same), place + number // 2, number % 2))
        checks = [n for n in of_task if items[n].check]
        chosen += zip(checks, _sides(twins, len(checks), number // 2, number % 2))
    form = []
    for block in ([(n, False) for n in understood], rated, preferred):
        own.shuffle(block)
        for n, swapped in block:
            count = len(items[n].options)
            form.append(Entry(n, swapped and len(items[n].shown) == 2, tuple(own.sample(range(count), count))))
    return form


def _understood(plan: Plan, items: Sequence[Item], number: int) -> list[int]:
    """Items of comprehension: each clip of the form's window once, signed by systems that take turns."""
    of_clip: dict[int, list[int]] = {}
    for n, item in enumerate(items):
        if item.task == COMPREHEND:
            of_clip.setdefault(item.clip, []).append(n)
    if not of_clip:
        return []
    systems = {shown: place for place, shown in enumerate(plan.shown)}
    rounds = len(next(iter(of_clip.values())))
    chosen = []
    for place, clip in enumerate(sorted(of_clip)):
        ordered = sorted(of_clip[clip], key=lambda n: systems[items[n].shown[0]])
        chosen.append(ordered[(place + number) % rounds])
    return _window(plan, chosen, number // rounds)


def _window(plan: Plan, numbers: list[int], turn: int) -> list[int]:
    """plan.each of the numbers, going on where the turn before has ended; 0: all."""
    count = len(numbers)
    if not plan.each or plan.each >= count:
        return numbers
    return [numbers[(turn * plan.each + step) % count] for step in range(plan.each)]


def _sides(rng: Random, count: int, odd: int, swap: int) -> list[bool]:
    """Which of `count` items are swapped: half of them; of an odd one more, or one less, where `odd` is odd."""
    half = (count + odd % 2) // 2
    sides = [True] * half + [False] * (count - half)
    rng.shuffle(sides)
    return [side != bool(swap) for side in sides]

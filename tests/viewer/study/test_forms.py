"""Laws of forms: sides, order, and who sees what."""
from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soke.viewer.study.forms import forms_of, items_of
from soke.viewer.study.plan import Plan
from tests.viewer.study.making import SYSTEMS, plan_of

OTHERS = {"own": [f"another number {n}" for n in range(9)]}


def made(plan: Plan):
    count = plan.clips["own"]
    items = items_of(plan, ["own"] * count, [f"sentence {n}" for n in range(count)], OTHERS)
    return items, forms_of(plan, items)


plans = st.builds(
    lambda clips, each, checks, seed, halves, comprehend: plan_of(
        clips={"own": clips}, each=each, checks=min(checks, clips), misses=0, seed=seed, forms=2 * halves,
        comprehend=comprehend,
    ),
    st.integers(2, 7), st.integers(0, 8), st.integers(1, 3), st.integers(0, 2**20), st.integers(1, 9),
    st.sampled_from(["choose", "write", ""]),
)


@given(plans)
def test_a_form_has_each_item_once_and_what_is_understood_first(plan):
    items, forms = made(plan)
    assert len(forms) == plan.forms
    for form in forms:
        assert len({entry.item for entry in form}) == len(form)
        tasks = [items[entry.item].task for entry in form]
        assert tasks == sorted(tasks, key=["comprehend", "rate", "prefer"].index)
        understood = [items[entry.item].clip for entry in form if items[entry.item].task == "comprehend"]
        assert len(set(understood)) == len(understood)  # a sentence that was understood once is known
        assert sum(items[entry.item].check for entry in form) == plan.checks
        for entry in form:
            assert sorted(entry.order) == list(range(len(items[entry.item].options)))


@given(plans)
def test_every_pair_has_each_sides_equally_often_in_every_form_and_every_item_over_two_forms(plan):
    items, forms = made(plan)
    for first, second in zip(forms[::2], forms[1::2]):
        sides = [{e.item: e.swapped for e in form if items[e.item].task == "prefer"} for form in (first, second)]
        assert sides[0] == {item: not swapped for item, swapped in sides[1].items()}
        for of_form in sides:
            for shown in {items[item].shown for item in of_form}:
                for check in (False, True):
                    swapped = [
                        s for item, s in of_form.items() if items[item].shown == shown and items[item].check == check
                    ]
                    assert abs(2 * sum(swapped) - len(swapped)) <= 1


@given(plans)
def test_items_are_shown_equally_often_over_the_forms(plan):
    items, forms = made(plan)
    shown = Counter(entry.item for form in forms for entry in form)
    for task in ("comprehend", "rate", "prefer"):
        for stratum in {item.shown for item in items}:
            counts = [
                shown[n] for n, i in enumerate(items) if (i.task, i.shown, i.check) == (task, stratum, False)
            ]
            assert not counts or max(counts) - min(counts) <= 2


@given(plans)
def test_the_same_plan_gives_the_same_forms_and_another_seed_others(plan):
    assert made(plan) == made(plan)


def test_another_seed_gives_other_forms_and_forms_differ():
    _, forms = made(plan_of(seed=1))
    assert made(plan_of(seed=2))[1] != forms
    assert len({tuple(form) for form in forms}) == len(forms)


def test_systems_take_turns_in_signing_a_sentence_that_is_to_be_understood():
    items, forms = made(plan_of(forms=6))  # two systems and the signers
    for clip in range(4):
        signed = [
            items[e.item].shown[0] for form in forms for e in form
            if items[e.item].task == "comprehend" and items[e.item].clip == clip
        ]
        assert Counter(signed) == {SYSTEMS[0]: 2, SYSTEMS[1]: 2, "ground truth": 2}


def test_options_hold_the_sentence_once_beside_others_of_its_length():
    others = {"own": ["rain", "a very long sentence about rain", "snow fell", "sun shone", "wind blew"]}
    plan = plan_of(clips={"own": 2}, distractors=3, rate=[], prefer=[], pairs=[], checks=0)
    items = items_of(plan, ["own"] * 2, ["hail fell", "sun shone"], others)
    for item in items:
        text = ["hail fell", "sun shone"][item.clip]
        assert item.options[item.target] == text and item.options.count(text) == 1 and len(item.options) == 4
        assert "a very long sentence about rain" not in item.options
    assert len({item.target for item in made(plan_of(clips={"own": 7}))[0] if item.task == "comprehend"}) > 1


def test_too_few_sentences_are_an_error():
    with pytest.raises(ValueError, match="1 other sentences are too few for DISTRACTORS=3"):
        items_of(plan_of(), ["own"], ["rain"], {"own": ["rain", "snow"]})

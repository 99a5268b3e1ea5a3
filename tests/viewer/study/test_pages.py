"""A whole study in a real browser: answered, reloaded, sent and saved, analysed, by mouse and by keyboard alone."""
from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from soke.render.settings import Render
from soke.viewer.study import serve as serving
from soke.viewer.study.analyse import analyse
from soke.viewer.study.answers import Answers
from soke.viewer.study.key import ANSWERS, SITE, Key
from soke.viewer.study.make import make
from soke.viewer.study.plan import Detail
from soke.viewer.study.serve import Server
from tests.viewer.study.making import EVERY, SYSTEMS, plan_of, sources_of

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ITEMS = 10


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def made(body, tmp_path_factory) -> Path:
    """Studies of ten items: two that are understood (by choice, or written), four ratings, two pairs, two checks."""
    folder = tmp_path_factory.mktemp("studies")
    about = [Detail("hearing", EVERY, {"deaf": EVERY, "hearing": EVERY}), Detail("years", EVERY)]
    plan = plan_of(
        clips={"own": 2}, pairs=[list(SYSTEMS)], anchors=[], checks=2, misses=1, about=about, render=Render(48, "software"),
        title={"en": "A study <b>of signing</b>", "de": "Eine Studie", "zh": "研究"},
    )
    sources = sources_of(folder, body, plan)
    make(plan, sources, folder / "choose")
    make(replace(plan, comprehend="write"), sources, folder / "write")
    return folder


@pytest.fixture
def study(made, tmp_path, request) -> Path:
    return Path(shutil.copytree(made / getattr(request, "param", "choose"), tmp_path / "study"))


class Participant:
    """A page, what it has asked for, and what went wrong in it."""

    def __init__(self, browser, size: dict[str, int], locale: str = "en-US") -> None:
        self.context = browser.new_context(viewport=size, locale=locale, has_touch=size is PHONE)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))

    def begin(self, address: str, **about: str) -> None:
        self.page.goto(address)
        for name, value in about.items():
            self.page.locator(f"[name={name}][type=text]").fill(value)
        self.page.locator("button.main").click()
        self.page.locator("button.main").click()

    @property
    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def watch(self) -> None:
        """All videos of the page, to their end."""
        buttons = self.page.locator(".controls button")
        buttons.nth(1 if self.page.locator("video").count() == 2 else 0).click()
        self.require_seen()

    def require_seen(self) -> None:
        playwright.expect(self.page.locator(".seen:not(:empty)")).to_have_count(self.page.locator("video").count())

    def answer(self, text: str = "it rains") -> None:
        for group in self.page.locator("fieldset").all():
            if group.locator("[type=radio]").count():
                group.locator("label").first.click()
            elif group.locator("textarea").count():
                group.locator("textarea").fill(text)
        self.page.locator("button.main").click()

    def answer_all(self, text: str = "it rains") -> int:
        count = 0
        while self.page.locator("video").count():
            self.watch()
            self.answer(text)
            count += 1
        return count

    @property
    def state(self) -> dict:
        return self.page.evaluate("JSON.parse(localStorage.getItem(Object.keys(localStorage).find((k) => k.startsWith('soke-study'))))")


def serving_at(study: Path) -> tuple[Server, Callable[[], None]]:
    server = Server(study, port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server, stop


@pytest.fixture
def server(study) -> Iterator[Server]:
    server, stop = serving_at(study)
    yield server
    stop()


def test_a_study_from_a_file_system_is_answered_reloaded_saved_and_analysed(browser, study, tmp_path):
    person = Participant(browser, DESKTOP)
    address = (study / SITE / "index.html").as_uri() + "?participant=3"
    person.begin(address, years="<i>nine</i>")
    for _ in range(4):
        person.watch()
        person.answer()
    before, progress = person.state, person.page.locator("#progress").inner_text()
    sources = person.page.locator("video").evaluate_all("videos => videos.map((video) => video.getAttribute('src'))")
    person.page.reload()
    assert person.state == before and progress == person.page.locator("#progress").inner_text() == f"5 of {ITEMS}"
    assert sources == person.page.locator("video").evaluate_all("videos => videos.map((video) => video.getAttribute('src'))")
    with person.page.expect_download() as download:
        person.page.locator("footer button").click()  # also in the middle
    download.value.save_as(tmp_path / "early.jsonl")
    assert person.answer_all() == ITEMS - 4 and person.heading == "Thank you!"
    with person.page.expect_download() as download:
        person.page.locator("main button.main").click()
    assert download.value.suggested_filename == f"answers-{Key.read(study).hash}-{before['participant'][:8]}.jsonl"
    download.value.save_as(tmp_path / "late.jsonl")
    assert all(url.startswith(("file://", "blob:", "data:")) for url in person.requests) and person.errors == []

    key = Key.read(study)
    answers = Answers(key)
    answers.read(tmp_path / "early.jsonl")
    assert len(answers.kept) == 1 + 4
    text = analyse(study, [tmp_path / "early.jsonl", tmp_path / "late.jsonl"], tmp_path / "analysis")
    found = json.loads((tmp_path / "analysis" / "analysis.json").read_text(encoding="utf-8"))
    assert (found["participants"]["all"], found["participants"]["finished"], found["refused"]) == (1, 1, [])
    assert "too little data" in text
    answers.read(tmp_path / "late.jsonl")
    first = next(iter(answers.kept.values()))
    assert first.form == 2 and first.answers == {"consent": True, "about": {"years": "<i>nine</i>"}}
    for (_, number), answer in answers.kept.items():  # the first label of each question was chosen
        if number != "start":
            entry, item = key.forms[2][number], key.items[number]
            chosen = {"prefer": "A", "rate": 0, "comprehend": (entry["order"] or [None])[0]}[item["task"]]
            assert set(answer.answers.values()) == {chosen} and answer.seconds >= 0.2
    person.context.close()


@pytest.mark.parametrize("study", ["write"], indirect=True)
def test_a_study_from_the_server_is_answered_on_a_phone_and_nothing_is_lost_when_it_is_away(browser, study, tmp_path):
    markup = '<img src="https://example.org/x.png" onerror="alert(1)">'
    server, stop = serving_at(study)
    person = Participant(browser, PHONE, "de-DE")
    person.begin(server.address)
    assert person.heading == "Was wird gebärdet?"
    person.page.evaluate("performance.now = () => 1e9")  # the page was left open for days
    for _ in range(3):
        person.watch()
        person.answer(f"\v{markup}\f")  # as pasted of a document; no answer may hold such signs
    for _ in range(100):
        if person.state["sent"] == 4:
            break
        time.sleep(0.05)
    port = server.server_address[1]
    stop()
    answered = [json.loads(line) for line in (study / ANSWERS).read_text().splitlines()]
    assert [answer["seconds"] for answer in answered][1:] == [86400, 0, 0]
    # the pages' videos are kept away, too: only what was loaded is answered
    person.page.evaluate("document.querySelectorAll('video').forEach((video) => video.dispatchEvent(new Event('ended')))")
    person.answer(markup)
    assert person.state["sent"] == 4 and len(person.state["records"]) == 5 and person.errors != []
    server = serving.Server(study, port=port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    person.page.reload()
    person.errors.clear()
    assert person.answer_all(markup) == ITEMS - 4 and person.heading == "Vielen Dank!"
    person.page.get_by_text("Alle Ihre Antworten sind angekommen").wait_for()
    server.shutdown()
    server.server_close()
    kept = [json.loads(line) for line in (study / ANSWERS).read_text().splitlines()]
    assert kept == [{k: r[k] for k in r} for r in person.state["records"]] and len(kept) == ITEMS + 1
    assert sum(r["answers"] == {"text": markup} for r in kept) == 2
    assert all(url.startswith((server.address, "data:", "blob:")) for url in person.requests) and person.errors == []
    width = person.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1] == 390
    text = analyse(study, [], tmp_path / "analysis")
    assert text.startswith("A study <b>of signing</b> · plan") and "1 participants, 1 have finished, 1 count" in text
    person.context.close()


def test_what_was_not_seen_or_answered_is_asked_for(browser, server):
    person = Participant(browser, DESKTOP)
    person.begin(server.address)
    message = person.page.locator(".message")
    person.answer()
    assert message.inner_text() == "Please watch each video to its end first."
    person.watch()
    person.page.locator("[type=radio]").evaluate_all("all => all.forEach((one) => { one.checked = false; })")
    person.page.locator("button.main").click()
    assert message.inner_text() == "Please answer every question." and len(person.state["records"]) == 1
    person.answer()
    assert len(person.state["records"]) == 2 and person.errors == []
    person.context.close()


def test_texts_of_the_plan_and_of_people_are_no_markup_and_languages_change_at_once(browser, server):
    person = Participant(browser, DESKTOP)
    person.page.goto(server.address)
    assert person.heading == person.page.title() == "A study <b>of signing</b>"
    assert person.page.locator("main b").count() == 0
    for language, title in (("de", "Eine Studie"), ("zh", "研究"), ("en", "A study <b>of signing</b>")):
        person.page.locator("select").select_option(language)
        assert person.heading == title and person.page.evaluate("document.documentElement.lang") == language
    assert person.errors == []
    person.context.close()


def test_a_video_that_cannot_be_played_is_skipped_and_said(browser, study):
    for path in (study / SITE / "videos").iterdir():
        path.write_bytes(b"no video")
    person = Participant(browser, DESKTOP)
    person.begin((study / SITE / "index.html").as_uri())
    person.page.get_by_text("Go on without it").click()
    assert person.state["records"][1]["answers"] == {"skipped": True}
    person.context.close()


def test_the_same_number_gives_the_same_form_and_others_draw_one(browser, study):
    key = Key.read(study)
    address = (study / SITE / "index.html").as_uri()
    forms = []
    for number in ("?participant=2", "?participant=2", f"?participant={2 + len(key.forms)}", "?participant=x", ""):
        person = Participant(browser, DESKTOP)
        person.page.goto(address + number)
        forms.append(person.state)
        person.context.close()
    assert [state["form"] for state in forms[:3]] == [1, 1, 1]
    assert all(0 <= state["form"] < len(key.forms) for state in forms)
    assert len({state["participant"] for state in forms}) == 5


def test_another_person_on_the_same_device_begins_anew_and_nobody_s_answers_are_lost(browser, server, study):
    person = Participant(browser, DESKTOP)
    person.begin(server.address)
    person.answer_all()
    person.page.get_by_text("Another person takes part").click()
    person.begin(server.address)
    assert person.answer_all() == ITEMS
    person.page.get_by_text("have arrived").wait_for()
    answers = Answers(Key.read(study))
    answers.read(study / ANSWERS)
    assert len(answers.participants) == 2 and len(answers.kept) == 2 * (ITEMS + 1) and person.errors == []
    person.context.close()


def test_a_study_can_be_answered_by_keyboard_alone(browser, server):
    person = Participant(browser, DESKTOP)
    person.page.goto(server.address)
    page = person.page

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                outline = page.evaluate(
                    "getComputedStyle(document.activeElement.closest('.tiles label') ?? document.activeElement).outlineStyle"
                )
                assert outline != "none"  # it is seen where one is
                return
        raise AssertionError(f"no way to {selector} by Tab")

    for _ in range(2):
        tab_to("button.main")
        page.keyboard.press("Enter")
    for number in range(ITEMS):
        assert page.evaluate("document.activeElement.tagName") == "H1"  # readers begin there
        videos = page.locator("video").count()
        tab_to(".controls button")
        if videos == 2:
            page.keyboard.press("Tab")
        page.keyboard.press("Space")
        person.require_seen()
        for group in page.locator("fieldset").all():
            name = group.locator("input").first.get_attribute("name")
            tab_to(f"[name={name}]")
            page.keyboard.press("Space")
            page.keyboard.press("ArrowRight")
            assert group.locator("input").nth(1).is_checked()
        tab_to("button.main")
        page.keyboard.press("Enter")
        assert len(person.state["records"]) == number + 2
    assert person.heading == "Thank you!" and person.errors == []
    person.context.close()


@pytest.mark.parametrize("study", ["choose", "write"], indirect=True)
@pytest.mark.parametrize("size, locale", [(DESKTOP, "en-US"), (PHONE, "de-DE"), (PHONE, "zh-CN")])
def test_axe_finds_nothing_serious_on_any_page(browser, server, size, locale):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    person = Participant(browser, size, locale)
    seen = set()

    def require(name: str) -> None:
        violations = [v for v in axe.run(person.page).response["violations"] if v["impact"] in ("serious", "critical", "moderate")]
        assert not violations, (name, [(v["id"], [node["html"] for node in v["nodes"]]) for v in violations])
        overflow = person.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, name
        small = person.page.evaluate("""[...document.querySelectorAll('button, select, .tiles label')]
            .filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)""")
        assert not small, (name, small)

    person.page.goto(server.address)
    require("welcome")
    person.page.locator("button.main").click()
    require("instructions")
    person.page.locator("button.main").click()
    while person.page.locator("video").count():
        if person.heading not in seen:
            require(person.heading)
            seen.add(person.heading)
        person.watch()
        person.answer()
    require("end")
    assert len(seen) == 3 and person.errors == []
    person.context.close()


def test_speed_and_place_of_videos(browser, study):
    person = Participant(browser, DESKTOP)
    person.begin((study / SITE / "index.html").as_uri())
    person.page.get_by_text("Half speed").click()
    assert person.page.locator("video").evaluate_all("all => all.map((v) => v.playbackRate)") == [0.5]
    assert person.page.get_by_text("Half speed").get_attribute("aria-pressed") == "true"
    person.watch()
    assert float(person.page.locator("[type=range]").input_value()) > 0.9
    person.page.locator("[type=range]").fill("0.5")
    now, length = person.page.locator("video").evaluate("(v) => [v.currentTime, v.duration]")
    assert now == pytest.approx(length / 2, abs=0.02) and re.search(r"seen", person.page.locator(".seen").inner_text())
    person.context.close()

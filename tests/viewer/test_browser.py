"""The viewer in a real browser, over a system that was really trained, at toy size."""
from __future__ import annotations

import csv
import io
import re
import time

import numpy as np
import pytest
from PIL import Image

import test as test_entry
from soke.run.config import load_config
from soke.viewer.__main__ import world_of
from soke.viewer.serving import Viewer
from tests.test_chain import Workshop
from tests.viewer.browser import chromium

pytestmark = pytest.mark.slow

COLUMN = "DTW-PA-JPE hand m"
DESKTOP, PHONE = {"width": 1000, "height": 640}, {"width": 390, "height": 844}
_PATIENCE = 120_000  # milliseconds: pictures are drawn by the processor


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("viewer"))
    shop.furnish()
    shop.train_all()
    shop.run(test_entry, "soke", "TEST.SAVE_PREDICTIONS=true")
    return shop


@pytest.fixture(scope="module")
def viewer(shop):
    viewer = Viewer(world_of([load_config("configs/demo/soke.yaml", overrides=shop.overrides)], []), port=8765)
    yield viewer
    viewer.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(viewer, browser):
    """Opens pages, and finds what they should not do."""
    contexts, errors, requests = [], [], []

    def open_page(query: str = "", size=DESKTOP):
        contexts.append(browser.new_context(viewport=size, accept_downloads=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(_PATIENCE)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.goto(f"{viewer.address}/{query}")
        page.wait_for_selector("text=/ clips · /")
        return page

    yield open_page
    for context in contexts:
        context.close()
    here = re.compile(r"(https?|ws)://127\.0\.0\.1:\d+(/|$)|data:|blob:|about:")
    assert [url for url in requests if not here.match(url)] == []
    assert errors == []


def frame_of(page) -> tuple[str, int, int]:
    """playing or paused, the frame, and how many there are."""
    text = page.locator("[data-player]").inner_text()
    frame, count = re.search(r"frame (\d+) of (\d+)", text).groups()
    return text.split()[0], int(frame), int(count)


def shown(page, frame: int) -> None:
    page.wait_for_function("n => document.querySelector('[data-player]').innerText.includes(`frame ${n} of`)", arg=frame)


def pressed(page, *keys: str) -> None:
    page.mouse.click(40, 250)  # out of any field
    for key in keys:
        page.keyboard.press(key)


def picture(page) -> np.ndarray:
    """[H, W, 3] of where the figures are."""
    page.wait_for_timeout(1500)
    pixels = page.screenshot(clip={"x": 0, "y": 140, "width": 590, "height": 230})
    return np.asarray(Image.open(io.BytesIO(pixels)).convert("RGB")).astype(int)


def worst_of(shop) -> tuple[float, str]:
    with shop.folder("results", "toy", "clips.csv").open(encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line["row"] == "generated"]
    worst = max(lines, key=lambda line: float(line[COLUMN]))
    return float(worst[COLUMN]), worst["clip"]


def choose(page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_a_typed_sentence_is_signed_explained_and_plays(opened, viewer):
    page = opened()
    page.get_by_role("tab", name="Sign").click()
    page.locator("textarea").first.fill("the dog sleeps in the garden today")
    page.get_by_role("button", name="Sign it").click()
    page.wait_for_selector("svg[aria-label='codes per stream over time']")
    assert frame_of(page)[:2] == ("paused", 1)
    content = page.content()
    assert "recording ASL_" in content and "body, step 0: code" in content
    still = picture(page)
    pressed(page, "Space")
    page.wait_for_selector("[data-player=playing]")
    server, places = viewer.pages[max(viewer.pages)], set()
    until = time.monotonic() + 60
    while len(places) < 8:  # it goes on by itself
        places.add(server.scene._frames[0])
        assert time.monotonic() < until
        time.sleep(0.02)
    pressed(page, "Space")
    page.wait_for_selector("[data-player=paused]")
    server.seek(0.5 * server.clock.duration)
    shown(page, server.scene.figures[0].count // 2 + 1)
    assert (np.abs(picture(page) - still).max(-1) > 40).sum() > 200  # it has moved


def test_seeking_steps_and_speed(opened, viewer):
    page = opened()
    pressed(page, "n")
    shown(page, 1)
    count = frame_of(page)[2]
    pressed(page, "End")
    shown(page, count)
    pressed(page, "j", "j")
    shown(page, count - 2)
    pressed(page, "Home", "l")
    shown(page, 2)
    server = viewer.pages[max(viewer.pages)]
    for speed in ("0.1", "2"):
        field = page.get_by_role("textbox").nth(1)
        field.fill(speed)
        field.press("Enter")
        until = time.monotonic() + 30
        while server.clock.speed != float(speed):
            assert time.monotonic() < until, f"the speed is {server.clock.speed}"
            time.sleep(0.05)
        page.get_by_role("button", name="start").click()
        shown(page, 1)
        pressed(page, "Space")
        page.wait_for_selector("[data-player=playing]")
        first, begun = server.clock.place(time.monotonic()), time.monotonic()
        time.sleep(0.5)
        moved, lasted = server.clock.place(time.monotonic()) - first, time.monotonic() - begun
        duration = server.clock.duration
        assert moved % duration == pytest.approx((lasted * float(speed)) % duration, abs=0.05)
        pressed(page, "k")
        page.wait_for_selector("[data-player=paused]")


def test_sorting_shows_the_worst_clip_with_its_scores_and_what_was_read(opened, shop):
    page = opened()
    choose(page, "Sort by", COLUMN)
    score, name = worst_of(shop)
    first = page.get_by_role("button").filter(has_text=re.compile(r"^\d+\.\d+ · ")).first
    first.wait_for()
    assert first.inner_text().startswith(f"{score:.3f} · " if score < 10 else f"{score:.1f} · ")
    first.click()
    page.wait_for_selector(f"text={name}")
    assert f"clip={name.replace('/', '~2F')}" in page.url
    content = page.content()
    assert "read from reference" in content and COLUMN in content and "read from toy" in content


def test_a_link_reopens_the_same_frame_and_camera(opened):
    page = opened()
    pressed(page, "n")
    shown(page, 1)
    pressed(page, "2")
    pressed(page, "l", "l", "l")
    shown(page, 4)
    page.wait_for_function("() => location.search.includes('second=') && location.search.includes('camera=three')")
    before, link = picture(page), page.url
    again = opened(link.split("/")[-1])
    shown(again, 4)
    after = picture(again)
    assert again.url == link
    assert (np.abs(after - before).max(-1) > 30).mean() < 0.005  # but for the edges


def test_an_export_is_downloaded_and_opens(opened):
    pygltflib = pytest.importorskip("pygltflib")
    page = opened()
    pressed(page, "n")
    shown(page, 1)
    with page.expect_download() as download:
        pressed(page, "Shift+G")
    assert download.value.suggested_filename.endswith(".glb")
    model = pygltflib.GLTF2().load_binary(download.value.path())
    assert model.animations and model.skins and len(model.meshes) >= 1
    with page.expect_download() as download:
        pressed(page, "Shift+I")
    picture = Image.open(download.value.path())
    assert picture.size[0] > 500 and len(set(picture.convert("L").getdata())) > 20


def test_a_phone_shows_figures_and_what_is_known_of_them(opened):
    page = opened(size=PHONE)
    page.locator("button:visible").filter(has_text=re.compile("[a-z]+ [a-z]+ [a-z]+")).first.click()
    shown(page, 1)
    assert page.get_by_text("About the clip").count() >= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.wait_for_timeout(2000)
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)[140:330]
    assert (pixels.max(-1) - pixels.min(-1) > 30).sum() > 1000  # of skin and shirt, above the sheet


def test_result_folders_need_no_model(shop):
    world = world_of([], [shop.folder("results", "toy")])
    assert not world.signers and not world.notes
    source = world.source("results")
    assert list(source.figures) == ["reference", "toy"]
    entry = source.entries[0]
    motions = {label: shown.motion(entry) for label, shown in source.figures.items()}
    assert motions["toy"].made_by and not motions["reference"].made_by
    assert {"csl test", "csl train", "lexicon"} <= {each.name for each in world.sources}

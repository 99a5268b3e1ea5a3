"""A page, used by hand without a browser: what is listed, shown, played, signed, linked and saved."""
from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.errors import UserError
from soke.render import exports
from soke.render.settings import Render
from soke.viewer.choosing import Entry
from soke.viewer.links import View
from soke.viewer.page import Page
from soke.viewer.signing import Signed, Signer
from soke.viewer.sources import REFERENCE, Shown, Source
from soke.viewer.world import World
from tests.viewer.stand_in import Client

DTW = "DTW m"


def motion_of(name: str, fps: float = 25.0, frames: int = 30) -> JointMotion:
    torch.manual_seed(sum(map(ord, name)))
    return JointMotion(torch.randn(frames, 50, 3), SKELETON_50, fps)


class Silent:
    """Signs every sentence, but for one."""

    name = "silent"

    def produce(self, sentences):
        if "broken" in sentences[0].text:
            raise UserError("this cannot be signed")
        return [motion_of(sentences[0].text)]

    def retrieved(self, sentence):
        return "found: nothing"


@pytest.fixture
def world() -> World:
    body = Skeleton(SKELETON_50)
    entries = [Entry("csl", name, f"text {name}", scores={"one": {DTW: score}}) for name, score in zip("abc", (1, 3, 2))]
    entries.append(Entry("csl", "z", fault="no frames"))

    def of_one(entry):
        if entry.name == "c":
            raise UserError("c was not saved")
        return motion_of(entry.name, 20.0, 20)

    figures = {REFERENCE: Shown(lambda entry: motion_of(entry.name), lambda: body), "one": Shown(of_one, lambda: body)}
    results = Source("results", lambda: entries, figures, {DTW: False})
    signer = Signer("silent", Silent, lambda: body, ["ASL", "DGS"])
    signer.start()
    return World([results], [signer], render=Render(96, "software"))


@pytest.fixture
def opened(world):
    pages = []

    def open_page(address: str = "") -> Page:
        page = Page(Client(address), world)
        pages.append(page)
        page.begin()
        return page

    yield open_page
    for page in pages:
        page.leave()


def listed(page: Page) -> list[str]:
    return [button.label for button in page.controls._buttons if button.visible]


def settled(check, seconds: float = 60.0) -> None:
    """Waits for the page's own thread."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it never came to it"
        time.sleep(0.01)


def test_the_worst_clip_is_listed_first_and_shown_with_all_its_figures(opened):
    page = opened()
    assert listed(page) == ["text a", "text b", "text c"]
    gui = page.client.gui
    gui.by_label["Sort by"].use(DTW)
    assert listed(page) == ["3.000 · text b", "2.000 · text c", "1.000 · text a"]
    page.controls._buttons[0].use()
    assert [figure.label for figure in page.scene.figures] == [REFERENCE, "one"]
    assert page.clock.duration == pytest.approx(1.2)  # the reference's 30 frames, in seconds
    gui.by_label["Order"].use("best first")
    assert listed(page)[0] == "1.000 · text a"


def test_search_broken_clips_and_keys(opened):
    page = opened()
    gui = page.client.gui
    gui.by_label["Search"].use("b")
    assert listed(page) == ["text b"]
    gui.by_label["Search"].use("nowhere")
    assert listed(page) == []
    gui.by_label["Search"].use("")
    gui.commands["U"].use()
    assert listed(page) == ["z"]
    gui.commands["U"].use()
    for _ in range(2):
        gui.commands["N"].use()
    assert page.entry.name == "b"
    gui.commands["P"].use()
    assert page.entry.name == "a"


def test_every_figure_shows_the_same_second_at_its_own_rate(opened):
    page = opened("source=results&corpus=csl&clip=a&second=0.5000")
    figures = {figure.label: figure for figure in page.scene.figures}
    assert page.scene._frames == [12, 10] and [f.fps for f in figures.values()] == [25.0, 20.0]
    shown = np.concatenate([part.mesh.vertices for part in page.scene._parts[1]])
    exact = figures["one"].frame(10)
    assert all((np.abs(exact - vertex).sum(1) < 1e-6).any() for vertex in shown[::500])
    page.client.gui.commands["L"].use()
    settled(lambda: page.scene._frames == [13, 10])
    page.client.gui.commands["end"].use()
    settled(lambda: page.scene._frames == [29, 19])


def test_playing_goes_on_and_the_address_follows_when_it_stops(opened):
    page = opened("source=results&corpus=csl&clip=a")
    page.client.gui.by_label["Loop"].use(False)
    page.client.gui.commands["space"].use()
    settled(lambda: page.scene._frames[0] > 2)
    settled(lambda: not page.clock.playing and page.scene._frames == [29, 19])
    settled(lambda: "second=1.2000" in page.address._now.content)


def test_a_link_reopens_clip_frame_camera_figures_and_style(opened):
    page = opened()
    page.controls._buttons[1].use()
    page.client.gui.commands["4"].use()
    page.client.gui.by_label["one"].use(False)
    page.client.gui.commands["M"].use()
    page.client.gui.by_label["Second"].use(0.48)
    settled(lambda: page.view.second == 0.48)
    again = opened(page.view.query())
    assert again.view == page.view == View("results", "csl", "b", figures=(REFERENCE,), second=0.48, camera="hands",
                                           style="sticks")
    assert again.scene._frames == page.scene._frames == [12]


def test_links_to_what_is_not_there_say_so(opened):
    page = opened("source=results&corpus=csl&clip=gone&camera=none")
    assert "no such clip" in page.controls._notices.content and page.view.camera == "front"
    assert opened("source=none").source.name == "results"


def test_a_figure_that_cannot_be_shown_hides_no_other(opened):
    page = opened("source=results&corpus=csl&clip=c")
    assert [figure.label for figure in page.scene.figures] == [REFERENCE]
    assert "one: c was not saved" in page.controls._notices.content


def test_a_typed_sentence_is_signed_and_a_fault_is_told(opened):
    page = opened()
    gui = page.client.gui
    gui.by_label["Sentence"].value = "it rains"
    gui.by_label["Sign it"].use()
    assert [figure.label for figure in page.scene.figures] == ["silent"] and page.scene.figures[0].count == 30
    assert "found: nothing" in page.controls._how.content and "it rains" in page.controls._title.content
    assert opened(page.view.query()).entry.text == "it rains"
    gui.by_label["Sentence"].value = "broken"
    gui.commands["cmd/ctrl+enter"].use()
    assert "this cannot be signed" in page.controls._notices.content and not page.scene.figures


def test_a_sentence_begins_at_its_beginning_whatever_was_shown_before(opened):
    page = opened("source=results&corpus=csl&clip=a&second=1.0000")
    page.client.gui.by_label["Sign it"].use()
    assert page.scene.figures[0].label == "silent" and page.clock.place(time.monotonic()) == 0
    page.controls._buttons[0].use()
    assert page.controls._how.content == "" and page.clock.place(time.monotonic()) == 0


def test_what_is_signed_joins_what_is_shown_already(opened, world):
    signed = threading.Event()

    def slowly(entry):
        signed.wait(60)
        return Signed(motion_of("slow"), None, "found: something")

    world.sources[0].figures["slow"] = Shown(slowly, world.signers[0].body, slow=True)
    page = opened()
    using = threading.Thread(target=page.controls._buttons[0].use)
    using.start()
    settled(lambda: "signing" in page.controls._notices.content)
    assert len(page.scene.figures) == 2
    page.seek(0.4)
    signed.set()
    using.join(60)
    assert [figure.label for figure in page.scene.figures] == [REFERENCE, "one", "slow"]
    assert page.scene._frames == [10, 8, 10] and "found: something" in page.controls._how.content


def test_a_system_that_is_not_trained_says_what_to_do():
    def load():
        raise UserError("train it first")

    signer = Signer("new", load, lambda: None, ["ASL"])
    signer.start()
    signer._read.wait(60)
    world = World([], [signer])
    page = Page(Client(), world)
    page.begin()
    try:
        assert "train it first" in page.controls._notices.content
        page.client.gui.by_label["Sign it"].use()
        assert page.controls._notices.content.count("train it first") >= 1
    finally:
        page.leave()


def test_what_is_shown_is_saved(opened):
    page = opened("source=results&corpus=csl&clip=a")
    page.save("npz")
    page.save("picture")
    files = page.client.files
    assert list(files) == ["csl_a.npz.zip", "csl_a.png"] and files["csl_a.png"].startswith(b"\x89PNG")
    page.save("glb")
    assert len(files) == 2 and "glb holds skin or angles" in page.controls._notices.content
    page.client.gui.by_label["one"].use(False)
    page.save("npz")
    assert np.load(io.BytesIO(files["csl_a.npz"]))["positions"].shape == (30, 50, 3)


def test_what_is_saved_is_as_large_as_the_configuration_says(opened, monkeypatch):
    written = []
    monkeypatch.setattr(exports, "write", lambda format, stem, shown: written.append(shown) or [stem])
    with pytest.raises(FileNotFoundError):  # nothing was written
        opened("source=results&corpus=csl&clip=a").save("mp4")
    assert [(shown.size, shown.backend) for shown in written] == [(96, "software")]


def test_pages_have_a_state_of_their_own(opened):
    one, two = opened("source=results&corpus=csl&clip=a"), opened("source=results&corpus=csl&clip=b")
    one.client.gui.commands["end"].use()
    two.client.gui.commands["3"].use()
    settled(lambda: one.scene._frames == [29, 19])
    assert two.scene._frames == [0, 0] and one.view.camera == "front" and two.view.camera == "signer's view"

"""The web page holds what was posed, plays it, and asks nobody for anything."""
from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50, SMPLX_JOINTS
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.body.skeleton import Skeleton
from soke.render.exports import Shown, write
from soke.render.figure import figures_of
from tests.viewer.browser import chromium


def signing(frames: int = 20, fps: float = 20.0) -> Motion:
    motion = Motion.rest(frames, fps)
    time = torch.linspace(0, 6, frames)
    motion.rotations[:, SMPLX_JOINTS.index("right_elbow"), 1] = 1 + time.sin()
    motion.rotations[:, SMPLX_JOINTS.index("left_shoulder"), 2] = time.cos()
    motion.expression[:, 0] = 3 * time.sin()
    return motion


def written(path: Path, body: Posed, motions: dict, caption: str = "") -> Path:
    return write("html", path, Shown(body, motions, caption))[0]


def read(path: Path) -> tuple[dict, list[dict[str, np.ndarray]]]:
    """What the page's program reads: its content, and the arrays of each figure."""
    text = path.read_text(encoding="utf-8")
    content, data = (re.search(f'id="{name}">(.*?)</script>', text)[1] for name in ("content", "data"))
    content, data = json.loads(content), gzip.decompress(base64.b64decode(data))
    return content, [
        {
            name: np.frombuffer(data, each[0], each[2], each[1]).astype(np.float64)
            for name, each in figure.items() if isinstance(each, list) and isinstance(each[0], str)
        }
        for figure in content["figures"]
    ]


def posed(figure: dict, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """[T, V, 3] as the page poses them."""
    rest = np.tile(arrays["vertices"].reshape(-1, 3) * figure["vertexScale"], (figure["frames"], 1, 1))
    counts, first = figure.get("morphCounts", []), 0
    for k, (count, scale) in enumerate(zip(counts, figure.get("morphScales", []))):
        moves = arrays["morphDirections"].reshape(-1, 3)[first : first + count] * scale / 127
        weights = arrays["morphWeights"].reshape(-1, len(counts))[:, k, None, None]
        rest[:, arrays["morphVertices"][first : first + count].astype(int)] += weights * moves
        first += count
    joints = arrays["restJoints"].reshape(-1, 3)
    x, y, z, w = (arrays["turned"].reshape(figure["frames"], -1, 4) / 32767).transpose(2, 0, 1)
    matrices = np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), 2 * (x * y + z * w),
        1 - 2 * (x * x + z * z), 2 * (y * z - x * w), 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ], axis=-1).reshape(*x.shape, 3, 3)
    placed = arrays["placed"].reshape(figure["frames"], -1, 3) * figure["placeScale"]
    by, weights = arrays["influences"].reshape(-1, 4).astype(int), arrays["weights"].reshape(-1, 4) / 255
    moved = np.einsum("tvkij,tvkj->tvki", matrices[:, by], rest[:, :, None] - joints[by]) + placed[:, by]
    return np.einsum("vk,tvki->tvi", weights, moved)


def test_the_page_holds_the_surface_and_the_face(body, tmp_path):
    motion, caption = signing(4), "größer </script><b> & 今天 {{data}}"
    path = written(tmp_path / "a", body, {"<i>": motion, "b": motion.frames(slice(0, 3))}, caption)
    content, arrays = read(path)
    assert content["caption"] == caption and [f["label"] for f in content["figures"]] == ["<i>", "b"]
    assert [(f["frames"], f["fps"]) for f in content["figures"]] == [(4, 20.0), (3, 20.0)]
    figure, (first, second) = content["figures"][0], arrays
    surface = body.surface(motion).numpy()
    off = np.linalg.norm(posed(figure, first) - surface, axis=2)
    assert off.max() < 0.003 and off.mean() < 0.0003
    rig = body.rig(motion)
    ((count,), (scale,)) = figure["morphCounts"], figure["morphScales"]
    directions = first["morphDirections"].reshape(-1, 3) * scale / 127
    assert count == len(rig.morphs[0].vertices) and np.array_equal(first["morphVertices"], rig.morphs[0].vertices)
    assert np.abs(directions - rig.morphs[0].directions.numpy()).max() <= scale / 254 + 1e-9
    assert np.allclose(first["morphWeights"], motion.expression[:, 0]) and len(second["morphWeights"]) == 3
    assert first["faces"].max() < len(body.template)
    low, high, half = figure["view"]
    assert high > surface[..., 1].max() - 0.05 and half > np.abs(surface[..., 0]).max() - 0.15 and low < high


def test_the_page_holds_sticks_as_they_are_drawn(tmp_path):
    """Bones that look straight down among them; rings of a stick may be turned about it."""
    positions = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(0))
    positions[1, 2] = positions[1, 1] - torch.tensor([0.0, 0.7, 0.0])
    body, motion = Skeleton(SKELETON_50, up="-y"), JointMotion(positions, SKELETON_50, 25.0)
    content, (arrays,) = read(written(tmp_path / "a", body, {"a": motion}))
    (drawn,) = figures_of(body, {"a": motion})
    vertices, expected = (each.reshape(3, -1, 18, 3) for each in (posed(content["figures"][0], arrays), drawn.vertices))
    assert np.abs(vertices[:, :, 16:] - expected[:, :, 16:]).max() < 1e-3  # the tips
    for ring in (slice(0, 8), slice(8, 16)):
        center = expected[:, :, ring].mean(axis=2)
        assert np.abs(vertices[:, :, ring].mean(axis=2) - center).max() < 1e-3
        radii = [np.linalg.norm(each[:, :, ring] - center[:, :, None], axis=3) for each in (vertices, expected)]
        assert np.abs(radii[0] - radii[1]).max() < 1e-3


def test_the_page_names_no_address_and_forbids_every_request(body, tmp_path):
    text = written(tmp_path / "a", body, {"a": signing(2)}).read_text(encoding="utf-8")
    text = re.sub(r'(id="data">)[^<]*', r"\1", text)
    assert "default-src 'none'" in text
    assert not re.findall(r"https?:|//[a-z]+\.|\bimport\b|fetch\(|XMLHttp|WebSocket|src=|url\(", text)
    assert re.findall(r'href="([^"]*)"', text) == ["data:,"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.slow
def test_a_browser_plays_it(browser, body, tmp_path):
    path = written(tmp_path / "a", body, {"reference": signing(), "b": signing(10)}, "It rains <today>.")
    page = browser.new_page(viewport={"width": 800, "height": 600})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    assert page.inner_text("h1") == "It rains <today>." and page.inner_text("#labels").split() == ["reference", "b"]

    def frame() -> int:
        return int(page.input_value("#seek"))

    def shot() -> bytes:
        return page.screenshot()

    start = frame()
    while frame() == start:  # plays by itself
        page.wait_for_timeout(50)
    page.keyboard.press("Space")
    stopped = frame()
    page.wait_for_timeout(300)
    assert frame() == stopped and page.inner_text("#play") == "Play"
    page.fill("#seek", "7")
    assert "frame 7 " in page.inner_text("#time") and "0.35 s" in page.inner_text("#time")
    seventh = shot()
    page.keyboard.press("ArrowRight")
    assert frame() == 8 and shot() != seventh
    page.keyboard.press("ArrowLeft")
    assert shot() == seventh  # the same frame is the same picture
    shown = page.evaluate("[...figures[0].posed]")
    exact = body.surface(signing())[7].numpy()
    off = np.linalg.norm(np.reshape(shown, (-1, 3)) - exact, axis=1)
    assert off.max() < 0.003 and off.mean() < 0.0003
    page.mouse.move(300, 250)
    page.mouse.down()
    page.mouse.move(400, 260)
    page.mouse.up()
    assert shot() != seventh
    page.click("#front")
    page.select_option("#speed", "0.1")
    page.click("#play")
    page.wait_for_timeout(1000)
    assert frame() - 7 <= 4  # two frames at a tenth, where it would be twenty
    assert said == [] and asked == [path.as_uri()]

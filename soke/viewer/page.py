"""One page: what it shows, what is done with it, and its clock."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.render import exports
from soke.viewer import details, saving
from soke.viewer.address import Address
from soke.viewer.cameras import CAMERAS
from soke.viewer.choosing import Entry
from soke.viewer.controls import Controls
from soke.viewer.links import View
from soke.viewer.moving import STYLES, Moving, Posing, moving_of
from soke.viewer.playback import Clock, frame_at
from soke.viewer.scene import Scene
from soke.viewer.signing import Signed
from soke.viewer.sources import Shown, Source
from soke.viewer.world import World

log = logging.getLogger(__name__)

TYPED = "typed"
_PATIENCE = 60.0  # seconds that a browser has to draw a picture
_TICK = 1 / 60  # seconds between looks at the clock while it runs
_TELL = 0.25  # seconds between two updates of controls while it runs: people read no faster


class Page:
    """A page of its own state. client: viser's"""

    def __init__(self, client, world: World) -> None:
        self.client, self.world = client, world
        self.clock, self.view, self.entry = Clock(), View(camera=next(iter(CAMERAS)), style=STYLES[0]), None
        self.source: Source | None = None
        self.posings: dict[str, Posing] = {}
        self.faults: dict[str, str] = {}
        self.signed: dict[str, Signed] = {}
        self._lock, self._awake, self._gone = threading.RLock(), threading.Event(), False
        self._told, self._opened = 0.0, 0
        self.scene = Scene(client)
        self.address = Address(client)
        self.controls = Controls(self)
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self) -> None:
        """Shows what the address says, or the first source."""
        asked = View.of(self.address.read())
        camera = asked.camera if asked.camera in CAMERAS else self.view.camera
        style = asked.style if asked.style in STYLES else self.view.style
        self.view = replace(self.view, camera=camera, style=style)
        self.controls.show_view()
        source = self.world.source(asked.source) or (self.world.sources[0] if self.world.sources else None)
        if source is not None:
            self.choose_source(source.name)
        self.tell()
        if asked.source == TYPED and asked.text and self.world.signers:
            self.controls.typed(asked.text, asked.language, asked.signed_by)
            self.sign(asked.text, asked.language, asked.signed_by, asked)
        elif asked.clip and source is not None:
            try:
                entry = source.find(asked.corpus, asked.clip)
            except UserError as error:
                entry = Entry(asked.corpus, asked.clip, fault=str(error))
            self.open(entry or Entry(asked.corpus, asked.clip, fault="no such clip is here"), asked)

    def leave(self) -> None:
        """The page has been closed."""
        self._gone = True
        self._awake.set()

    # What is shown.

    def choose_source(self, name: str) -> None:
        with self._lock:
            self.source = self.world.source(name)
            self.controls.show_source(self.source)

    def open(self, entry: Entry, asked: View = View()) -> None:
        """A clip of the source, at its beginning or as a link says."""
        with self._lock:
            source = self.source
            self.entry = entry
            self.view = replace(self.view, source=source.name, corpus=entry.corpus, clip=entry.name, text="",
                                language="", signed_by="", figures=asked.figures, focus=asked.focus)
        self._show(source.figures, asked.second)

    def sign(self, text: str, language: str, system: str, asked: View = View()) -> None:
        """A typed sentence."""
        signer = self.world.signer(system) or self.world.signers[0]
        with self._lock:
            self.entry = Entry(TYPED, TYPED, text, language)
            self.view = replace(self.view, source=TYPED, corpus="", clip="", text=text, language=language,
                                signed_by=signer.name, figures=(), focus="")

        shown = Shown(lambda entry: signer.sign(Typed(text, language)), signer.body, slow=True)
        self._show({signer.name: shown}, asked.second)

    def _show(self, figures: Mapping[str, Shown], second: float) -> None:
        """Reads the motions of the entry and shows them at a second; first those for which no model has to sign."""
        with self._lock:
            self._opened += 1
            opened, entry = self._opened, self.entry
            self.clock.pause(time.monotonic())
            self.posings, self.faults, self.signed = {}, {}, {}
            wanted = [label for label in figures if not self.view.figures or label in self.view.figures]
            self.controls.show_figures(list(figures), wanted)
        drawn = False
        for slow in (False, True):
            labels = [label for label in wanted if figures[label].slow == slow]
            if slow and labels:
                self.controls.busy(f"{', '.join(labels)}: signing …")
            for label in labels:
                found = self._read(figures[label], entry)
                with self._lock:
                    if opened != self._opened:
                        return  # something else has been opened in the meantime
                    self._keep(label, *found)
            if labels or (slow and not drawn):
                with self._lock:
                    if opened != self._opened:
                        return
                    self.posings = {label: self.posings[label] for label in wanted if label in self.posings}
                    self._draw(self.clock.place(time.monotonic()) if drawn else second)
                    drawn = True

    def _read(self, shown: Shown, entry: Entry) -> tuple[Motion | JointMotion | Signed | None, Posed | None, str]:
        """A figure's motion and body, or why there is none."""
        try:
            return shown.motion(entry), shown.body(), ""
        except UserError as error:
            return None, None, str(error)

    def _keep(self, label: str, found: Motion | JointMotion | Signed | None, body: Posed | None, fault: str) -> None:
        if isinstance(found, Signed):
            self.signed[label], found = found, found.motion
        if fault:
            self.faults[label] = fault
        else:
            self.posings[label] = Posing(found, body)

    def _draw(self, second: float) -> None:
        moving, faults = moving_of(self.posings, self.view.style)
        self.faults |= faults
        played = self.clock.playing
        self.clock.open(max((figure.duration for figure in moving.values()), default=0.0))
        now = time.monotonic()
        self.clock.seek(second, now)
        if played:
            self.clock.play(now)
        try:
            self.scene.show(list(moving.values()), self.clock.place(now))
        except UserError as error:
            self.faults["figures"] = str(error)
            self.scene.show([], 0.0)
        self.controls.show_focus([figure.label for figure in self.scene.figures], self.view.focus)
        self.controls.show_length(self.clock.duration)
        self.look()
        self._awake.set()

    def choose_figures(self, labels: tuple[str, ...]) -> None:
        """Labels of the figures of the clip that are to be seen."""
        if self.entry is None or self.view.source == TYPED or self.source is None:
            return
        second = self.clock.place(time.monotonic())
        every = tuple(self.source.figures)
        with self._lock:
            self.view = replace(self.view, figures=() if labels == every else labels or ("",))
        self._show(self.source.figures, second)

    def choose_style(self, style: str) -> None:
        with self._lock:
            self.view = replace(self.view, style=style)
            self.controls.show_view()
            self._draw(self.clock.place(time.monotonic()))

    @property
    def leading(self) -> Moving | None:
        """The figure whose frames are stepped by and counted: the first."""
        return self.scene.figures[0] if self.scene.figures else None

    # Where it is looked at from.

    def look(self, camera: str = "", focus: str | None = None) -> None:
        """From a camera, and at a figure; what is not said stays."""
        with self._lock:
            self.view = replace(self.view, camera=camera or self.view.camera,
                                focus=self.view.focus if focus is None else focus)
            labels = [figure.label for figure in self.scene.figures]
            number = labels.index(self.view.focus) if self.view.focus in labels else 0
            self.scene.look(self.view.camera, number)
            self.controls.show_view()
            self.tell()

    def next_focus(self) -> None:
        labels = [figure.label for figure in self.scene.figures]
        if labels:
            place = labels.index(self.view.focus) if self.view.focus in labels else 0
            self.look(focus=labels[(place + 1) % len(labels)])

    # When.

    def play(self) -> None:
        """Plays, or pauses."""
        with self._lock:
            now = time.monotonic()
            self.clock.pause(now) if self.clock.playing else self.clock.play(now)
        self._awake.set()

    def step(self, frames: int) -> None:
        with self._lock:
            if self.leading is not None:
                self.clock.step(frames, self.leading.fps, time.monotonic())
        self._awake.set()

    def seek(self, second: float) -> None:
        with self._lock:
            self.clock.seek(second, time.monotonic())
        self._awake.set()

    def at_speed(self, speed: float) -> None:
        with self._lock:
            self.clock.at_speed(speed, time.monotonic())
            self.controls.show_clock(self.clock)

    def loop(self, loop: bool) -> None:
        with self._lock:
            now = time.monotonic()
            self.clock.seek(self.clock.place(now), now)
            self.clock.loop = loop
            self.controls.show_clock(self.clock)

    def _run(self) -> None:
        """Shows the present frame, over and over; while nothing plays it computes what is going to be shown, and
        waits."""
        while not self._gone:
            try:
                with self._lock:
                    playing = self._tick()
                if playing:
                    time.sleep(_TICK)
                elif not self._prepare():
                    self._awake.wait()
                    self._awake.clear()
            except Exception:  # of a page that has just gone, or none of its own
                if not self._gone:
                    log.exception("a page could not show a frame")
                    time.sleep(1.0)

    def _tick(self) -> bool:
        now, was = time.monotonic(), self.clock.playing
        second = self.clock.place(now)
        try:
            self.scene.at(second)
        except UserError as error:  # frames that turn out not to be finite
            self.faults["figures"] = str(error)
            self.clock.pause(now)
            self.tell()
        if now - self._told > _TELL or not self.clock.playing:
            self._told = now
            self.controls.show_moment(second, self.frame_text(second), self.clock.playing)
            self.tell_moment(second)
        return self.clock.playing or (was and not self.clock.playing)

    def _prepare(self) -> bool:
        """Whether something was left to be computed."""
        unfinished = next((figure for figure in self.scene.figures if not figure.prepared), None)
        if unfinished is None or self._awake.is_set():
            return self._awake.is_set() and not self._awake.clear()
        unfinished.prepare()
        return True

    def frame_text(self, second: float) -> str:
        """Seconds and the leading figure's frame, counted from 1."""
        if self.leading is None:
            return ""
        frame = frame_at(second, self.leading.fps, self.leading.count) + 1
        return f"{second:.2f} of {self.clock.duration:.2f} s · frame {frame} of {self.leading.count}"

    # What is kept of it.

    def save(self, format: str) -> None:
        """Sends a file of what is shown to the browser."""
        with self._lock:
            posings, entry = dict(self.posings), self.entry
        name = "view" if entry is None else entry.text[:40] if entry.corpus == TYPED else f"{entry.corpus}_{entry.name}"
        self.controls.busy(f"{saving.CHOICES[format]} is being made …")
        try:
            if format == saving.VIEW:
                view = self.client.camera
                pixels = self.client.get_render(
                    view.image_height, view.image_width, transport_format="png", timeout=_PATIENCE
                )
                found = f"{exports.file_name(name)}.png", saving.picture_of(pixels)
            else:
                caption = "" if entry is None else entry.text
                found = saving.file_of(format, name, caption, posings, self.view.style, self.world.render)
            self.client.send_file_download(*found, save_immediately=True)
            self.tell()
        except (UserError, TimeoutError) as error:
            self.controls.busy(f"{saving.CHOICES[format]}: {error}")

    # What is said about it.

    def tell(self) -> None:
        """Texts, scores and what is the matter."""
        lines = self.world.status if self.entry is None or not self.scene.figures else []
        if self.entry is not None and self.entry.fault:
            lines = [*lines, self.entry.fault]
        lines = [*lines, *(f"{label}: {reason}" for label, reason in self.faults.items())]
        self.controls.show_details(self.entry, lines)
        self.tell_moment(self.clock.place(time.monotonic()))

    def tell_moment(self, second: float) -> None:
        self.controls.show_how("".join(details.how(label, signed, second) for label, signed in self.signed.items()))
        if not self.clock.playing and self.entry is not None:
            self.view = replace(self.view, second=second)
            self.address.write(self.view.query())

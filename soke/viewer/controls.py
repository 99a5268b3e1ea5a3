"""The controls of a page: what can be pressed, and what they show. What they do is the page's."""
from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from soke.errors import UserError
from soke.viewer import details
from soke.viewer.cameras import CAMERAS
from soke.viewer.choosing import PAGE, Entry, Query, page_of
from soke.viewer.moving import STYLES
from soke.viewer.playback import FASTEST, SLOWEST, Clock
from soke.viewer.saving import CHOICES
from soke.viewer.sources import Source

if TYPE_CHECKING:
    from soke.viewer.page import Page

log = logging.getLogger(__name__)

ALL, AS_LISTED = "all", "as listed"
WORST, BEST = "worst first", "best first"
_FASTER = 1.25  # factor of the keys that change the speed
_SAVE_KEYS = "IVSAPGHBEY"  # with shift, in the order of what can be saved
_INSET = "padding:0 10px;"
_LABEL = 46  # characters of a clip's button


class Controls:
    """The page's panels: player, clips, sentence, view; and below the figures what is known of them."""

    def __init__(self, page: Page) -> None:
        self.page, self.gui = page, page.client.gui
        self._listed: list[Entry] = []
        self._number, self._boxes = 0, {}
        self.gui.set_panel_label("Signing")
        self.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        self._add_player()
        tabs = self.gui.add_tab_group()
        with tabs.add_tab("Clips"):
            self._add_browser()
        if page.world.signers:
            with tabs.add_tab("Sign"):
                self._add_sentence()
        with tabs.add_tab("View"):
            self._add_view()
        with tabs.add_tab("Save"):
            for name, label in CHOICES.items():
                button = self.gui.add_button(label, color="gray")
                button.on_click(self._by_hand(functools.partial(page.save, name)))
        self.below = self.gui.add_panel()
        with self.below.add_tab("About the clip"):
            self._notices, self._title = self.gui.add_html(""), self.gui.add_html("")
            self._how, self._scores = self.gui.add_html(""), self.gui.add_html("")
        self.gui.main_panel.dock_right()
        self.below.float(x=12, y=-12, width=820, height=250)
        self._add_keys()

    def _by_hand(self, do: Callable[[], None]) -> Callable:
        """What a control does when somebody uses it, not when the program sets it."""

        def used(event) -> None:
            if getattr(event, "client_id", 0) is None:
                return
            try:
                do()
            except Exception as error:
                log.exception("a control of the viewer failed")
                lines = [f"this has failed ({type(error).__name__}: {error}); the terminal says more"]
                self._notices.content = _inset(details.notices(lines))

        return used

    # The player.

    def _add_player(self) -> None:
        gui, page = self.gui, self.page
        self._moment = gui.add_html("")
        self._place = gui.add_slider("Second", 0.0, 1.0, 0.01, 0.0)
        self._place.on_update(self._by_hand(lambda: page.seek(float(self._place.value))))
        buttons = gui.add_button_group("Play", ("start", "−1", "play", "+1", "end"))
        does = {
            "start": lambda: page.seek(0.0), "−1": lambda: page.step(-1), "play": page.play, "+1": lambda: page.step(1),
            "end": lambda: page.seek(page.clock.duration),
        }
        buttons.on_click(self._by_hand(lambda: does[buttons.value]()))
        self._speed = gui.add_slider("Speed", SLOWEST, FASTEST, 0.05, 1.0)
        self._speed.on_update(self._by_hand(lambda: page.at_speed(float(self._speed.value))))
        self._loop = gui.add_checkbox("Loop", True)
        self._loop.on_update(self._by_hand(lambda: page.loop(self._loop.value)))

    def show_length(self, duration: float) -> None:
        self._place.max = max(math.ceil(100 * duration) / 100, 0.01)

    def show_moment(self, second: float, text: str, playing: bool) -> None:
        self._place.value = min(second, self._place.max)
        state = "playing" if playing else "paused"
        self._moment.content = f'<div style="{_INSET}font-size:0.85em" data-player="{state}"><b>{state}</b> · {text}</div>'

    def show_clock(self, clock: Clock) -> None:
        self._speed.value, self._loop.value = clock.speed, clock.loop

    # The clips.

    def _add_browser(self) -> None:
        gui = self.gui
        names = [source.name for source in self.page.world.sources] or ["nothing"]
        self._source = gui.add_dropdown("From", names)
        self._source.on_update(self._by_hand(lambda: self.page.choose_source(self._source.value)))
        self._corpus = gui.add_dropdown("Corpus", (ALL,))
        self._search = gui.add_text("Search", "", hint="words of the text or of the clip's name")
        self._column = gui.add_dropdown("Sort by", (AS_LISTED,))
        self._system = gui.add_dropdown("Of", ("",), visible=False)
        self._order = gui.add_dropdown("Order", (WORST, BEST), visible=False)
        self._broken = gui.add_checkbox("Broken clips", False, hint="those that cannot be used, with the reason")
        for control in (self._corpus, self._search, self._column, self._system, self._order, self._broken):
            control.on_update(self._by_hand(self.list_again))
        self._count = gui.add_html("")
        self._buttons = [gui.add_button("", visible=False) for _ in range(PAGE)]
        for i, button in enumerate(self._buttons):
            button.on_click(self._by_hand(functools.partial(self._open, i)))
        turn = gui.add_button_group("Page", ("previous", "next"))
        turn.on_click(self._by_hand(lambda: self.turn(1 if turn.value == "next" else -1)))

    def show_source(self, source: Source) -> None:
        """Its corpora, systems and scores to choose from, and its first entries."""
        self._source.value = source.name
        try:
            corpora, systems = source.corpora, source.systems
        except UserError as error:
            self._count.content = details.notices([str(error)])
            self._listed = []
            self._show_page()
            return
        self._corpus.options = (ALL, *corpora)
        self._corpus.visible = len(corpora) > 1
        self._column.options = (AS_LISTED, *source.directions)
        self._column.visible = bool(source.directions)
        self._system.options = tuple(systems) or ("",)
        self.list_again()

    @property
    def query(self) -> Query:
        column = "" if self._column.value == AS_LISTED else self._column.value
        corpus = "" if self._corpus.value == ALL else self._corpus.value
        best = self._order.value == BEST
        return Query(corpus, self._search.value, self._system.value, column, best, self._broken.value)

    def list_again(self) -> None:
        """The entries that are asked for now, from the first."""
        source, query = self.page.source, self.query
        if source is None:
            return
        self._system.visible, self._order.visible = bool(query.column) and len(source.systems) > 1, bool(query.column)
        try:
            self._listed, self._number = query.of(source.entries, source.directions), 0
        except UserError as error:
            self._count.content = details.notices([str(error)])
            return
        broken = sum(bool(entry.fault) for entry in source.entries)
        kind = "broken clips" if query.broken else "clips"
        more = "" if query.broken else f" · {broken} broken"
        self._count_text = f"{len(self._listed):,} {kind}{more}"
        self._show_page()

    def _show_page(self) -> None:
        self._number, entries = page_of(self._listed, self._number)
        query = self.query
        for i, button in enumerate(self._buttons):
            button.visible = i < len(entries)
            if i < len(entries):
                button.label = _short(entries[i], query)
                button.hint = f"{entries[i].corpus}/{entries[i].name}"
                opened = self.page.entry is not None and self.page.entry.key == entries[i].key
                button.color = "dark" if opened else "gray"
        if self._listed:
            pages = -(-len(self._listed) // PAGE)
            self._count.content = _small(f"{self._count_text} · page {self._number + 1} of {pages}")
        elif self.page.source is not None and "entries" in self.page.source.__dict__:
            self._count.content = _small(f"{self._count_text}")

    def turn(self, pages: int) -> None:
        self._number += pages
        self._show_page()

    def _open(self, number: int) -> None:
        entries = page_of(self._listed, self._number)[1]
        if number < len(entries):
            self.page.open(entries[number])
            self._show_page()

    def next_clip(self, by: int) -> None:
        """The clip so many places further on in the list."""
        if not self._listed:
            return
        keys = [entry.key for entry in self._listed]
        opened = None if self.page.entry is None else self.page.entry.key
        place = keys.index(opened) + by if opened in keys else 0
        place = min(max(place, 0), len(keys) - 1)
        self._number = place // PAGE
        self.page.open(self._listed[place])
        self._show_page()

    # A sentence.

    def _add_sentence(self) -> None:
        gui, world = self.gui, self.page.world
        self._text = gui.add_text("Sentence", "", multiline=True)
        self._language = gui.add_dropdown("Language", tuple(world.languages) or ("ASL",))
        self._signer = gui.add_dropdown("System", tuple(signer.name for signer in world.signers))
        sign = gui.add_button("Sign it", color="blue")
        sign.on_click(self._by_hand(self.sign))

    def sign(self) -> None:
        self.page.sign(self._text.value, self._language.value, self._signer.value)

    def typed(self, text: str, language: str, system: str) -> None:
        """Shows what a link has typed."""
        if not self.page.world.signers:
            return
        self._text.value = text
        if language in self._language.options:
            self._language.value = language
        if system in self._signer.options:
            self._signer.value = system

    # The view.

    def _add_view(self) -> None:
        gui, page = self.gui, self.page
        self._camera = gui.add_dropdown("Camera", tuple(CAMERAS))
        self._camera.on_update(self._by_hand(lambda: page.look(camera=self._camera.value)))
        self._focus = gui.add_dropdown("Close-up of", ("",))
        self._focus.on_update(self._by_hand(lambda: page.look(focus=self._focus.value)))
        self._style = gui.add_dropdown("Drawn as", STYLES)
        self._style.on_update(self._by_hand(lambda: page.choose_style(self._style.value)))
        self._figures = gui.add_folder("Figures")

    def show_view(self) -> None:
        self._camera.value, self._style.value = self.page.view.camera, self.page.view.style

    def show_focus(self, labels: list[str], focus: str) -> None:
        self._focus.options = tuple(labels) or ("",)
        if labels:
            self._focus.value = focus if focus in labels else labels[0]

    def show_figures(self, labels: list[str], shown: list[str]) -> None:
        """A box for every figure that there could be."""
        if list(self._boxes) != labels:
            for box in self._boxes.values():
                box.remove()
            with self._figures:
                self._boxes = {label: self.gui.add_checkbox(label, True) for label in labels}
            for box in self._boxes.values():
                box.on_update(self._by_hand(self._choose_figures))
        for label, box in self._boxes.items():
            box.value = label in shown

    def _choose_figures(self) -> None:
        self.page.choose_figures(tuple(label for label, box in self._boxes.items() if box.value))

    # What is known.

    def busy(self, text: str) -> None:
        self._notices.content = _inset(f'<div role="status">{details.escape(text)}</div>')

    def show_details(self, entry: Entry | None, lines: list[str]) -> None:
        self._notices.content = _inset(details.notices(lines))
        if entry is None:
            self._title.content = _inset("Open a clip, or type a sentence.")
            self._scores.content = ""
            return
        directions = {} if self.page.source is None else self.page.source.directions
        self._title.content = _inset(details.title(entry))
        self._scores.content = _inset(details.scores(entry, directions, self.query.column))

    def show_how(self, content: str) -> None:
        self._how.content = _inset(content)

    # Keys.

    def _add_keys(self) -> None:
        page = self.page
        cameras = {str(i + 1): name for i, name in enumerate(CAMERAS)}
        keys = [
            ("Play or pause", "space", None, page.play), ("Play or pause", "K", None, page.play),
            ("A frame back", "J", None, lambda: page.step(-1)), ("A frame on", "L", None, lambda: page.step(1)),
            ("Ten frames back", "J", "shift", lambda: page.step(-10)),
            ("Ten frames on", "L", "shift", lambda: page.step(10)),
            ("To the beginning", "home", None, lambda: page.seek(0.0)),
            ("To the end", "end", None, lambda: page.seek(page.clock.duration)),
            ("Slower", "Z", None, lambda: page.at_speed(page.clock.speed / _FASTER)),
            ("Faster", "X", None, lambda: page.at_speed(page.clock.speed * _FASTER)),
            ("Loop or not", "R", None, lambda: page.loop(not page.clock.loop)),
            ("Next clip", "N", None, lambda: self.next_clip(1)), ("Clip before", "P", None, lambda: self.next_clip(-1)),
            ("Next page of clips", "pagedown", None, lambda: self.turn(1)),
            ("Page of clips before", "pageup", None, lambda: self.turn(-1)),
            ("Next source", "O", None, lambda: self._next(self._source, lambda: page.choose_source(self._source.value))),
            ("Next corpus", "C", None, lambda: self._next(self._corpus, self.list_again)),
            ("Sort by the next score", "B", None, lambda: self._next(self._column, self.list_again)),
            ("Worst or best first", "V", None, lambda: self._next(self._order, self.list_again)),
            ("Broken clips or the others", "U", None, self._toggle_broken),
            ("Mesh or sticks", "M", None,
             lambda: page.choose_style(STYLES[(STYLES.index(page.view.style) + 1) % len(STYLES)])),
            ("Close-up of the next figure", "F", None, page.next_focus),
            *((f"Camera: {name}", key, None, functools.partial(page.look, name)) for key, name in cameras.items()),
        ]
        keys += [
            (f"Save: {CHOICES[name]}", key, "shift", functools.partial(page.save, name))
            for name, key in zip(CHOICES, _SAVE_KEYS)
        ]
        if page.world.signers:
            keys.append(("Sign the sentence", "enter", "cmd/ctrl", self.sign))
        for label, key, modifier, do in keys:
            self.gui.add_command(label, hotkey=key, modifier=modifier).on_trigger(self._by_hand(do))

    def _next(self, dropdown, then: Callable[[], None]) -> None:
        place = dropdown.options.index(dropdown.value)
        dropdown.value = dropdown.options[(place + 1) % len(dropdown.options)]
        then()

    def _toggle_broken(self) -> None:
        self._broken.value = not self._broken.value
        self.list_again()


def _short(entry: Entry, query: Query) -> str:
    """A clip on a button: its score, and as much of its text as there is room for."""
    text = entry.text or entry.name
    score = f"{details.number(query.score(entry))} · " if query.column else ""
    return f"{score}{text[:_LABEL]}{'…' * (len(text) > _LABEL)}"


def _small(text: str) -> str:
    return f'<div style="{_INSET}font-size:0.85em;color:#666">{details.escape(text)}</div>'


def _inset(content: str) -> str:
    return f'<div style="{_INSET}">{content}</div>' if content else ""

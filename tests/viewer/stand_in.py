"""A client of viser's without a browser: it keeps what it is given, and its controls are used by hand."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np


class Handle(SimpleNamespace):
    """What viser gives for whatever is added: attributes, and callbacks."""

    def __init__(self, **values):
        super().__init__(**values, done=[], gone=False)

    def on_update(self, do: Callable) -> None:
        self.done.append(do)

    on_click = on_trigger = on_update

    def use(self, value=None) -> None:
        """As somebody at the page would."""
        if value is not None:
            self.value = value
        for do in self.done:
            do(SimpleNamespace(client_id=1))

    def remove(self) -> None:
        self.gone = True

    def add_tab(self, label: str):
        return nullcontext()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def float(self, **_) -> None:
        pass

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "options" and getattr(self, "value", None) not in value:
            super().__setattr__("value", value[0])


class Gui:
    def __init__(self):
        self.by_label: dict[str, Handle] = {}
        self.htmls: list[Handle] = []
        self.commands: dict[str, Handle] = {}
        self.main_panel = SimpleNamespace(dock_right=lambda: None)

    def _kept(self, label: str, **values) -> Handle:
        self.by_label[label] = Handle(label=label, visible=values.pop("visible", True), **values)
        return self.by_label[label]

    def add_slider(self, label, low, high, step, value):
        return self._kept(label, max=high, value=value)

    def add_dropdown(self, label, options, visible=True):
        return self._kept(label, options=tuple(options), value=tuple(options)[0], visible=visible)

    def add_checkbox(self, label, value, **_):
        return self._kept(label, value=value)

    add_text = add_checkbox

    def add_button_group(self, label, options):
        return self._kept(label, value=options[0])

    def add_button(self, label, visible=True, **_):
        handle = Handle(label=label, visible=visible)
        return self.by_label.setdefault(label, handle) if label else handle

    def add_html(self, content):
        self.htmls.append(Handle(content=content))
        return self.htmls[-1]

    def add_command(self, label, hotkey, modifier):
        self.commands["+".join(filter(None, (modifier, hotkey)))] = handle = Handle(label=label)
        return handle

    def add_tab_group(self):
        return Handle()

    add_panel = add_tab_group

    def add_folder(self, label):
        return Handle()

    def set_panel_label(self, label):
        pass

    def configure_theme(self, **_):
        pass


class Client:
    """address: that its page is opened with"""

    def __init__(self, address: str = "", width: int = 1000, height: int = 800):
        self.gui, self.meshes, self.files = Gui(), {}, {}
        self.camera = SimpleNamespace(aspect=width / height, image_width=width, image_height=height)
        self.local_storage = SimpleNamespace(
            set_item=lambda key, value: None, remove_item=lambda key: None,
            get_item=lambda key, timeout: f"?{address}",
        )
        self.scene = SimpleNamespace(
            set_background_image=lambda picture: None, configure_default_lights=lambda *a, **b: None,
            configure_environment_map=lambda hdri: None, add_light_ambient=lambda name, **_: None,
            add_light_directional=lambda name, **_: None, add_frame=lambda name, **_: Handle(), add_label=lambda name, text, **_: Handle(),
            add_mesh_simple=self._mesh,
        )

    def _mesh(self, name, vertices, faces, **_):
        self.meshes[name] = Handle(vertices=np.array(vertices), faces=faces)
        return self.meshes[name]

    def atomic(self):
        return nullcontext()

    def get_render(self, height, width, *, transport_format, timeout):
        return np.zeros((height, width, 4), np.uint8)

    def send_file_download(self, name, content, **_):
        self.files[name] = content

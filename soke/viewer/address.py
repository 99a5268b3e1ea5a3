"""The address of a page: what stands behind its #, read when it is opened, and kept to what it shows.

The server never sees that part of an address, and viser does not tell it. A hidden frame in the page, of the same
origin, therefore hands it over in the browser's storage, which viser lets the server read.
"""
from __future__ import annotations

import html
import json
import secrets
import time

_PATIENCE = 6.0  # seconds that a page has to tell its address; then it is taken to have none
_HAND_OVER = """
for (const key of Object.keys(parent.localStorage)) {
  if (key.endsWith(KEY)) parent.localStorage.setItem(key, parent.location.hash || "#");
}
parent.addEventListener("hashchange", () => parent.location.reload());
"""
_REPLACE = """
parent.history.replaceState(null, "", parent.location.pathname + parent.location.search + "#" + FRAGMENT);
"""


class Address:
    """client: viser's, of the page; made within the part of its controls that is always there"""

    def __init__(self, client) -> None:
        self._client, self._key = client, f"address-{secrets.token_hex(8)}"
        client.local_storage.set_item(self._key, "")
        self._first = client.gui.add_html(_frame(_HAND_OVER.replace("KEY", json.dumps(self._key))))
        self._now = client.gui.add_html("")

    def read(self) -> str:
        """The part behind the #; "" where the page does not tell it."""
        until = time.monotonic() + _PATIENCE
        try:
            while time.monotonic() < until:
                found = self._client.local_storage.get_item(self._key, timeout=_PATIENCE)
                if found:
                    return found.lstrip("#")
                time.sleep(0.05)
        except (RuntimeError, TimeoutError):  # the page has gone, or keeps nothing
            return ""
        finally:
            self._client.local_storage.remove_item(self._key)
        return ""

    def write(self, fragment: str) -> None:
        """Puts it behind the #, without a new page."""
        self._now.content = _frame(_REPLACE.replace("FRAGMENT", json.dumps(fragment)))


def _frame(script: str) -> str:
    """`</` would end the script within."""
    page = "<script>" + script.replace("</", "<\\/") + "</script>"
    return f'<iframe hidden title="address" srcdoc="{html.escape(page)}"></iframe>'

"""The address of a page: its query, read when it is opened, and kept to what it shows.

viser does not tell which page has which address. A hidden frame in the page, of the same
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
  if (key.endsWith(KEY)) parent.localStorage.setItem(key, parent.location.search || "?");
}
"""
_REPLACE = """
parent.history.replaceState(null, "", parent.location.pathname + "?" + QUERY);
"""


class Address:
    """client: viser's, of the page; made within the part of its controls that is always there"""

    def __init__(self, client) -> None:
        self._client, self._key = client, f"address-{secrets.token_hex(8)}"
        client.local_storage.set_item(self._key, "")
        self._first = client.gui.add_html(_frame(_HAND_OVER.replace("KEY", json.dumps(self._key))))
        self._now = client.gui.add_html("")

    def read(self) -> str:
        """The part behind the ?; "" where the page does not tell it."""
        until = time.monotonic() + _PATIENCE
        try:
            while time.monotonic() < until:
                found = self._client.local_storage.get_item(self._key, timeout=_PATIENCE)
                if found:
                    return found.removeprefix("?")
                time.sleep(0.05)
        except (RuntimeError, TimeoutError):  # the page has gone, or keeps nothing
            return ""
        finally:
            self._client.local_storage.remove_item(self._key)
        return ""

    def write(self, query: str) -> None:
        """Puts it behind the ?, without a new page."""
        self._now.content = _frame(_REPLACE.replace("QUERY", json.dumps(query)))


def _frame(script: str) -> str:
    """`</` would end the script within."""
    page = "<script>" + script.replace("</", "<\\/") + "</script>"
    return f'<iframe hidden title="address" srcdoc="{html.escape(page)}"></iframe>'

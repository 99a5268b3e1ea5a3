"""The server of the pages."""
from __future__ import annotations

import logging
import socket

from soke.errors import UserError
from soke.viewer.page import Page
from soke.viewer.world import World

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


def _require_own(host: str) -> None:
    """Raises UserError for what is no address of this machine: viser would wait for it without an end."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.bind(address)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--host {host} is no address of this machine ({error}): leave it out for {LOOPBACK}, or give 0.0.0.0 for all "
            "of them"
        ) from error


class Viewer:
    """Serves pages; they can be opened as soon as it is made, each has a state of its own.

    host: address that it listens at; port: the next free one is taken where it is taken

    Raises UserError for a host that is no address of this machine, and where viser is not installed.
    """

    def __init__(self, world: World, host: str = LOOPBACK, port: int = 8080):
        _require_own(host)
        try:
            import viser
        except ImportError as error:
            raise UserError("the viewer needs the package viser: pip install viser") from error
        self.pages: dict[int, Page] = {}
        self._server = viser.ViserServer(host=host, port=port, label="Signing", verbose=False)
        self._server.request_share_url = self._never_shared
        self._server.scene.set_up_direction("+y")
        self._server.initial_camera.position = (0.0, 0.3, 3.0)
        self._server.initial_camera.look_at = (0.0, 0.2, 0.0)
        self.address = f"http://{host}:{self._server.get_port()}"

        @self._server.on_client_connect
        def _(client) -> None:
            page = self.pages[client.client_id] = Page(client, world)
            if client.client_id not in self._server.get_clients():  # it has left again
                page.leave()
            else:
                page.begin()

        @self._server.on_client_disconnect
        def _(client) -> None:
            page = self.pages.pop(client.client_id, None)
            if page is not None:
                page.leave()

        for signer in world.signers:
            signer.start()

    def stop(self) -> None:
        self._server.stop()

    def wait(self) -> None:
        """Until the program is interrupted."""
        self._server.sleep_forever()

    def _never_shared(self, verbose: bool = True) -> None:
        """A page may ask viser for a public address, by way of a server of others; none is given."""
        log.warning("a page asked for a public address: the viewer gives none")

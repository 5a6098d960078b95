"""A few lines of TCP that misbehave, where no HTTP server would."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Wire:
    """A port at which each connection is met by a function of a test's."""

    def __init__(self, bound: socket.socket, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"
        self.connections = 0
        self.received: list[bytes] = []


@contextmanager
def open_wire(
    talk: Callable[[socket.socket], None], secured: ssl.SSLContext | None = None
) -> Iterator[Wire]:
    """Call ``talk`` with each connection, which is closed afterwards; over TLS if asked to."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        wire = Wire(bound, "https" if secured else "http")

        def serve(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                if secured is None:
                    talk(connection)
                    return
                with secured.wrap_socket(connection, server_side=True) as safe:
                    wire.received.append(safe.recv(65536))
                    talk(safe)

        def accept() -> None:
            with suppress(OSError):  # the end of the block closes the port
                while True:
                    connection, _ = bound.accept()
                    wire.connections += 1
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            bound.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def open_black_hole() -> Iterator[str]:
    """Return the URL of a port whose backlog is full: no handshake of TCP is answered."""
    with ExitStack() as stack:
        bound = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(bound.getsockname())
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


class Authority:
    """Makes certificates in a directory: ``bundle`` is what to trust, to trust them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bundle = directory / "ca.crt"
        self._run("req", "-x509", *CURVE, "-days", "2", "-subj", "/CN=ca", *self._name("ca", "crt"))

    def build(
        self, name: str, *, address: str = "127.0.0.1", days: int = 2, signed: bool = True
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for ``address``, valid for ``days``."""
        subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
        if signed:
            self._run("req", "-new", *CURVE, *subject, *self._name(name, "csr"))
            authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
            request = ["-req", "-in", f"{name}.csr", "-copy_extensions", "copy"]
            self._run("x509", *request, *authority, "-days", str(days), "-out", f"{name}.crt")
        else:
            self._run("req", "-x509", *CURVE, *subject, "-days", "2", *self._name(name, "crt"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        return context

    def _name(self, name: str, ending: str) -> list[str]:
        return ["-keyout", f"{name}.key", "-out", f"{name}.{ending}"]

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

"""HTTP answers, byte by byte, and who gives them."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import django_topsort

if TYPE_CHECKING:
    from django_topsort.testing.faults import ActiveFault
    from django_topsort.testing.ledger import ReceivedRequest
    from django_topsort.testing.rules import Verdict

WITHOUT_BODY = (204, 304)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer before it is written out."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    padding: int = 0

    def build_head(self, *, close: bool) -> bytes:
        """Return the status line and the headers."""
        given = {name.lower() for name, _ in self.headers}
        headers = [
            ("Server", f"django-topsort-fake-api/{django_topsort.__version__}"),
            ("Date", formatdate(usegmt=True)),
        ]
        if self.status not in WITHOUT_BODY:
            headers.append(("Content-Length", str(len(self.body) + self.padding)))
        if self.body:
            headers.append(("Content-Type", self.content_type))
        if close:
            headers.append(("Connection", "close"))
        headers = [(name, value) for name, value in headers if name.lower() not in given]
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"  # 520 and its like, which proxies answer
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in [*headers, *self.headers]]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Desk(Protocol):
    """What a listener asks for every request; FakeApi is one."""

    max_body_size: int

    def get_page(self, method: str, path: str) -> Answer | None:
        """Return the answer to a request of a person's browser, None if it is none."""

    def receive(self, request: ReceivedRequest) -> ActiveFault | None:
        """Remember a request; return the fault that meets it."""

    def judge(self, request: ReceivedRequest) -> Verdict:
        """Judge a request, and take its events if it may have them."""

    def settle(self, request: ReceivedRequest, status: int | None, verdict: str) -> None:
        """Write down how a request ends."""

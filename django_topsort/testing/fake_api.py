"""FakeApi: a real HTTP server that holds to the rules of Topsort's Events API.

::

    with FakeApi() as api:                       # a free port of 127.0.0.1
        settings.TOPSORT_API_URL = api.url
        ...
        api.wait_for(2, "impressions")
        assert api.purchases[0]["items"][0]["unitPrice"] == Decimal("12.95")

It takes ``POST /v2/events`` with a bearer token and a body that is right in all its parts, answers
204, and remembers the events; and ``POST /v2/events/beta/link-users``, which links two users.
Anything else is refused, and ``api.requests`` says why. ``GET /`` shows a person what came.

Faults are asked for by a method each. All take ``times``, the number of requests to meet (None: any
number), and ``matches``, a function that tells from a ``ReceivedRequest`` whether to meet it. They
queue up: a request is met by the oldest that matches and is not used up. Only the two addresses
are met by them. They return an ``ActiveFault``, which ends with ``release()`` or with its block::

    api.answer(503, headers={"Retry-After": "1"}, times=2)   # two failures, then
    api.reset(times=1)                                       # one reset, then all is well

    with api.hang() as fault:
        fault.wait_for_hit()                                 # a request waits in vain
"""

from __future__ import annotations

import itertools
import socket
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from django_topsort.testing.fault_methods import FaultMethods
from django_topsort.testing.faults import ActiveFault, FaultQueue
from django_topsort.testing.ledger import Ledger, ReceivedEvent, ReceivedRequest
from django_topsort.testing.listener import Listener
from django_topsort.testing.page import get_page
from django_topsort.testing.rules import (
    EVENTS_PATH,
    KIND_NAMES,
    KINDS,
    LINKS_PATH,
    Verdict,
    build_rules,
    say_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from django_topsort.testing.answers import Answer


class FakeApi(FaultMethods):
    """A server for tests and for development; see the module for its use.

    ``api_key`` is the only key let in; None lets in any that begins with ``TSE_``. ``port`` 0 takes
    a free one. ``category_field`` says which form of the category a placement may have:
    ``"categoryIds"``, a list, or ``"categoryId"``, one string. ``max_body_size`` is in bytes
    (413 above it; Topsort states no limit of its own). ``keep`` is how many requests and how many
    events are remembered; request bodies are, besides, kept up to 64 MiB in all. ``on_request`` is
    called, in a thread of the server, with each ``ReceivedRequest`` when it is decided.

    ImportError when the ``jsonschema`` library is missing, ValueError for an unknown
    ``category_field``.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        category_field: str = "categoryIds",
        max_body_size: int = 1024 * 1024,
        keep: int = 10_000,
        on_request: Callable[[ReceivedRequest], None] | None = None,
    ) -> None:
        self._rules = build_rules(api_key, category_field)
        self.max_body_size = max_body_size
        self._host = host
        self._port = port
        self._on_request = on_request
        self._ledger = Ledger(keep)
        self._faults = FaultQueue()
        self._connections = itertools.count(1)
        self._listener: Listener | None = None
        self._reserved: socket.socket | None = None

    # The server

    def start(self) -> Self:
        """Listen, and return at once; RuntimeError if it listens already, OSError if it cannot."""
        if self._listener is not None or self._reserved is not None:
            raise RuntimeError(f"this FakeApi listens already, on {self.url}")
        self._reserved = self._bind(self._port)
        self.resume()
        return self

    def stop(self) -> None:
        """End all connections and faults and stop listening. What was received stays."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.clear_faults()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    @property
    def url(self) -> str:
        """What ``TOPSORT_API_URL`` must be: ``http://127.0.0.1:54321``."""
        listening = self._reserved if self._listener is None else self._listener.socket
        if listening is None:
            raise RuntimeError("this FakeApi has no address: start() it first")
        return f"http://{self._host}:{listening.getsockname()[1]}"

    def refuse(self) -> AbstractContextManager[object]:
        """Stop listening: connections are refused, open ones end. Until ``resume()`` or the block.

        The port stays reserved, so that nobody else can take it meanwhile.
        """
        if self._listener is None:
            raise RuntimeError("this FakeApi does not listen")
        port = self._listener.socket.getsockname()[1]
        self._listener.close()
        self._listener = None
        self._reserved = self._bind(port)
        resuming = ExitStack()
        resuming.callback(self.resume)
        return resuming

    def resume(self) -> None:
        """Listen again after ``refuse()``, on the same port; nothing happens if it listens."""
        if self._reserved is not None:
            self._listener = Listener(self, self._reserved, self._connections)
            self._reserved = None

    def drop_connections(self) -> None:
        """End the connections that are open, as a server does with idle ones."""
        if self._listener is not None:
            self._listener.drop_connections()

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, port))
        except BaseException:
            bound.close()
            raise
        return bound

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What it received

    @property
    def events(self) -> list[ReceivedEvent]:
        """The events that were taken, in order; each is a dict that also has a ``kind``."""
        return list(self._ledger.read(lambda: list(self._ledger.events)))

    @property
    def impressions(self) -> list[ReceivedEvent]:
        """The impressions that were taken."""
        return self._get_events("impressions")

    @property
    def clicks(self) -> list[ReceivedEvent]:
        """The clicks that were taken."""
        return self._get_events("clicks")

    @property
    def purchases(self) -> list[ReceivedEvent]:
        """The purchases that were taken."""
        return self._get_events("purchases")

    @property
    def pageviews(self) -> list[ReceivedEvent]:
        """The page views that were taken."""
        return self._get_events("pageviews")

    @property
    def links(self) -> list[dict[str, str]]:
        """The links of users that were taken: ``{"from": ..., "to": ...}`` each."""
        return list(self._ledger.read(lambda: list(self._ledger.links)))

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request but those for the page, from its arrival on."""
        return list(self._ledger.read(lambda: list(self._ledger.requests)))

    @property
    def repeated(self) -> list[str]:
        """The ids of events that came again: answered with 204, but not recorded a second time."""
        return list(self._ledger.read(lambda: list(self._ledger.repeated)))

    @property
    def altered(self) -> list[str]:
        """Those of ``repeated`` that were not the same as the first time, which is a mistake."""
        return list(self._ledger.read(lambda: list(self._ledger.altered)))

    def clear(self) -> None:
        """Forget all that was received. Faults stay; ``clear_faults()`` ends them."""
        self._ledger.clear()

    def wait_for(
        self, count: int, kind: str | None = None, timeout: float = 5.0
    ) -> list[ReceivedEvent]:
        """Wait until at least ``count`` events (of one kind) were taken, and return these events.

        AssertionError after ``timeout`` seconds, with what came instead.
        """
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind: {kind!r} is not allowed, it must be one of {', '.join(KINDS)}")
        if not self._ledger.wait_until(lambda: self._ledger.count(kind) >= count, timeout):
            raise AssertionError(
                self._describe_wait(count, KIND_NAMES[kind] if kind else "event", timeout)
            )
        return self.events if kind is None else self._get_events(kind)

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> list[ReceivedRequest]:
        """Wait until at least ``count`` requests have come, whatever became of them.

        AssertionError after ``timeout`` seconds, with what came instead.
        """
        if not self._ledger.wait_until(lambda: self._ledger.requests_count >= count, timeout):
            raise AssertionError(self._describe_wait(count, "request", timeout))
        return self.requests

    def _get_events(self, kind: str) -> list[ReceivedEvent]:
        return [event for event in self.events if event.kind == kind]

    def _describe_wait(self, count: int, word: str, timeout: float) -> str:
        requests = self._ledger.requests_count
        found = "nothing"
        if requests:
            events = say_count(self._ledger.count(), "event")
            found = f"{events} in {say_count(requests, 'request')}"
        details = [
            *(f"  {request}" for request in self.requests[-10:]),
            *(f"  in force: {active!r}" for active in self._faults.get_active()),
        ]
        expected = f"{say_count(count, word)} expected within {timeout} s, {found} came"
        return "\n".join([f"{expected}:" if details else f"{expected}.", *details])

    # What the listener asks (see answers.Desk)

    def get_page(self, method: str, path: str) -> Answer | None:
        """Return the answer to a request of a person's browser, None if it is none."""
        return get_page(self._ledger, method, path)

    def receive(self, request: ReceivedRequest) -> ActiveFault | None:
        """Remember a request; return the fault that meets it."""
        self._ledger.add_request(request)
        return self._faults.meet(request) if request.path in (EVENTS_PATH, LINKS_PATH) else None

    def judge(self, request: ReceivedRequest) -> Verdict:
        """Judge a request, and take its events if it may have them."""
        verdict = self._rules.judge(request.method, request.path, request.headers, request.body)
        if verdict.link is not None:
            self._ledger.take_link(verdict.link)
        repeated = self._ledger.take(request, verdict.events)
        return replace(verdict, text=f"{verdict.text} ({repeated} again)") if repeated else verdict

    def settle(self, request: ReceivedRequest, status: int | None, verdict: str) -> None:
        """Write down how a request ends."""
        self._ledger.settle(request, status, verdict)
        if self._on_request is not None:
            self._on_request(request)

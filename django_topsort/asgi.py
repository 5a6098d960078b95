"""Sending what waits when an ASGI server shuts down.

Python's exit hooks, on which the thread backend relies, do not run under uvicorn: it ends by the
signal that stopped it. What does come is the end of the ASGI lifespan, in which Django itself takes
no part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django_topsort.logs import FieldLogger
from django_topsort.routing import close_backends, reopen_backends

logger = FieldLogger(logging.getLogger(__name__))

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


def flush_on_shutdown(application: Application) -> Application:
    """Return an ASGI application, with what waits being sent when the server shuts down.

    ::

        application = flush_on_shutdown(get_asgi_application())

    It takes ``TOPSORT_SHUTDOWN_TIMEOUT`` seconds at most. Requests pass through untouched, and so
    does the lifespan, for an application that takes part in it: its own shutdown comes first.
    """

    async def wrapped(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(application, scope, _Lifespan(receive, send))
        else:
            await application(scope, receive, send)

    return wrapped


async def _live(application: Application, scope: Any, lifespan: _Lifespan) -> None:
    reopen_backends()  # some programs, tests first of all, serve more than once in a process
    try:
        await application(scope, lifespan.receive, lifespan.send)
    except Exception as error:
        if lifespan.said:
            if lifespan.heard == "lifespan.shutdown":
                await asyncio.to_thread(close_backends)
            raise
        # To raise at once is how an application says that it takes no part, as Django does.
        logger.info("the application has no lifespan error=%s", type(error).__name__)
    await lifespan.complete()


class _Lifespan:
    """What server and application say to each other; the last word waits until all is sent."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.heard = ""
        self.said = ""

    async def receive(self) -> Message:
        message = await self._receive()
        self.heard = message["type"]
        return message

    async def send(self, message: Message) -> None:
        self.said = message["type"]
        if self.said.startswith("lifespan.shutdown"):
            await asyncio.to_thread(close_backends)
        await self._send(message)

    async def complete(self) -> None:
        """Say what the application has left unsaid."""
        if not self.said:
            if not self.heard:
                await self.receive()  # lifespan.startup
            await self.send({"type": "lifespan.startup.complete"})
        if self.said == "lifespan.startup.complete":
            if self.heard != "lifespan.shutdown":
                await self.receive()
            await self.send({"type": "lifespan.shutdown.complete"})

"""Sending what waits when an ASGI server shuts down.

Python's exit hooks, on which the thread backend relies, do not run under uvicorn and granian: they
end by the signal that stopped them. What does come is the end of the ASGI lifespan, in which Django
itself takes no part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django_topsort.conf import topsort_settings
from django_topsort.delivery import flush

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


def flush_on_shutdown(application: Application) -> Application:
    """Return Django's ASGI application, with what waits being sent when the server shuts down.

    ::

        application = flush_on_shutdown(get_asgi_application())

    It takes ``TOPSORT_SHUTDOWN_TIMEOUT`` seconds at most. Requests pass through untouched.
    """

    async def wrapped(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return wrapped


async def _live(receive: Receive, send: Send) -> None:
    await receive()  # lifespan.startup
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    await asyncio.to_thread(_flush)
    await send({"type": "lifespan.shutdown.complete"})


def _flush() -> None:
    try:
        flush(topsort_settings.TOPSORT_SHUTDOWN_TIMEOUT)
    except Exception:
        logger.exception("not flushed at shutdown")

"""The site under ASGI.

It sends what waits when the server shuts down: uvicorn ends by its signal, and what Python has
registered for its exit does not run. A file named by SITE_LEFT tells that a client was seen to
leave.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from django.core.asgi import get_asgi_application

from django_topsort.delivery import flush

django_application = get_asgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return

    async def receive_and_tell() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            Path(os.environ["SITE_LEFT"]).touch()
        return message

    await django_application(scope, receive_and_tell, send)


async def live(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.to_thread(flush, 3)
    await send({"type": "lifespan.shutdown.complete"})

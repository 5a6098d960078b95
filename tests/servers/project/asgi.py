"""The site under ASGI: sends what waits when the server shuts down, as the README says.

A file named by SITE_LEFT tells that a client was seen to leave.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.asgi import get_asgi_application

from django_topsort.asgi import flush_on_shutdown

django_application = get_asgi_application()


async def watched(scope: Any, receive: Any, send: Any) -> None:
    async def receive_and_tell() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            Path(os.environ["SITE_LEFT"]).touch()
        return message

    await django_application(scope, receive_and_tell, send)


application = flush_on_shutdown(watched)

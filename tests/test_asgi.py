"""What waits is sent when an ASGI server shuts down; tests/servers has the same with uvicorn."""

from __future__ import annotations

from typing import Any

from django.test import override_settings

from django_topsort.asgi import flush_on_shutdown
from django_topsort.events import Entity, Impression
from django_topsort.routing import get_backend
from django_topsort.testing import FakeApi
from django_topsort.tracking import record

THREAD = {"default": "django_topsort.backends.thread.EventBackend"}


async def run_lifespan(application: Any) -> list[str]:
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await application({"type": "lifespan"}, receive, send)
    return sent


# Django takes no part in the lifespan, so that it must not be called.
DJANGO: Any = None


async def test_what_waits_is_sent_at_shutdown() -> None:
    # An interval that does not pass: what arrives was flushed.
    settings = {"TOPSORT_BACKENDS": THREAD, "TOPSORT_FLUSH_INTERVAL": 600}
    with FakeApi() as api, override_settings(TOPSORT_API_URL=api.url, **settings):
        record(Impression(opaque_user_id="shopper", entity=Entity(id="p-1", type="product")))
        sent = await run_lifespan(flush_on_shutdown(DJANGO))
        assert len(api.impressions) == 1
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_shutdown_completes_when_the_flush_cannot(caplog: Any) -> None:
    with override_settings(TOPSORT_SHUTDOWN_TIMEOUT="soon", TOPSORT_BACKENDS=THREAD):
        get_backend()
        sent = await run_lifespan(flush_on_shutdown(DJANGO))
    assert sent[-1] == "lifespan.shutdown.complete"
    assert "not flushed at shutdown" in caplog.text


async def test_requests_pass_through() -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    receive: Any = "receive"
    send: Any = "send"
    await flush_on_shutdown(application)({"type": "http"}, receive, send)
    assert seen == [({"type": "http"}, "receive", "send")]

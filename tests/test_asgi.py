"""What waits is sent when an ASGI server shuts down; tests/servers has the same with real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_topsort import routing
from django_topsort.asgi import flush_on_shutdown
from django_topsort.backends.base import BaseEventBackend
from django_topsort.delivery import flush
from django_topsort.events import Entity, Impression
from django_topsort.routing import get_backend
from django_topsort.testing import FakeApi
from django_topsort.tracking import record

THREAD = {"default": "django_topsort.backends.thread.EventBackend"}
WHOLE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.fixture
def api(settings: Any, own_backends: None) -> Iterator[FakeApi]:
    """An API; what arrives was flushed, because the interval does not pass."""
    settings.TOPSORT_BACKENDS = THREAD
    settings.TOPSORT_FLUSH_INTERVAL = 600
    with FakeApi() as api:
        settings.TOPSORT_API_URL = api.url
        yield api
    routing.reopen_backends()


class Broken(BaseEventBackend):
    """A backend that cannot even end."""

    def close(self) -> None:
        raise ZeroDivisionError


def record_one() -> None:
    record(Impression(opaque_user_id="shopper", entity=Entity(id="p-1", type="product")))


async def run_lifespan(application: Any) -> list[str]:
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    try:
        await flush_on_shutdown(application)({"type": "lifespan"}, receive, send)
    except ZeroDivisionError:
        sent.append("raised")
    assert next(messages, None) is None
    return sent


async def play_django(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def listen_and_raise(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise NotImplementedError


async def return_at_once(scope: Any, receive: Any, send: Any) -> None:
    pass


async def leave_after_startup(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def record_at_shutdown(scope: Any, receive: Any, send: Any) -> None:
    await leave_after_startup(scope, receive, send)
    await receive()
    record_one()
    await send({"type": "lifespan.shutdown.complete"})


async def fail_to_shut_down(scope: Any, receive: Any, send: Any) -> None:
    await leave_after_startup(scope, receive, send)
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "no"})


async def leave_without_an_answer(scope: Any, receive: Any, send: Any) -> None:
    await leave_after_startup(scope, receive, send)
    await receive()


async def raise_at_shutdown(scope: Any, receive: Any, send: Any) -> None:
    await leave_after_startup(scope, receive, send)
    await receive()
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("application", "sent"),
    [
        (play_django, WHOLE),
        (listen_and_raise, WHOLE),
        (return_at_once, WHOLE),
        (leave_after_startup, WHOLE),
        (leave_without_an_answer, WHOLE),
        (fail_to_shut_down, ["lifespan.startup.complete", "lifespan.shutdown.failed"]),
        (raise_at_shutdown, ["lifespan.startup.complete", "raised"]),
    ],
)
async def test_what_waits_is_sent_at_shutdown_whatever_the_application_makes_of_it(
    api: FakeApi, application: Any, sent: list[str]
) -> None:
    record_one()

    assert await run_lifespan(application) == sent

    assert len(api.impressions) == 1


async def test_what_the_application_records_at_its_own_shutdown_is_sent(api: FakeApi) -> None:
    record_one()

    assert await run_lifespan(record_at_shutdown) == WHOLE

    assert len(api.impressions) == 2


async def test_application_that_cannot_start_says_so_itself(api: FakeApi) -> None:
    async def fail_to_start(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})
        await receive()  # so that all is heard

    assert await run_lifespan(fail_to_start) == ["lifespan.startup.failed"]


async def test_application_that_raises_while_it_serves_is_heard(api: FakeApi) -> None:
    async def raise_after_startup(scope: Any, receive: Any, send: Any) -> None:
        await leave_after_startup(scope, receive, send)
        raise ZeroDivisionError

    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(ZeroDivisionError):
        await flush_on_shutdown(raise_after_startup)({"type": "lifespan"}, receive, send)

    # It may go on serving, and what it then records is sent as ever.
    record_one()
    assert flush()
    assert sent == ["lifespan.startup.complete"]
    assert len(api.impressions) == 1


async def test_what_cannot_be_sent_at_shutdown_is_counted(
    api: FakeApi, settings: Any, drops: list[tuple[str, str, int]]
) -> None:
    settings.TOPSORT_SHUTDOWN_TIMEOUT = 0.1
    with api.hang():
        record_one()
        assert await run_lifespan(play_django) == WHOLE
        record_one()  # by a view, say, that is at work still

    assert drops == [("impressions", "shutdown", 1), ("impressions", "shutdown", 1)]


async def test_process_that_serves_again_reports_again(api: FakeApi) -> None:
    await run_lifespan(record_at_shutdown)

    await run_lifespan(record_at_shutdown)

    assert len(api.impressions) == 2


async def test_shutdown_completes_when_a_backend_cannot(settings: Any, caplog: Any) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"{__name__}.Broken"}
    get_backend()

    assert await run_lifespan(play_django) == WHOLE

    assert "close failed" in caplog.text
    routing.reopen_backends()


async def test_requests_pass_through() -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    receive: Any = "receive"
    send: Any = "send"
    await flush_on_shutdown(application)({"type": "http"}, receive, send)
    assert seen == [({"type": "http"}, "receive", "send")]

"""``manage.py topsort_send_test_event``: each answer, from a server on a free port, in words."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_topsort import __version__
from django_topsort.backends import locmem
from django_topsort.management.commands.topsort_send_test_event import Command
from django_topsort.testing import FakeApi

KEY = "TSE_the-key-of-these-tests"
ERROR = b'[{"errCode": "%s", "docUrl": "https://docs.example/e", "message": "not like this"}]'


@pytest.fixture(autouse=True)
def api(settings: Settings) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_API_KEY = KEY
        settings.TOPSORT_TIMEOUT = (2, 5)
        yield api


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("topsort_send_test_event", stdout=out, **options)
    return out.getvalue()


def fail(**options: Any) -> str:
    """Return how the command explains that the event has not arrived."""
    with pytest.raises(CommandError) as raised:
        run(**options)
    text = str(raised.value)
    assert raised.value.returncode == 1
    assert KEY not in text
    return text


def get_host(api: FakeApi) -> str:
    return api.url.removeprefix("http://")


def raise_error_with_key() -> NoReturn:
    raise LookupError(f"no vault for {KEY}")


# It arrives


def test_page_view_arrives(api: FakeApi) -> None:
    said = run()

    (event,) = api.events
    (request,) = api.requests
    assert event.kind == "pageviews"
    assert event["page"] == {"type": "other", "pageId": "/django-topsort-test-event"}
    assert request.headers["User-Agent"] == f"django-topsort/{__version__}"
    assert "Topsort took the page view (204: it has arrived)." in said
    assert event["id"] in said
    assert event["opaqueUserId"] in said
    assert f"{api.url}/v2/events" in said
    assert KEY not in said


def test_page_view_carries_the_user_id_that_was_given(api: FakeApi) -> None:
    said = run(user_id="shopper-1")

    assert [event["opaqueUserId"] for event in api.events] == ["shopper-1"]
    assert "shopper-1" in said


def test_page_view_does_not_go_through_the_backend(api: FakeApi) -> None:
    run()

    assert locmem.outbox == []


def test_kinds_whose_backend_reports_to_nobody_are_named(settings: Settings) -> None:
    backends = "django_topsort.backends"
    settings.TOPSORT_BACKENDS = {
        "default": f"{backends}.thread.EventBackend",
        "clicks": f"{backends}.dummy.EventBackend",
        "purchases": f"{backends}.console.EventBackend",
        "pageviews": f"{backends}.dummy.EventBackend",
    }

    said = run()

    assert said.count("That says nothing of the shop's own events.") == 2
    assert f"{backends}.dummy.EventBackend is for development and tests" in said
    assert "it takes the clicks, pageviews, and none of them reach Topsort" in said
    assert "it takes the purchases, and none of them reach Topsort" in said


def test_backends_that_post_are_not_spoken_of(settings: Settings) -> None:
    settings.TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}

    assert "the shop's own events" not in run()


def test_slash_at_the_end_of_the_url_does_no_harm(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_API_URL = f"{api.url}/"

    assert f"{api.url}/v2/events" in run()
    assert [request.path for request in api.requests] == ["/v2/events"]


def test_command_line_ends_with_0(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    Command().run_from_argv(["manage.py", "topsort_send_test_event", "--user-id", "shopper-1"])

    assert "it has arrived" in capsys.readouterr().out
    assert len(api.pageviews) == 1


def test_command_line_ends_with_1(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer(500)

    with pytest.raises(SystemExit) as raised:
        Command().run_from_argv(["manage.py", "topsort_send_test_event"])

    assert raised.value.code == 1
    assert "status 500" in capsys.readouterr().err


# Nothing is sent


@pytest.mark.parametrize("key", [KEY, ""])
def test_dry_run_prints_the_json_alone(key: str, api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = key

    said = run(dry_run=True, user_id="shopper-1")

    (event,) = json.loads(said)["pageviews"]
    assert event["opaqueUserId"] == "shopper-1"
    assert api.requests == []


def test_user_id_that_is_none_is_refused(api: FakeApi) -> None:
    assert "opaque_user_id: '' is not allowed" in fail(user_id="")
    assert api.requests == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOPSORT_API_KEY", "", "TOPSORT_API_KEY is empty; set it"),
        ("TOPSORT_API_KEY", "TSE_a b", "TOPSORT_API_KEY holds characters that no key has"),
        ("TOPSORT_API_KEY", "no.such.function", "it looks like a dotted path, but cannot be"),
        (
            "TOPSORT_API_KEY",
            raise_error_with_key,
            "TOPSORT_API_KEY: its function raised LookupError",
        ),
        ("TOPSORT_API_URL", "api.topsort.com", 'Write TOPSORT_API_URL = "https://api.topsort'),
        ("TOPSORT_API_URL", "http://api.topsort.com", "by http"),
        ("TOPSORT_API_URL", f"https://host/{KEY}", "after the host"),
        ("TOPSORT_TIMEOUT", "soon", "Write TOPSORT_TIMEOUT = (3.05, 10)"),
    ],
)
def test_setting_that_cannot_be_used_is_explained(
    name: str, value: object, said: str, api: FakeApi, settings: Settings
) -> None:
    setattr(settings, name, value)

    assert said in fail()
    assert api.requests == []


# An answer that is no success


def test_wrong_key_is_explained(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = "TSE_another-key"

    said = fail()

    assert "status 401" in said
    assert "the key in TOPSORT_API_KEY. It starts with TSE_, as a marketplace's key must" in said
    assert f"of another environment than {get_host(api)}" in said
    assert "TSE_another-key" not in said


def test_key_of_another_kind_is_explained(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = "advanced-key-of-these-tests"
    api.answer(403, b'{"error": "forbidden", "message": "advanced-key-of-these-tests is none"}')

    said = fail()

    assert "status 403" in said
    assert "It does not start with TSE_" in said
    assert "message   ******** is none" in said


@pytest.mark.parametrize("status", [400, 415, 422])
def test_refused_event_is_explained_with_what_the_answer_says(status: int, api: FakeApi) -> None:
    api.answer(status, ERROR % b"bad_request")

    said = fail()

    assert f"status {status}" in said
    assert "Topsort refused the page view" in said
    assert "errCode   bad_request" in said
    assert "message   not like this" in said
    assert "docUrl    https://docs.example/e" in said


@pytest.mark.parametrize("status", [404, 405, 410])
def test_wrong_url_is_explained(status: int, api: FakeApi) -> None:
    api.answer(status, b"<h1>Not Found</h1>")

    said = fail()

    assert f"status {status}" in said
    assert f"There is no Events API at {api.url}/v2/events." in said


@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirect_is_explained_and_not_followed(status: int, api: FakeApi) -> None:
    api.redirect(f"{api.url}/elsewhere", status)

    said = fail()

    assert f"status {status}" in said
    assert "Redirects are not followed" in said
    assert [request.path for request in api.requests] == ["/v2/events"]


def test_too_large_request_is_explained(api: FakeApi) -> None:
    api.answer(413)

    assert f"A proxy or firewall in front of {get_host(api)}" in fail()


@pytest.mark.parametrize(
    ("headers", "said"),
    [({"Retry-After": "30"}, "again in 30 seconds"), ({}, "again in a few minutes")],
)
def test_rate_limit_is_explained(headers: dict[str, str], said: str, api: FakeApi) -> None:
    api.answer(429, ERROR % b"rate_limited", headers)

    text = fail()

    assert "Topsort takes no more requests for now." in text
    assert said in text


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_failure_of_topsort_is_explained(status: int, api: FakeApi) -> None:
    api.answer(status, b"<html>")

    said = fail()

    assert f"status {status}" in said
    assert "Topsort cannot take events at the moment" in said


def test_page_in_place_of_an_answer_is_explained(api: FakeApi) -> None:
    api.answer(200, b"<html>Log in</html>", {"Content-Type": "text/html"})

    assert "a proxy or a login page may stand in between" in fail()


# No answer


def test_server_without_tls_is_explained(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_API_URL = api.url.replace("http:", "https:")

    said = fail()

    assert "there was no answer" in said
    assert f"No safe connection to {get_host(api)}" in said


def test_name_without_an_address_is_explained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # No name is sure to have no address, or to be looked up quickly, on whatever machine this runs.
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings.TOPSORT_API_URL = "https://api.topsort.invalid"

    assert "The name api.topsort.invalid has no address" in fail()


def test_refused_connection_is_explained(api: FakeApi) -> None:
    with api.refuse():
        said = fail()

    assert f"{get_host(api)} refuses the connection" in said


def test_connection_that_nobody_accepts_is_explained(settings: Settings) -> None:
    settings.TOPSORT_TIMEOUT = (0.2, 5)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # One more than it holds: the kernel drops the packets of those that come after.
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        settings.TOPSORT_API_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"

        said = fail()

    assert "within TOPSORT_TIMEOUT = (0.2, 5) (seconds)" in said
    assert "A firewall in between" in said


def test_server_that_never_answers_is_explained(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_TIMEOUT = 0.2

    with api.hang():
        said = fail()

    assert f"{get_host(api)} took the connection, but did not answer" in said
    assert "TOPSORT_TIMEOUT = 0.2" in said


@pytest.mark.parametrize("fault", ["reset", "close_without_answer"])
def test_connection_that_breaks_is_explained(fault: str, api: FakeApi) -> None:
    getattr(api, fault)()

    said = fail()

    assert f"The connection to {get_host(api)} broke off." in said
    assert "cause     ConnectionError" in said


def test_answer_that_comes_too_slowly_is_explained(api: FakeApi, settings: Settings) -> None:
    settings.TOPSORT_TIMEOUT = 0.2

    with api.drip(0.1):
        said = fail()

    assert f"{get_host(api)} took the connection, but did not answer" in said

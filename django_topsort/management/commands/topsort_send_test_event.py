"""``manage.py topsort_send_test_event``: whether a page view arrives, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from django_topsort.checks.addresses import find_url_problems
from django_topsort.checks.backends import check_backends_report
from django_topsort.checks.messages import hide_key
from django_topsort.checks.values import RULES, check_rule
from django_topsort.client import TopsortClient
from django_topsort.conf import topsort_settings
from django_topsort.events import Page, PageView
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    InvalidEvent,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    ServerUnavailable,
    TopsortConfigurationError,
)
from django_topsort.ids import build_id
from django_topsort.transport import EVENTS_PATH
from django_topsort.wire import build_request, encode_request

if TYPE_CHECKING:
    from argparse import ArgumentParser

PAGE_ID = "/django-topsort-test-event"

# What an answer means to this command, where it is not what it means to a shop's own events.
EXPLANATIONS: dict[type[ApiError], str] = {
    InvalidRequest: (
        "Topsort refused the page view. The key and the URL are right; what it says of the event"
        " follows. An event that this version builds is refused only where the API has changed:"
        " look for a newer django-topsort."
    ),
    PayloadTooLarge: (
        "The request is too large, although it holds a single page view. A proxy or firewall in"
        " front of {host} has set that limit: TOPSORT_API_URL should lead to Topsort directly."
    ),
}
# What to add where another try can help.
ADVICE: dict[type[ApiError], str] = {
    RateLimited: " Try again {later}.",
    ServerUnavailable: (
        " The settings are most likely right; try again {later}. In a shop the thread backend does"
        " so by itself."
    ),
}
MARKETPLACE_KEY = (
    "Topsort does not accept the key in TOPSORT_API_KEY. It starts with TSE_, as a marketplace's"
    " key must, but may be revoked, incomplete, or of another environment than {host} (sandbox,"
    " production). Copy the key anew from Topsort's dashboard."
)
OTHER_KEY = (
    "Topsort does not accept the key in TOPSORT_API_KEY. It does not start with TSE_, as a"
    " marketplace's key must; keys of other kinds cannot send events. Copy the Marketplace key from"
    " Topsort's dashboard."
)


class Command(BaseCommand):
    """Sends one organic page view, past the backends, and explains the answer."""

    help = "Sends one page view to Topsort and explains the answer in words."
    # A setting that a check refuses is explained here; it must not stop the command before that.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--user-id", default=None, help="the opaque user id of the event; default: a new one"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print the request's JSON and send nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            event = build_event(options["user_id"])
        except InvalidEvent as error:
            raise CommandError(str(error)) from None
        body = encode_request(build_request([event]))
        if options["dry_run"]:
            self.stdout.write(msgspec.json.format(body, indent=2).decode())
            return
        failure = send(body)
        if failure:
            raise CommandError(hide_key(failure))
        self.stdout.write(
            self.style.SUCCESS("Topsort took the page view (204: it has arrived).")
            + f"\n  id              {event.id}"
            + f"\n  opaqueUserId    {event.opaque_user_id}"
            + f"\n  sent to         {topsort_settings.TOPSORT_API_URL.rstrip('/')}{EVENTS_PATH}"
            + "\nKey, URL and connection are right. Topsort's logs keep every request in a sandbox,"
            + "\nbut only errors in production, where this one leaves no trace."
        )
        for message in check_backends_report(None):
            text = f"That says nothing of the shop's own events. {message.msg} {message.hint}"
            self.stdout.write(self.style.WARNING(text))


def build_event(opaque_user_id: str | None) -> PageView:
    """Return the page view to send; InvalidEvent for an id that Topsort does not take."""
    return PageView(
        page=Page(type="other", page_id=PAGE_ID),
        opaque_user_id=build_id() if opaque_user_id is None else opaque_user_id,
        device_type="desktop",
    )


def send(body: bytes) -> str:
    """Post ``body``; return why it did not arrive, and what to do, or an empty text."""
    problems = [
        *find_url_problems(needs_https=not settings.DEBUG),
        *check_rule("TOPSORT_TIMEOUT", RULES["TOPSORT_TIMEOUT"]),
    ]
    if errors := [message for message in problems if message.is_serious()]:
        return "\n".join(f"{message.msg} {message.hint}" for message in errors)
    try:
        key = topsort_settings.get_api_key()
    except TopsortConfigurationError as error:
        return f"{error}."
    try:
        client = TopsortClient(
            topsort_settings.TOPSORT_API_URL, key, topsort_settings.TOPSORT_TIMEOUT
        )
    except TopsortConfigurationError as error:
        return f"{error}."
    try:
        client.post_events(body)
    except ApiError as error:
        return explain(error, client.api_url, key).replace(key, "********")
    finally:
        client.close()
    return ""


def explain(error: ApiError, api_url: str, key: str) -> str:
    """Return what ``error`` means and what to do about it, with what the answer said."""
    url = f"{api_url}{EVENTS_PATH}"
    after = error.retry_after
    facts = {
        "host": urlsplit(api_url).netloc,
        "later": "in a few minutes" if after is None else f"in {after:.0f} seconds",
    }
    if isinstance(error, AuthenticationFailed):
        text = (MARKETPLACE_KEY if key.startswith("TSE_") else OTHER_KEY).format(**facts)
    elif type(error) in EXPLANATIONS:
        text = EXPLANATIONS[type(error)].format(**facts)
    else:
        text = error.explain(url, topsort_settings.TOPSORT_TIMEOUT)
        text += ADVICE.get(type(error), "").format(**facts)
    lines = [f"The page view has not arrived: {_summarize(error)}.", text]
    if error.err_code:
        lines.append(f"  errCode   {error.err_code}")
    if error.message:
        # Without an answer there is only what the machine itself said of it.
        lines.append(f"  {'message' if error.status else 'cause  '}   {error.message}")
    if error.doc_url:
        lines.append(f"  docUrl    {error.doc_url}")
    return "\n".join(lines)


def _summarize(error: ApiError) -> str:
    return f"status {error.status}" if error.status else "there was no answer"

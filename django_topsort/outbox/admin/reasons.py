"""Why rows are not delivered, in classes: what each is called and what is to be done about it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

GIVEN_UP = "given up by "  # followed by a name: what the admin writes into a row
UNREADABLE = "not readable: "  # what the relay does
UNREAD_ORDER = ": its order cannot be read"


class Reason(NamedTuple):
    """A class of reasons. ``condition``: which rows have it. ``advice``: a sentence."""

    title: Any
    condition: Q
    advice: Any


def _of_error(name: str, title: Any, advice: Any) -> tuple[str, Reason]:
    return name, Reason(title, Q(last_error__startswith=f"{name} "), advice)


_WAIT = _(
    "Nothing has to be done here: all waits, and is sent by itself when Topsort answers again."
    " If it lasts, look whether this machine reaches Topsort at all (manage.py"
    " topsort_send_test_event), and ask Topsort."
)
_ADDRESS = _(
    "Look at TOPSORT_API_URL and at what stands between here and Topsort (manage.py"
    " topsort_send_test_event explains the answer): all waits until then, and is not given up."
)
_REFUSED = _(
    "Open one and read what Topsort says. If the order is wrong, put it right and report it again"
    " (manage.py topsort_purchase ... --send); if not, export the rows and ask Topsort."
)

# By the name of the exception, with which the row's text begins.
REASONS: dict[str, Reason] = dict(
    (
        _of_error("InvalidRequest", _("refused by Topsort"), _REFUSED),
        _of_error("PayloadTooLarge", _("too large"), _REFUSED),
        _of_error(
            "AuthenticationFailed",
            _("the key is not accepted"),
            _(
                "Set TOPSORT_API_KEY to a valid key and restart the processes: all waits until"
                " then, and is not given up."
            ),
        ),
        _of_error("EndpointNotFound", _("no API at that address"), _ADDRESS),
        _of_error("RedirectRefused", _("redirected"), _ADDRESS),
        _of_error("TlsFailed", _("no safe connection"), _ADDRESS),
        _of_error(
            "EverythingRefused",
            _("Topsort refuses everything"),
            _(
                "Ask Topsort, with what one of the rows says: it is not these events that are at"
                " fault. All waits until then, and is not given up."
            ),
        ),
        _of_error(
            "RateLimited",
            _("too many requests"),
            _(
                "Nothing has to be done here: it is sent as fast as Topsort allows. If it happens"
                " often, ask Topsort for a higher limit."
            ),
        ),
        _of_error("ServerUnavailable", _("Topsort is not available"), _WAIT),
        _of_error("UnexpectedAnswer", _("an answer of somebody else"), _ADDRESS),
        _of_error("NoAnswer", _("no answer"), _WAIT),
        (
            "unreadable",
            Reason(
                _("the row cannot be read"),
                Q(last_error__startswith=UNREADABLE),
                _(
                    "What is stored is no event to this version: report the order again (manage.py"
                    " topsort_purchase ... --send)."
                ),
            ),
        ),
        (
            "order",
            Reason(
                _("the order cannot be read"),
                Q(last_error__endswith=UNREAD_ORDER),
                _("Look at the order: manage.py topsort_purchase names what raises."),
            ),
        ),
        (
            "person",
            Reason(
                _("given up by a person"),
                Q(last_error__startswith=GIVEN_UP),
                _("Nothing has to be done: somebody has decided it. It can be sent again."),
            ),
        ),
    )
)


def classify(text: str) -> str:
    """Return the key in ``REASONS`` of what a row says; empty for nothing, and for what is new."""
    if text.endswith(UNREAD_ORDER):
        return "order"
    if text.startswith(GIVEN_UP):
        return "person"
    if text.startswith(UNREADABLE):
        return "unreadable"
    name = text.partition(" ")[0]
    return name if name in REASONS else ""

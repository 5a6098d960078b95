"""Receivers of the signals that shops send."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in
from django.db.models import Model

from django_topsort.loading import loading
from django_topsort.offloop import is_on_loop, run_off_loop
from django_topsort.signals import click, impression, order_paid, order_placed, pageview
from django_topsort.tracking import track_click, track_impression, track_pageview, track_purchase

if TYPE_CHECKING:
    from django.dispatch import Signal
    from django.http import HttpRequest

logger = logging.getLogger(__name__)


def handle_impression(
    sender: object, signal: Signal, request: HttpRequest | None = None, **fields: Any
) -> None:
    """Report what ``impression.send()`` says, as ``track_impression`` does."""
    track_impression(request, **fields)  # type: ignore[arg-type]  # None is refused there


def handle_click(
    sender: object, signal: Signal, request: HttpRequest | None = None, **fields: Any
) -> None:
    """Report what ``click.send()`` says, as ``track_click`` does."""
    track_click(request, **fields)  # type: ignore[arg-type]  # None is refused there


def handle_pageview(
    sender: object, signal: Signal, request: HttpRequest | None = None, **fields: Any
) -> None:
    """Report what ``pageview.send()`` says, as ``track_pageview`` does."""
    track_pageview(request, **fields)  # type: ignore[arg-type]  # None is refused there


def handle_order_placed(
    sender: object, order: Any = None, request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Remember who is placing the order that ``order_placed.send()`` names."""
    with loading.lock:  # with the first order
        from django_topsort.orders import remember_shopper

    remember = partial(remember_shopper, request, get_order(sender, order, kwargs))
    if not is_on_loop():
        remember()
    elif not run_off_loop(remember):
        fields = {"event": "shopper_not_remembered", "reason": "overflow"}
        logger.warning("shopper not remembered reason=overflow", extra={"topsort": fields})


def handle_order_paid(
    sender: object,
    order: Any = None,
    request: HttpRequest | None = None,
    opaque_user_id: str | None = None,
    **kwargs: Any,
) -> None:
    """Report the order that ``order_paid.send()`` names, when its transaction commits."""
    track_purchase(get_order(sender, order, kwargs), request, opaque_user_id=opaque_user_id)


def handle_user_logged_in(
    sender: object, request: HttpRequest | None = None, user: Any = None, **kwargs: Any
) -> None:
    """Report that the guest of the request is ``user``, where ``TOPSORT_LINK_USERS`` says so."""
    with loading.lock:  # with the first login
        from django_topsort.logins import link_user

    link_user(request, user)


def get_order(sender: object, order: Any, kwargs: dict[str, Any]) -> Any:
    """Return the order: shops' own signals call it ``instance``, or send it as the sender."""
    if order is not None:
        return order
    instance = kwargs.get("instance")
    if instance is not None:
        return instance
    return sender if isinstance(sender, Model) else None


def connect() -> None:
    """Connect the receivers; once, however often it is called."""
    for signal, receiver in (
        (impression, handle_impression),
        (click, handle_click),
        (pageview, handle_pageview),
        (order_placed, handle_order_placed),
        (order_paid, handle_order_paid),
        (user_logged_in, handle_user_logged_in),
    ):
        signal.connect(receiver, dispatch_uid=f"django_topsort.{receiver.__name__}")

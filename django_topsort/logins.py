"""Guests who log in: that the id that they brought and the customer's are one shopper's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django_topsort.accounts import accounts
from django_topsort.backends.userlinks import LinkReporter
from django_topsort.conf import topsort_settings
from django_topsort.delivery import log_safely
from django_topsort.exceptions import InvalidEvent
from django_topsort.routing import get_memory_backend
from django_topsort.shoppers import get_brought_id, get_shopper, has_consent
from django_topsort.userlinks import UserLink, claim_link

if TYPE_CHECKING:
    from django.http import HttpRequest


def link_user(request: HttpRequest | None, user: Any) -> None:
    """Report, once and in the background, who the guest is who has just logged in as ``user``.

    Only while ``TOPSORT_LINK_USERS`` holds, and of a client that brought the cookie or our header.
    Not without consent; nor of staff, who log in where shoppers were. Never raises.
    """
    if topsort_settings.TOPSORT_LINK_USERS is not True or request is None:
        return
    try:
        link = _find_link(request, user)
    except Exception as error:
        accounts.count_link("recorded")
        accounts.count_link("dropped", "invalid")
        # Of a wrong id not the traceback, which would show it.
        shown = None if isinstance(error, InvalidEvent) else error
        said, name = "link of users left out reason=invalid error=%s", type(error).__name__
        log_safely(logging.ERROR, ("links", "invalid"), said, name, error=shown)
        return
    if link is None or not _is_new(link):
        return
    accounts.count_link("recorded")
    try:
        get_memory_backend().link_users(link)
    except Exception as error:
        LinkReporter().dropped([link], "backend_error")
        log_safely(
            logging.ERROR, ("links", "backend"), "link of users not handed over", error=error
        )


def _find_link(request: HttpRequest, user: Any) -> UserLink | None:
    guest = get_brought_id(request)
    if (
        guest is None
        or not is_uuid(guest)
        or getattr(user, "is_staff", False)
        or not has_consent(request)
    ):
        return None
    shopper = get_shopper(request)
    if shopper.source != "hook" or shopper.opaque_user_id == guest:
        return None
    return UserLink(guest, shopper.opaque_user_id)


def is_uuid(guest: str) -> bool:
    """Whether ``guest`` is an id as guests get it: a client may bring any other person's."""
    try:
        UUID(guest)
    except ValueError:
        return False
    return True


def _is_new(link: UserLink) -> bool:
    try:
        return claim_link(link)
    except Exception as error:  # a cache that does not answer: better twice than never
        log_safely(logging.WARNING, ("links", "cache"), "link of users not claimed", error=error)
        return True

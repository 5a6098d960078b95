"""Saying what became of links of users: in the accounts, and in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from django_topsort.accounts import accounts
from django_topsort.logs import describe_error, explain_error
from django_topsort.reporting import log_limit
from django_topsort.userlinks import release_link

if TYPE_CHECKING:
    from django_topsort.exceptions import ApiError
    from django_topsort.userlinks import UserLink

# What is no surprise: said by the answer, once, or wanted.
QUIET = frozenset({"no_access", "disabled"})


class LinkReporter:
    """Says what became of links, with counts and reasons and without ids. Never raises."""

    def delivered(self, link: UserLink) -> None:
        """Say that Topsort has taken ``link``."""
        accounts.count_link("delivered")

    def rejected(self, link: UserLink, error: ApiError) -> None:
        """Say that Topsort has refused ``link``, and why."""
        accounts.count_link("rejected")
        _log(logging.WARNING, "rejected", "link of users rejected error=%s", describe_error(error))

    def dropped(self, links: Sequence[UserLink], reason: str) -> None:
        """Say that ``links`` are given up, and why; the next logins may report them."""
        for link in links:
            accounts.count_link("dropped", reason)
            try:
                release_link(link)
            except Exception as error:  # a cache that does not answer
                name = type(error).__name__
                _log(logging.WARNING, "release", "link of users not released error=%s", name)
        if reason not in QUIET:
            said = "links of users dropped reason=%s count=%s"
            _log(logging.WARNING, reason, said, reason, len(links))

    def failed(self, error: ApiError, count: int) -> None:
        """Say that a request failed, and that ``count`` links wait for another."""
        said = "link of users not sent yet waiting=%s error=%s %s (%s)"
        name = type(error).__name__
        _log(logging.WARNING, name, said, count, name, describe_error(error), explain_error(error))

    def barred(self, error: ApiError) -> None:
        """Say that the account has no access."""
        said = (
            "links of users refused reason=no_access error=%s; Topsort gives access to them on"
            " request: ask for it, or set TOPSORT_LINK_USERS = False. Events are not concerned."
        )
        _log(logging.ERROR, "no_access", said, describe_error(error))


def _log(level: int, key: str, message: str, *values: object) -> None:
    with suppress(Exception):  # the project's log handler may raise
        log_limit.log(level, ("links", key), message, *values)

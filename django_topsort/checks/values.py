"""Checks of the settings that hold a number, a choice, a switch or a text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from django_topsort.backends import filebased
from django_topsort.checks.backends import get_classes
from django_topsort.checks.messages import build_error, build_warning, show
from django_topsort.conf import RELAYS, SETTINGS, topsort_settings
from django_topsort.fields import CHANNELS, MAX_INTEGER
from django_topsort.wire import CATEGORY_FIELDS

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

DAY = 24 * 60 * 60
LONGEST = 3650 * DAY
MAX_CONNECTIONS = 64
HOST = re.compile(r"[^\s/*@?#.,;][^\s/*@?#,;]*")
DOMAIN = re.compile(r"\.?[^\s/*@?#.,;:][^\s/*@?#,;:]*")


class Rule(NamedTuple):
    """What a setting may hold: ``accepts`` decides, ``says`` puts it into words."""

    id: str
    accepts: Callable[[Any], bool]
    says: str


def is_seconds(value: object) -> bool:
    """Whether ``value`` is a number from 0 to a day's seconds, which no socket or lock refuses."""
    return type(value) in (int, float) and 0 <= value <= DAY  # type: ignore[operator]


def is_duration(value: object) -> bool:
    """Whether ``value`` is a number from 0 to ten years' seconds, which a date can be off by."""
    return type(value) in (int, float) and 0 <= value <= LONGEST  # type: ignore[operator]


def is_lease(value: object) -> bool:
    """Whether ``value`` is a number of seconds in which a request can be made, and of an hour."""
    return type(value) in (int, float) and 5 <= value <= 3600  # type: ignore[operator]


def is_count(value: object) -> bool:
    """Whether ``value`` is a whole number from 1 on."""
    return type(value) is int and 1 <= value <= MAX_INTEGER


def is_connections(value: object) -> bool:
    """Whether ``value`` is a number of threads that a process can well have."""
    return type(value) is int and 1 <= value <= MAX_CONNECTIONS


def is_timeout(value: object) -> bool:
    """Whether ``value`` is what TopsortClient takes: seconds above 0, or a pair of them."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    return len(pair) == 2 and all(is_seconds(part) and part > 0 for part in pair)


def is_switch(value: object) -> bool:
    """Whether ``value`` is True, False or None."""
    return value is None or isinstance(value, bool)


def is_host_list(value: object) -> bool:
    """Whether ``value`` lists hosts, as ``ALLOWED_HOSTS`` does but without wildcards."""
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(host, str) and HOST.fullmatch(host) for host in value
    )


def is_currency(value: object) -> bool:
    """Whether ``value`` is None or has the form of an ISO 4217 code."""
    return value is None or (
        isinstance(value, str) and re.fullmatch("[A-Za-z]{3}", value) is not None
    )


def is_domain(value: object) -> bool:
    """Whether ``value`` is None or can be a cookie's domain."""
    return value is None or (isinstance(value, str) and DOMAIN.fullmatch(value) is not None)


COUNT = "it must be a whole number of 1 or more"
SECONDS = "it must be a number of seconds, from 0 to a day's 86400"
LONG_SECONDS = f"it must be a number of seconds, from 0 to {LONGEST} (ten years)"
WHOLE_SECONDS = "it must be a whole number of seconds, 1 or more"
SWITCH = "it must be True, False or None"

RULES = {
    "TOPSORT_TIMEOUT": Rule(
        "E020",
        is_timeout,
        "it must be one or two numbers of seconds above 0: to connect, and for an answer",
    ),
    "TOPSORT_QUEUE_SIZE": Rule("E021", is_count, COUNT),
    "TOPSORT_QUEUE_BYTES": Rule("E022", is_count, COUNT),
    "TOPSORT_FLUSH_INTERVAL": Rule("E023", is_seconds, SECONDS),
    "TOPSORT_CONNECTIONS": Rule(
        "E024",
        is_connections,
        f"it must be a whole number from 1 to {MAX_CONNECTIONS}; each is a thread of its own",
    ),
    "TOPSORT_SHUTDOWN_TIMEOUT": Rule("E025", is_seconds, SECONDS),
    "TOPSORT_OUTBOX_RELAY": Rule(
        "E043",
        lambda value: isinstance(value, bool) or (isinstance(value, str) and value in RELAYS),
        f"it must be True or False, or one of {', '.join(map(repr, RELAYS))}",
    ),
    "TOPSORT_OUTBOX_SWEEP_INTERVAL": Rule("E044", is_seconds, SECONDS),
    "TOPSORT_OUTBOX_LEASE": Rule(
        "E045", is_lease, "it must be a number of seconds, from 5 to 3600; requests must fit in"
    ),
    "TOPSORT_OUTBOX_MAX_AGE": Rule("E046", is_duration, LONG_SECONDS),
    "TOPSORT_OUTBOX_KEEP_DELIVERED": Rule("E047", is_duration, LONG_SECONDS),
    "TOPSORT_OUTBOX_KEEP_FAILED": Rule("E048", is_duration, LONG_SECONDS),
    "TOPSORT_OUTBOX_KEEP_SHOPPERS": Rule("E049", is_duration, LONG_SECONDS),
    "TOPSORT_ENGINE_QUEUE": Rule(
        "E063",
        lambda value: value is None or (isinstance(value, str) and bool(value.strip())),
        "it must be the name of a queue",
    ),
    "TOPSORT_ENGINE_MAX_AGE": Rule("E064", is_duration, LONG_SECONDS),
    "TOPSORT_TASKS_BACKEND": Rule(
        "E068",
        lambda value: isinstance(value, str) and bool(value),
        "it must be an alias that TASKS has",
    ),
    "TOPSORT_FILE_PATH": Rule(
        "E026",
        lambda value: value is None or isinstance(value, str | os.PathLike),
        "it must be the path of a file",
    ),
    "TOPSORT_CURRENCY": Rule(
        "E027", is_currency, "it must be the three letters of a currency, such as EUR"
    ),
    "TOPSORT_CHANNEL": Rule(
        "E028",
        lambda value: isinstance(value, str) and value in CHANNELS,
        f"it must be one of {', '.join(CHANNELS)}",
    ),
    "TOPSORT_CATEGORY_FIELD": Rule(
        "E029",
        lambda value: isinstance(value, str) and value in CATEGORY_FIELDS,
        f"it must be one of {', '.join(CATEGORY_FIELDS)}",
    ),
    "TOPSORT_STRICT": Rule("E030", is_switch, SWITCH),
    "TOPSORT_CLICK_MAX_AGE": Rule("E031", is_count, WHOLE_SECONDS),
    "TOPSORT_CLICK_WINDOW": Rule("E032", is_count, WHOLE_SECONDS),
    "TOPSORT_CLICK_HOSTS": Rule(
        "E033",
        is_host_list,
        'it must be a list of hosts, without scheme, path and wildcard, such as ["m.shop.example"]',
    ),
    "TOPSORT_LINK_USERS": Rule(
        "E050", lambda value: isinstance(value, bool), "it must be True or False"
    ),
    "TOPSORT_COOKIE_AGE": Rule("E034", is_count, WHOLE_SECONDS),
    "TOPSORT_COOKIE_SECURE": Rule("E035", is_switch, SWITCH),
    "TOPSORT_COOKIE_HTTPONLY": Rule(
        "E036", lambda value: isinstance(value, bool), "it must be True or False"
    ),
    "TOPSORT_COOKIE_DOMAIN": Rule(
        "E037", is_domain, "it must be a domain without scheme, port and path, or None"
    ),
}


def check_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require of each plain setting its type, range or choices."""
    return [message for name, rule in RULES.items() for message in check_rule(name, rule)]


def check_rule(name: str, rule: Rule) -> list[CheckMessage]:
    """Return what is wrong with the value of the setting ``name``, by ``rule``."""
    value = getattr(topsort_settings, name)
    if rule.accepts(value):
        return []
    return [
        build_error(
            rule.id,
            f"{name}: {show(value)} is not allowed, {rule.says}.",
            f"Write {name} = {SETTINGS[name].default!r}, or leave it out: that is the default.",
        )
    ]


def check_file_path(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require that the filebased backend, where it is in use, can write to its file."""
    path: object = topsort_settings.TOPSORT_FILE_PATH
    is_used = any(one and issubclass(one, filebased.EventBackend) for one in get_classes())
    if not is_used or not path or not RULES["TOPSORT_FILE_PATH"].accepts(path):
        # That none is set the backend says itself, and check_values() what is no path.
        return []
    try:
        file = Path(path)  # type: ignore[arg-type]  # it is a path, as the rule has it
        folder = file.parent
        if not folder.is_dir():
            what, hint = "its folder does not exist", f"Make the folder {show(str(folder))}"
        elif file.is_dir():
            what, hint = "it is a folder", "Write the path of a file"
        elif not os.access(file if file.exists() else folder, os.W_OK):
            what, hint = "it cannot be written", "Let this user write there"
        else:
            return []
    except Exception as error:
        # A path with a null byte, or of a class whose own code fails.
        what, hint = f"it is no path here ({show(error)})", "Write the path of a file"
    text = f"TOPSORT_FILE_PATH: {show(path)} cannot take events, {what}."
    hint = f"{hint}, or set TOPSORT_FILE_PATH to a file that the process may append to."
    return [build_error("E041", text, hint)]


def check_strict(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn when a wrong event would break a page for a shopper."""
    if topsort_settings.TOPSORT_STRICT is not True:
        return []
    text = "TOPSORT_STRICT is True: a wrong event breaks the page on which it happens."
    hint = "Leave TOPSORT_STRICT out, so that it follows DEBUG; a wrong event is then logged."
    return [build_warning("W010", text, hint)]


def check_link_users(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn where users are to be linked, and none has an id but the cookie's."""
    if topsort_settings.TOPSORT_LINK_USERS is not True or topsort_settings.TOPSORT_USER_ID:
        return []
    text = "TOPSORT_LINK_USERS is True, but without TOPSORT_USER_ID there is nothing to link."
    hint = (
        "Name a function in TOPSORT_USER_ID that returns the id of a customer who is logged in, or"
        " leave TOPSORT_LINK_USERS out: a shopper who keeps the cookie's id needs no link."
    )
    return [build_warning("W016", text, hint)]

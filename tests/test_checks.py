"""The system checks, as ``manage.py check`` and ``manage.py check --deploy`` run them."""

from __future__ import annotations

import os
import re
from collections import UserDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.http import HttpRequest
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from pytest_django import Settings

from django_topsort import conf, routing, tracking
from django_topsort.backends import locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import SETTINGS
from django_topsort.middleware import TopsortMiddleware
from django_topsort.purchases.reader import OrderReader
from tests.shop.models import Product

PACKAGE = Path(conf.__file__).resolve().parent
KEY = "TSE_the-key-of-these-tests"
THREAD = "django_topsort.backends.thread.EventBackend"
OUTBOX = "django_topsort.outbox.backend.EventBackend"
LOCMEM = "django_topsort.backends.locmem.EventBackend"
OURS = "django_topsort.middleware.TopsortMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
SENDING = {"TOPSORT_BACKENDS": {"default": THREAD}}
TO_A_FILE = {"TOPSORT_BACKENDS": {"default": "django_topsort.backends.filebased.EventBackend"}}
HERE = __name__


# What the settings of the tests name.


async def answer_later(*args: object) -> None: ...


class AsyncReader:
    async def __call__(self, order: object) -> None: ...


fail_to_return_a_key = partial(pytest.fail, "a check called the function that returns the key")


class NoReader:
    """A class that can be called, and whose instances cannot."""


class Reader(OrderReader):
    """Calls an order what the package's own reader does."""


class NoBackend:
    production = False


class UnmadeBackend(BaseEventBackend):
    def __init__(self) -> None:
        raise OSError("a disk is missing")


class ForgetfulBackend(BaseEventBackend):
    def check(self) -> list[CheckMessage]:
        return None  # type: ignore[return-value]  # the mistake that is tested


class OurSubclass(TopsortMiddleware):
    pass


def give_key(request: HttpRequest) -> dict[str, object]:
    return {"topsort": {"widgets": [{"key": f"Bearer {KEY}"}]}}


def give_key_to_guests(request: HttpRequest) -> dict[str, object]:
    assert request.user.is_anonymous
    assert not request.session
    return {"address": f"https://{request.get_host()}/{KEY}"}


def give_settings(request: HttpRequest) -> dict[str, object]:
    return {"settings": django_settings}


def give_no_key(request: HttpRequest) -> dict[str, object]:
    user = SimpleLazyObject(partial(pytest.fail, "a check evaluated a lazy object"))
    return {"user": user, "count": 3, "object": SimpleNamespace(key=KEY)}


def report_a_visit(request: HttpRequest) -> dict[str, object]:
    tracking.track_pageview(request)
    return {}


def break_down(request: HttpRequest) -> dict[str, object]:
    raise KeyError(KEY)


def build_templates(*processors: object) -> dict[str, Any]:
    options = {"context_processors": list(processors)}
    backend = "django.template.backends.django.DjangoTemplates"
    return {"TEMPLATES": [{"BACKEND": backend, "OPTIONS": options}]}


ALONE = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture(autouse=True)
def _shared_cache(settings: Settings, tmp_path: Path) -> None:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path / "cache")}}


def run(*, deploy: bool = False) -> list[CheckMessage]:
    """Return what Django's registry says of us."""
    messages = checks.run_checks(tags=["topsort"], include_deployment_checks=deploy)
    return sorted(messages, key=lambda message: (str(message.id), message.msg))


def set_all(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


def get_ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("django_topsort.") for message in messages]


# One case for each id: the settings, what is said of them, and what the hint says to write.
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("E001", {**SENDING, "TOPSORT_API_KEY": ""}, "is not set", "Set TOPSORT_API_KEY to"),
    ("W011", {**SENDING, "TOPSORT_API_KEY": ""}, "is not set", "console.EventBackend"),
    ("E002", {"TOPSORT_API_KEY": [KEY]}, "of type list", "Set TOPSORT_API_KEY to"),
    ("E003", {"TOPSORT_API_KEY": f"{KEY}\n"}, "line ends", "strip() it"),
    ("W001", {"TOPSORT_API_KEY": "sk-another"}, "does not start with TSE_", "starts with TSE_"),
    ("W002", {"FRONTEND": {"token": KEY}}, "FRONTEND holds", "take it out of FRONTEND"),
    (
        "W003",
        build_templates(f"{HERE}.give_key"),
        f"{HERE}.give_key gives",
        f"Take it out of what {HERE}.give_key returns",
    ),
    (
        "W004",
        {"TOPSORT_API_URL": "https://api.topsort.com/"},
        "ends with a slash",
        'TOPSORT_API_URL = "https://api.topsort.com"',
    ),
    ("E005", {"TOPSORT_API_URL": "api.topsort.com"}, "it must be https://", "https://api.topsort"),
    (
        "E006",
        {**SENDING, "TOPSORT_API_URL": "http://api.topsort.com"},
        "by http",
        'TOPSORT_API_URL = "https://api.topsort.com"',
    ),
    (
        "E007",
        {"TOPSORT_API_URL": "https://user:secret@api.topsort.com"},
        "password",
        'TOPSORT_API_URL = "https://api.topsort.com"',
    ),
    (
        "E008",
        {"TOPSORT_API_URL": "https://api.topsort.com:8443/v2/events"},
        "'/v2/events'",
        'TOPSORT_API_URL = "https://api.topsort.com:8443"',
    ),
    ("E009", {"TOPSORT_BACKENDS": LOCMEM}, "must be a dict", '{"default": "django_topsort'),
    (
        "E010",
        {"TOPSORT_BACKENDS": {"default": LOCMEM, "purchase": LOCMEM}},
        "'purchase'",
        "Did you mean purchases?",
    ),
    (
        "E011",
        {"TOPSORT_BACKENDS": {"clicks": LOCMEM}},
        "impressions, purchases, pageviews",
        '{"default": "django_topsort',
    ),
    (
        "E012",
        {"TOPSORT_BACKENDS": {"default": "django_topsort.backends.filebased.EventBackend"}},
        "no file",
        "Set TOPSORT_FILE_PATH",
    ),
    ("E013", {"TOPSORT_BACKENDS": {"default": "no.Backend"}}, "'no.Backend'", "the dotted path of"),
    (
        "E014",
        {"TOPSORT_BACKENDS": {"default": f"{HERE}.NoBackend"}},
        "no event backend",
        "Name a subclass of django_topsort.backends.base.BaseEventBackend",
    ),
    (
        "E015",
        {"TOPSORT_BACKENDS": {"default": f"{HERE}.UnmadeBackend"}},
        "a disk is missing",
        "work without its settings",
    ),
    ("W005", {}, "for development and tests", '{"default": "django_topsort.backends.thread'),
    ("E016", {"TOPSORT_CONSENT": "no.consent"}, "No module named 'no'", "Write TOPSORT_CONSENT ="),
    ("E017", {"TOPSORT_CONSENT": f"{HERE}.answer_later"}, "async", "def in place of async def"),
    ("W006", {"MIDDLEWARE": [COMMON]}, "is missing", f'Put "{OURS}" first'),
    ("W007", {"MIDDLEWARE": [COMMON, OURS]}, f"behind {COMMON}", f'Put "{OURS}" first'),
    ("W008", {"MIDDLEWARE": [OURS, COMMON, OURS]}, "more than once", "first place only"),
    (
        "W009",
        {"TOPSORT_APIKEY": "TSE_another"},
        "TOPSORT_APIKEY is no",
        "Did you mean TOPSORT_API_KEY?",
    ),
    ("W010", {"TOPSORT_STRICT": True}, "breaks the page", "Leave TOPSORT_STRICT out"),
    ("E018", {"TOPSORT_COOKIE_NAME": "ts uid"}, "'ts uid'", 'TOPSORT_COOKIE_NAME = "tsuid"'),
    (
        "E019",
        {"TOPSORT_COOKIE_NAME": "sessionid"},
        "SESSION_COOKIE_NAME, too",
        'TOPSORT_COOKIE_NAME = "tsuid"',
    ),
    ("E020", {"TOPSORT_TIMEOUT": (3, 0)}, "(3, 0)", "TOPSORT_TIMEOUT = (3.05, 10)"),
    ("E021", {"TOPSORT_QUEUE_SIZE": 0}, "1 or more", "TOPSORT_QUEUE_SIZE = 50000"),
    ("E022", {"TOPSORT_QUEUE_BYTES": "32 MiB"}, "1 or more", "TOPSORT_QUEUE_BYTES = 33554432"),
    ("E023", {"TOPSORT_FLUSH_INTERVAL": -1}, "seconds", "TOPSORT_FLUSH_INTERVAL = 0.5"),
    ("E024", {"TOPSORT_CONNECTIONS": 65}, "from 1 to 64; each is a", "TOPSORT_CONNECTIONS = 32"),
    ("E025", {"TOPSORT_SHUTDOWN_TIMEOUT": None}, "seconds", "TOPSORT_SHUTDOWN_TIMEOUT = 5.0"),
    ("E026", {"TOPSORT_FILE_PATH": 1}, "the path of a file", "TOPSORT_FILE_PATH = None"),
    ("E027", {"TOPSORT_CURRENCY": "€"}, "three letters", "TOPSORT_CURRENCY = None"),
    ("E028", {"TOPSORT_CHANNEL": "web"}, "onsite, offsite, instore", "TOPSORT_CHANNEL = 'onsite'"),
    (
        "E029",
        {"TOPSORT_CATEGORY_FIELD": "category"},
        "categoryIds, categoryId",
        "TOPSORT_CATEGORY_FIELD = 'categoryIds'",
    ),
    ("E030", {"TOPSORT_STRICT": "yes"}, "True, False or None", "TOPSORT_STRICT = None"),
    ("E031", {"TOPSORT_CLICK_MAX_AGE": 0}, "1 or more", "TOPSORT_CLICK_MAX_AGE = 604800"),
    ("E032", {"TOPSORT_CLICK_WINDOW": True}, "1 or more", "TOPSORT_CLICK_WINDOW = 1800"),
    ("E033", {"TOPSORT_CLICK_HOSTS": "m.example"}, "a list of hosts", "TOPSORT_CLICK_HOSTS = ()"),
    ("E034", {"TOPSORT_COOKIE_AGE": 2**40}, "1 or more", "TOPSORT_COOKIE_AGE = 31536000"),
    ("E035", {"TOPSORT_COOKIE_SECURE": 1}, "True, False or None", "TOPSORT_COOKIE_SECURE = None"),
    ("E036", {"TOPSORT_COOKIE_HTTPONLY": None}, "True or False", "TOPSORT_COOKIE_HTTPONLY = False"),
    ("E037", {"TOPSORT_COOKIE_DOMAIN": "https://a.b"}, "a domain", "TOPSORT_COOKIE_DOMAIN = None"),
    ("E038", {"TOPSORT_COOKIE_SAMESITE": None}, '"None"', 'TOPSORT_COOKIE_SAMESITE = "Lax"'),
    (
        "E039",
        {"TOPSORT_COOKIE_SAMESITE": "None"},
        "without Secure",
        "TOPSORT_COOKIE_SECURE = True",
    ),
    (
        "E040",
        {"TOPSORT_ORDER_READER": f"{HERE}.NoReader"},
        f"'{HERE}.NoReader' is a class that reads no order",
        "has __call__(self, order): write a subclass of django_topsort.purchases.reader",
    ),
    (
        "E041",
        {**TO_A_FILE, "TOPSORT_FILE_PATH": "/no/such/folder/events.jsonl"},
        "its folder does not exist",
        "Make the folder '/no/such/folder'",
    ),
    (
        "E042",
        {"INSTALLED_APPS": ["django_topsort"], "TOPSORT_BACKENDS": {"default": OUTBOX}},
        "whose app is not installed",
        "Add 'django_topsort.outbox' to INSTALLED_APPS",
    ),
    ("E043", {"TOPSORT_OUTBOX_RELAY": None}, "True or False", "TOPSORT_OUTBOX_RELAY = True"),
    ("E044", {"TOPSORT_OUTBOX_SWEEP_INTERVAL": -1}, "seconds", "SWEEP_INTERVAL = 60.0"),
    ("E045", {"TOPSORT_OUTBOX_LEASE": 1}, "from 5 to 3600", "TOPSORT_OUTBOX_LEASE = 60.0"),
    ("E046", {"TOPSORT_OUTBOX_MAX_AGE": "7 days"}, "seconds", "OUTBOX_MAX_AGE = 604800.0"),
    ("E063", {"TOPSORT_ENGINE_QUEUE": ""}, "name of a queue", "TOPSORT_ENGINE_QUEUE = None"),
    ("E064", {"TOPSORT_ENGINE_MAX_AGE": "1 day"}, "seconds", "ENGINE_MAX_AGE = 86400.0"),
    ("E068", {"TOPSORT_TASKS_BACKEND": None}, "alias", "TOPSORT_TASKS_BACKEND = 'default'"),
    ("E047", {"TOPSORT_OUTBOX_KEEP_DELIVERED": None}, "seconds", "KEEP_DELIVERED = 259200.0"),
    ("E048", {"TOPSORT_OUTBOX_KEEP_FAILED": 1e12}, "ten years", "KEEP_FAILED = 7776000.0"),
    ("E049", {"TOPSORT_OUTBOX_KEEP_SHOPPERS": "90"}, "ten years", "KEEP_SHOPPERS = 7776000.0"),
    ("E050", {"TOPSORT_LINK_USERS": "yes"}, "True or False", "TOPSORT_LINK_USERS = False"),
    ("E051", {"TOPSORT_BROWSER_EVENTS": ["sales"]}, "some of impressions", "('impressions',"),
    ("E052", {"TOPSORT_ALLOWED_ORIGINS": ["https://*.a.example"]}, "origins", "ORIGINS = ()"),
    ("E053", {"TOPSORT_MAX_BODY_SIZE": 4096}, "bytes from 65536", "BODY_SIZE = 65536"),
    ("E054", {"TOPSORT_EVENTS_THROTTLE_RATE": "often"}, '"60/minute"', "= '1200/minute'"),
    ("E055", {"TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE": 5}, '"60/minute"', "= '12000/minute'"),
    ("E056", {"TOPSORT_CLICK_RATE": "0/minute"}, '"60/minute"', "TOPSORT_CLICK_RATE = '60/minute'"),
    ("E057", {"TOPSORT_DUPLICATE_WINDOW": None}, "ten years", "DUPLICATE_WINDOW = 1800"),
    ("E058", {"TOPSORT_REQUIRE_SIGNED_BIDS": 1}, "True or False", "SIGNED_BIDS = False"),
    ("E059", {"TOPSORT_VIEWABLE_SHARE": 50}, "at most 1", "VIEWABLE_SHARE = 0.5"),
    ("E060", {"TOPSORT_VIEWABLE_SECONDS": -1}, "from 0 to 60", "VIEWABLE_SECONDS = 1.0"),
    ("E061", {"TOPSORT_USER_HEADER": "yes"}, "True or False", "USER_HEADER = False"),
    ("E062", {"TOPSORT_CLICK_ADDRESS_RATE": 9}, '"60/minute"', "ADDRESS_RATE = '1200/minute'"),
    ("E070", {"TOPSORT_METRICS_TOKEN": "guess me"}, "8 characters", "secrets.token_urlsafe()"),
    ("W016", {"TOPSORT_LINK_USERS": True}, "nothing to link", "TOPSORT_USER_ID"),
    ("W017", {"CACHES": ALONE}, "counts for itself", "RedisCache"),
    ("W012", SENDING, "purchases are kept in memory", f'write "purchases": "{OUTBOX}"'),
    (
        "W014",
        {"TOPSORT_BACKENDS": {"default": LOCMEM, "overflow": THREAD}},
        "as the overflow keeps events in memory",
        f'Write "overflow": "{OUTBOX}"',
    ),
]
# In modules of their own: one asks the database, one needs Oscar, others an engine.
OTHER_IDS = ["W013", "W015", "W018", "W019", "W020", "E065", "E066", "E067", "E069", "E071"]


@pytest.mark.parametrize(("name", "values", "said", "hint"), CASES, ids=[case[0] for case in CASES])
def test_message_names_the_value_and_the_hint_what_to_write(
    name: str, values: dict[str, Any], said: str, hint: str, settings: Settings
) -> None:
    settings.TOPSORT_API_KEY = KEY
    set_all(settings, values)

    messages = run(deploy=True)

    (message,) = [one for one in messages if one.id == f"django_topsort.{name}"]
    assert said in message.msg
    assert hint in str(message.hint)
    assert message.level == (checks.ERROR if name.startswith("E") else checks.WARNING)
    # Nothing else is said, but for the backends of the tests, which are no fault here.
    others = {"W005", "W012"} | ({"E001", "W011"} if name in ("E001", "W011") else set())
    assert set(get_ids(messages)) | others == {name} | others


def test_each_id_is_written_once_and_has_a_case() -> None:
    pattern = re.compile(r'"(?:django_topsort\.)?([EW]\d{3})"')
    written = [
        name
        for path in PACKAGE.rglob("*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    ]

    assert sorted(written) == sorted([*(case[0] for case in CASES), *OTHER_IDS])


def test_settings_of_the_tests_pass() -> None:
    assert run() == []


def test_defaults_with_a_key_pass_in_production(settings: Settings) -> None:
    for name in SETTINGS:
        if hasattr(settings, name):
            delattr(settings, name)
    settings.TOPSORT_API_KEY = KEY

    assert get_ids(run(deploy=True)) == ["W012"]
    settings.TOPSORT_BACKENDS = {"default": THREAD, "purchases": OUTBOX, "overflow": OUTBOX}
    assert run(deploy=True) == []


def test_overflow_is_looked_at_as_the_other_backends_are(settings: Settings) -> None:
    for path, expected in (
        ("no.such.Backend", ["E013"]),
        (f"{HERE}.NoBackend", ["E014"]),
        (f"{HERE}.UnmadeBackend", ["E015"]),
        (OUTBOX, []),
        (LOCMEM, []),
        ("", []),
    ):
        settings.TOPSORT_BACKENDS = {"default": LOCMEM, "overflow": path}
        assert get_ids(run()) == expected, path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOPSORT_TIMEOUT", 5),
        ("TOPSORT_TIMEOUT", [0.5, 2]),
        ("TOPSORT_FLUSH_INTERVAL", 0),
        ("TOPSORT_SHUTDOWN_TIMEOUT", 0.0),
        ("TOPSORT_CONNECTIONS", 1),
        ("TOPSORT_CONNECTIONS", 64),
        ("TOPSORT_FILE_PATH", Path("events.jsonl")),
        ("TOPSORT_FILE_PATH", "/no/such/folder/of-a-backend-that-is-not-in-use"),
        ("TOPSORT_CURRENCY", "eur"),
        ("TOPSORT_CHANNEL", "instore"),
        ("TOPSORT_CATEGORY_FIELD", "categoryId"),
        ("TOPSORT_STRICT", False),
        ("TOPSORT_CLICK_HOSTS", {"m.shop.example", "localhost:8000"}),
        ("TOPSORT_COOKIE_NAME", "shop-user_id"),
        ("TOPSORT_COOKIE_DOMAIN", ".shop.example"),
        ("TOPSORT_COOKIE_SAMESITE", "strict"),
        ("TOPSORT_ORDER_READER", None),
        ("TOPSORT_ORDER_READER", Reader),
        ("TOPSORT_ORDER_READER", f"{HERE}.Reader"),
        ("TOPSORT_ORDER_READER", give_key),
        ("TOPSORT_CONSENT", give_key),
        ("TOPSORT_API_URL", "https://[2001:db8::1]:8443"),
        ("TOPSORT_API_KEY", fail_to_return_a_key),
        ("TOPSORT_API_KEY", f"{HERE}.fail_to_return_a_key"),
        (
            "TOPSORT_BACKENDS",
            dict.fromkeys(("impressions", "clicks"), LOCMEM) | {"default": LOCMEM},
        ),
        ("TOPSORT_BACKENDS", {"clicks": None, "default": LOCMEM}),
    ],
)
def test_allowed_value_passes(name: str, value: object, settings: Settings) -> None:
    setattr(settings, name, value)

    assert run() == []


def test_samesite_none_with_secure_passes(settings: Settings) -> None:
    settings.TOPSORT_COOKIE_SAMESITE = "None"
    settings.TOPSORT_COOKIE_SECURE = True

    assert run() == []


class Hostile:
    """A value that cannot even be shown."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError(KEY)


class BrokenMapping(UserDict[str, str]):
    def __iter__(self) -> NoReturn:
        raise LookupError(KEY)


NASTY: list[object] = [
    *(
        None,
        True,
        -1,
        0,
        2**80,
        1.5,
        float("nan"),
        float("inf"),
        b"TSE_bytes",
        "",
        " ",
        ".",
        "a.b.",
    ),
    *(".a", "..a", "os", "os.path", "x" * 5000, "\ud800", "\x00", KEY, f"a {KEY}"),
    *("x" * 75 + KEY, "https://", "http://[::1", "https://a..b", "https://a:b", "https://a:99999"),
    *(f"https://{KEY}@host/?k={KEY}", "//host", "https://ho st", f"https://host/{KEY * 9}#"),
    *([], [None], [[]], {}, {1: 2}, {"default": []}, {"default": Hostile()}, {"clicks": 5}),
    *({"default": f"{HERE}.ForgetfulBackend"}, {"default": KEY}, {KEY: KEY}, (), (1,), (1, 2, 3)),
    *(
        set(),
        object(),
        Hostile(),
        BrokenMapping(),
        AsyncReader(),
        AsyncReader,
        KEY.encode(),
        ModuleType("module"),
    ),
]


NAMES = [
    (name,) for name in ("TOPSORT_API_KEY", "MIDDLEWARE", "TEMPLATES", "ALLOWED_HOSTS", "OTHER")
]


@pytest.mark.parametrize(
    "names", [sorted(set(SETTINGS) - {"TOPSORT_API_KEY"}), *NAMES], ids=lambda names: names[0]
)
def test_no_value_makes_a_check_raise_or_show_the_key(
    names: Sequence[str], settings: Settings
) -> None:
    settings.TOPSORT_API_KEY = KEY
    settings.TEMPLATES = build_templates(f"{HERE}.break_down", f"{HERE}.give_key")["TEMPLATES"]
    for value in NASTY:
        with override_settings(**dict.fromkeys(names, value)):
            messages = run(deploy=True)

        assert all(KEY[:12] not in f"{message}" for message in messages), value


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_each_setting_is_validated(name: str, settings: Settings) -> None:
    setattr(settings, name, Hostile())

    messages = [message for message in run() if name in message.msg]

    assert [message.level for message in messages] == [checks.ERROR]
    assert messages[0].hint


# The API key


@pytest.mark.parametrize("key", [None, ""])
def test_key_is_not_missed_where_nothing_is_sent(key: str | None, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = key
    assert run() == []

    settings.TOPSORT_BACKENDS = {"default": LOCMEM, "purchases": THREAD}
    assert get_ids(run()) == ["W011"]
    assert "E001" in get_ids(run(deploy=True))


def test_dotted_key_that_cannot_be_imported_is_not_shown(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = "eyJhbGciOi.something.secret"

    (message,) = run()

    assert get_ids([message]) == ["E016"]
    assert "TOPSORT_API_KEY: '********' cannot be imported" in message.msg
    assert "something" not in f"{message}"


def test_async_function_for_the_key_is_an_error(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = answer_later

    assert get_ids(run()) == ["E017"]


@pytest.mark.parametrize("hook", [AsyncReader(), AsyncReader, f"{HERE}.AsyncReader"])
def test_async_call_of_an_object_is_an_error(hook: object, settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = hook

    assert get_ids(run()) == ["E017"]


@pytest.mark.parametrize("hook", [Product, f"{HERE}.NoReader"])
def test_class_that_reads_no_order_is_an_error(hook: object, settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = hook

    assert get_ids(run()) == ["E040"]


def test_hint_for_a_reader_speaks_of_classes(settings: Settings) -> None:
    settings.TOPSORT_ORDER_READER = "shop.no_such.Reader"
    settings.TOPSORT_CONSENT = "shop.no_such.consent"

    hints = {message.msg.split(":")[0]: str(message.hint) for message in run()}

    assert hints == {
        "TOPSORT_ORDER_READER": (
            'Write TOPSORT_ORDER_READER = "shop.topsort.Reader", the path of a module and the name'
            " of a class or a function in it, or the class or the function itself."
        ),
        "TOPSORT_CONSENT": (
            'Write TOPSORT_CONSENT = "shop.topsort.function", the path of a module and the name'
            " of a function in it, or the function itself."
        ),
    }


def test_hook_that_is_a_switch_is_told_what_it_is_not(settings: Settings) -> None:
    settings.TOPSORT_CONSENT = True

    (message,) = run()

    assert get_ids([message]) == ["E016"]
    assert message.msg == "TOPSORT_CONSENT: True is no function and no dotted path."


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {KEY}",
        KEY.encode(),
        [{"deep": ({KEY},)}],
        {KEY: 1},
    ],
    ids=["text", "bytes", "deep", "key"],
)
def test_setting_that_holds_the_key_is_a_warning(value: object, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = KEY
    settings.FRONTEND = value

    (message,) = run()

    assert get_ids([message]) == ["W002"]
    assert "FRONTEND" in message.msg


def test_setting_that_holds_itself_ends(settings: Settings) -> None:
    endless: list[object] = ["TSE_"]
    endless.append(endless)
    settings.FRONTEND = endless

    assert run() == []


def test_setting_that_django_refuses_is_passed_over(settings: Settings) -> None:
    settings.SECRET_KEY = ""

    assert run() == []


@pytest.mark.parametrize("key", ["TSE_", "short", fail_to_return_a_key])
def test_key_that_is_none_is_not_searched_for(key: object, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = key
    settings.FRONTEND = "a TSE_ short"
    set_all(settings, build_templates(f"{HERE}.give_key"))

    assert {"W002", "W003"}.isdisjoint(get_ids(run(deploy=True)))


# Context processors


def test_context_processors_that_show_the_key_are_named(settings: Settings) -> None:
    names = ["give_key", "give_key_to_guests", "give_settings"]
    silent = ["give_no_key", "break_down", "report_a_visit", "nowhere"]
    settings.TOPSORT_API_KEY = KEY
    settings.ALLOWED_HOSTS = ["*", ".shop.example"]
    paths = [f"{HERE}.{name}" for name in [*names, *silent]]
    set_all(settings, build_templates("django.template.context_processors.request", *paths, 5))

    messages = [message for message in run(deploy=True) if get_ids([message]) == ["W003"]]

    said = [message.msg.split()[3] for message in messages]
    assert said == [f"{HERE}.{name}" for name in names]
    assert locmem.outbox == []


def test_context_processors_are_not_called_without_deploy(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = KEY
    set_all(settings, build_templates(f"{HERE}.give_key"))

    assert run() == []


def test_context_processors_get_no_user_where_there_is_none(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = KEY
    set_all(settings, build_templates(f"{HERE}.give_key_to_guests", f"{HERE}.give_key"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps, "is_installed", lambda name: False)
        messages = run(deploy=True)

    assert get_ids(messages).count("W003") == 1


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8787",
        "http://api.localhost",
        "http://127.0.0.1:8787",
        "http://[::1]:8787",
    ],
)
def test_plain_http_to_this_machine_passes(url: str, settings: Settings) -> None:
    set_all(settings, {**SENDING, "TOPSORT_API_URL": url})

    assert run() == []


def test_plain_http_passes_while_debugging(settings: Settings) -> None:
    set_all(settings, {**SENDING, "TOPSORT_API_URL": "http://fake-api:8787"})
    assert get_ids(run()) == ["E006"]

    settings.DEBUG = True
    assert run() == []


def test_plain_http_passes_where_nothing_is_sent(settings: Settings) -> None:
    settings.TOPSORT_API_URL = "http://fake-api:8787"

    assert run() == []


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://",
        "https:///v2",
        "ftp://api.topsort.com",
        "https://api.topsort.com ",
        "https://api..topsort.com",
        "https://api.topsort.com:port",
        "https://[::1",
        "https://äpi.topsort.com",
    ],
)
def test_what_is_no_url_is_an_error(url: object, settings: Settings) -> None:
    settings.TOPSORT_API_URL = url

    (message,) = run()

    assert get_ids([message]) == ["E005"]
    assert repr(url) in message.msg


def test_password_in_the_url_is_not_shown(settings: Settings) -> None:
    settings.TOPSORT_API_URL = "https://user:hunter2@api.topsort.com/v2?key=1"

    messages = run()

    assert get_ids(messages) == ["E007", "E008"]
    assert all("hunter2" not in f"{message}" for message in messages)


# Backends


def test_backend_that_is_used_for_several_kinds_is_named_once(settings: Settings) -> None:
    settings.TOPSORT_BACKENDS = {"default": THREAD, "clicks": LOCMEM, "pageviews": LOCMEM}

    message, *others = run(deploy=True)

    assert get_ids([message]) == ["W005"]
    assert LOCMEM in message.msg
    assert "clicks, pageviews" in message.msg
    assert get_ids(others) == ["W012"]


def test_backends_own_checks_are_collected_once(settings: Settings) -> None:
    path = "django_topsort.backends.filebased.EventBackend"
    settings.TOPSORT_BACKENDS = {"default": path, "clicks": path}

    assert get_ids(run()) == ["E012"]


def test_file_in_a_folder_that_takes_it_passes(settings: Settings, tmp_path: Path) -> None:
    set_all(settings, {**TO_A_FILE, "TOPSORT_FILE_PATH": tmp_path / "events.jsonl"})
    assert run() == []

    (tmp_path / "events.jsonl").touch()
    assert run() == []


@pytest.mark.parametrize("is_there", [False, True])
def test_file_that_cannot_be_written_is_an_error(
    is_there: bool, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    if is_there:
        path.touch()
    set_all(settings, {**TO_A_FILE, "TOPSORT_FILE_PATH": str(path)})
    asked = []

    def refuse(path: object, mode: int) -> bool:
        asked.append(path)
        return False

    # To the superuser, as whom tests may run, every file is open.
    monkeypatch.setattr(os, "access", refuse)
    (message,) = run()

    assert get_ids([message]) == ["E041"]
    assert "it cannot be written" in message.msg
    assert asked == [path if is_there else tmp_path]


class UnreadablePath:
    def __fspath__(self) -> str:
        raise RuntimeError("the disk is away")


@pytest.mark.parametrize("what", ["folder", "in a file", "class"])
def test_what_is_no_file_of_a_folder_is_an_error(
    what: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = {"folder": tmp_path, "in a file": tmp_path / "file" / "f", "class": UnreadablePath()}
    set_all(settings, {**TO_A_FILE, "TOPSORT_FILE_PATH": path[what]})

    assert get_ids(run()) == ["E041"]


def test_no_path_of_a_file_makes_the_check_raise(settings: Settings) -> None:
    set_all(settings, TO_A_FILE)
    for value in NASTY:
        settings.TOPSORT_FILE_PATH = value
        assert {"E012", "E015", "E026", "E041"}.issuperset(get_ids(run()))


def test_check_of_a_backend_that_returns_no_list_is_an_error(settings: Settings) -> None:
    settings.TOPSORT_BACKENDS = {"default": f"{HERE}.ForgetfulBackend"}

    assert get_ids(run()) == ["E015"]


def test_key_of_a_backend_that_is_like_no_other_gets_the_list(settings: Settings) -> None:
    settings.TOPSORT_BACKENDS = {"default": LOCMEM, 7: LOCMEM}

    (message,) = run()

    kinds = "impressions, clicks, purchases, pageviews"
    assert message.hint == f"Its keys are default, {kinds}, overflow."


def test_checks_make_the_backend_that_delivery_uses(settings: Settings) -> None:
    before = routing.get_backend()

    assert run() == []
    assert routing.get_backend() is before


# Middleware and names


@pytest.mark.parametrize("middleware", [[OURS, COMMON], (f"{HERE}.OurSubclass", "no.Middleware")])
def test_middleware_in_the_first_place_passes(middleware: object, settings: Settings) -> None:
    settings.MIDDLEWARE = middleware

    assert run() == []


def test_subclass_of_the_middleware_behind_others_is_a_warning(settings: Settings) -> None:
    settings.MIDDLEWARE = [COMMON, f"{HERE}.OurSubclass"]

    assert get_ids(run()) == ["W007"]


def test_name_that_is_like_no_other_gets_the_list(settings: Settings) -> None:
    settings.TOPSORT_ZZZ = 1
    settings.TOPSORT = {"API_KEY": "TSE_another"}

    first, second = run()

    assert get_ids([first, second]) == ["W009", "W009"]
    assert str(first.hint).startswith("Write each setting on its own: TOPSORT_ALLOWED_ORIGINS, ")
    assert str(second.hint).startswith("Remove it, or write one of TOPSORT_ALLOWED_ORIGINS, ")


def test_command_shows_what_the_checks_say(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.TOPSORT_CHANEL = "onsite"

    call_command("check", "--tag", "topsort")

    assert "(django_topsort.W009)" in capsys.readouterr().err

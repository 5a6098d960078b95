"""Every ``TOPSORT_*`` setting: its name, type, default and one sentence.

A setting is read from ``django.conf.settings`` each time it is used. Nothing is copied at import
and nothing is cached, so ``override_settings`` composes and a test never sees an old value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from django.conf import settings
from django.utils.module_loading import import_string

from django_topsort.exceptions import TopsortConfigurationError, describe
from django_topsort.setting import Setting

DOTTED_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
# What TOPSORT_OUTBOX_RELAY may name, and the function that publishes a task which relays.
RELAYS = {
    "celery": "django_topsort.backends.celery.publish_relay",
    "tasks": "django_topsort.backends.tasks.publish_relay",
}
BACKEND_KEYS = ("default", "impressions", "clicks", "purchases", "pageviews", "overflow")


class Secret(str):
    """A text that does not show itself: in a repr, a traceback's locals or a pickle."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"

    def __reduce__(self) -> NoReturn:
        message = "a secret is not pickled; make a new client where it is needed"
        raise TypeError(message)


Hook = Callable[..., Any] | str | None


class TopsortSettings:
    """The settings of this package: ``topsort_settings.TOPSORT_TIMEOUT`` reads one."""

    TOPSORT_API_KEY = Setting[Callable[[], str] | str](
        "", "The marketplace's API key (it starts with TSE_), or a function that returns it."
    )
    TOPSORT_API_URL = Setting[str](
        "https://api.topsort.com", "Where Topsort's API is, without a path and a trailing slash."
    )
    TOPSORT_BACKENDS = Setting[Mapping[str, str]](
        {"default": "django_topsort.backends.thread.EventBackend"},
        "Which backend sends which kind of event: dotted paths by default, impressions, clicks,"
        " purchases, pageviews; and overflow, which takes what the others cannot keep.",
    )
    TOPSORT_TIMEOUT = Setting[tuple[float, float] | float](
        (3.05, 10), "Seconds to wait for a connection and for an answer."
    )
    TOPSORT_QUEUE_SIZE = Setting[int](
        50_000, "How many events the thread backend holds in memory, purchases not counted."
    )
    TOPSORT_QUEUE_BYTES = Setting[int](
        32 * 1024 * 1024, "How many bytes of JSON the events held in memory may make."
    )
    TOPSORT_FLUSH_INTERVAL = Setting[float](
        0.5, "Seconds that the thread backend waits for a batch to fill."
    )
    TOPSORT_CONNECTIONS = Setting[int](
        32, "How many requests the thread backend has in flight at most, while Topsort is slow."
    )
    TOPSORT_SHUTDOWN_TIMEOUT = Setting[float](
        5.0, "Seconds that a process which ends may spend on what is still queued."
    )
    TOPSORT_OUTBOX_RELAY = Setting[bool | str](
        True,
        "Whether each process sends what is in the outbox, in a background thread; 'celery' or"
        " 'tasks': that engine's workers do; False: only manage.py topsort_relay and flush() do.",
    )
    TOPSORT_OUTBOX_SWEEP_INTERVAL = Setting[float](
        60.0, "Seconds after which each process looks for what others have left in the outbox."
    )
    TOPSORT_OUTBOX_LEASE = Setting[float](
        60.0, "Seconds for which a relay has the rows that it is sending to itself."
    )
    TOPSORT_OUTBOX_MAX_AGE = Setting[float](
        7 * 24 * 60 * 60.0, "Seconds for which an event is tried again before it is a dead letter."
    )
    TOPSORT_OUTBOX_KEEP_DELIVERED = Setting[float](
        3 * 24 * 60 * 60.0, "Seconds for which delivered rows stay in the outbox."
    )
    TOPSORT_OUTBOX_KEEP_FAILED = Setting[float](
        90 * 24 * 60 * 60.0,
        "Seconds for which refused events and dead letters stay in the outbox; purchases stay until"
        " somebody deletes them.",
    )
    TOPSORT_OUTBOX_KEEP_SHOPPERS = Setting[float](
        90 * 24 * 60 * 60.0,
        "Seconds for which it is kept who has placed an order, for when it is paid.",
    )
    TOPSORT_ENGINE_QUEUE = Setting[str | None](
        None, "The queue for the tasks of the Celery and Tasks backends; None: the engine's own."
    )
    TOPSORT_ENGINE_MAX_AGE = Setting[float](
        24 * 60 * 60.0,
        "Seconds for which an engine's workers try an event again before it is given up.",
    )
    TOPSORT_TASKS_BACKEND = Setting[str](
        "default",
        "The alias in Django's TASKS of the engine to which the Tasks backend gives events.",
    )
    TOPSORT_FILE_PATH = Setting[str | None](
        None, "The file to which the filebased backend appends one JSON line per event."
    )
    TOPSORT_ORDER_READER = Setting[Hook](
        "django_topsort.purchases.reader.OrderReader",
        "Reads an order: takes it and returns what was bought, or None.",
    )
    TOPSORT_PRODUCT_ID = Setting[Hook](
        None, "Takes a product and returns its id at Topsort; the primary key by default."
    )
    TOPSORT_VENDOR_ID = Setting[Hook](
        None, "Takes a product or an order line and returns its vendor's id at Topsort."
    )
    TOPSORT_CURRENCY = Setting[str | None](
        None, "The marketplace's currency, such as EUR: orders in another one are not reported."
    )
    TOPSORT_USER_ID = Setting[Hook](
        None, "Takes a request and returns the opaque user id, or None for the cookie's."
    )
    TOPSORT_LINK_USERS = Setting[bool](
        False,
        "Whether Topsort hears, when a guest logs in, that the cookie's id and TOPSORT_USER_ID's"
        " are one shopper's; Topsort gives access on request.",
    )
    TOPSORT_COOKIE_NAME = Setting[str]("tsuid", "The cookie that keeps the opaque user id.")
    TOPSORT_COOKIE_AGE = Setting[int](365 * 24 * 60 * 60, "Seconds that the cookie lives.")
    TOPSORT_COOKIE_SECURE = Setting[bool | None](
        None, "Whether the cookie is for https only; None: when the request came over https."
    )
    TOPSORT_COOKIE_SAMESITE = Setting[str]("Lax", "The cookie's SameSite: Lax, Strict or None.")
    TOPSORT_COOKIE_HTTPONLY = Setting[bool](
        False, "Whether scripts cannot read the cookie; Topsort's own scripts must."
    )
    TOPSORT_COOKIE_DOMAIN = Setting[str | None](
        None, "The cookie's domain, to share the id between subdomains."
    )
    TOPSORT_CONSENT = Setting[Hook](
        None, "Takes a request and returns whether this shopper may be tracked; yes by default."
    )
    TOPSORT_CHANNEL = Setting[str]("onsite", "The channel of events: onsite, offsite, instore.")
    TOPSORT_CATEGORY_FIELD = Setting[str](
        "categoryIds", "How categories go out: categoryIds, a list, or categoryId, one string."
    )
    TOPSORT_IGNORE_REQUEST = Setting[Hook](
        None,
        "Takes a request and returns whether its impressions, clicks and page views count"
        " for nothing; crawlers, prefetches and HEAD by default.",
    )
    TOPSORT_STRICT = Setting[bool | None](
        None, "Whether a wrong event raises or is logged and left out; None: as DEBUG."
    )
    TOPSORT_CLICK_MAX_AGE = Setting[int](
        7 * 24 * 60 * 60, "Seconds for which a signed click link counts."
    )
    TOPSORT_CLICK_WINDOW = Setting[int](
        30 * 60, "Seconds within which a shopper's further clicks on one link count once."
    )
    TOPSORT_CLICK_HOSTS = Setting[Sequence[str]](
        (), "Hosts besides the shop's own to which a signed click link may lead."
    )
    TOPSORT_BROWSER_EVENTS = Setting[Sequence[str]](
        ("impressions", "clicks", "pageviews"),
        "Which kinds of events are taken from browsers; add purchases if orders cannot be hooked.",
    )
    TOPSORT_ALLOWED_ORIGINS = Setting[Sequence[str]](
        (),
        "Origins besides the shop's own whose pages may post events, such as https://m.shop.example.",
    )
    TOPSORT_MAX_BODY_SIZE = Setting[int](
        64 * 1024, "How many bytes one request with a browser's events may have."
    )
    TOPSORT_EVENTS_THROTTLE_RATE = Setting[str | None](
        "1200/minute", "How many requests with events one shopper may make; None: any number."
    )
    TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE = Setting[str | None](
        "12000/minute", "How many requests with events one address may make; None: any number."
    )
    TOPSORT_CLICK_RATE = Setting[str | None](
        "60/minute",
        "How many clicks of one shopper count, those of a client without a cookie by its address;"
        " None: any number.",
    )
    TOPSORT_CLICK_ADDRESS_RATE = Setting[str | None](
        "1200/minute", "How many clicks of one address count; None: any number."
    )
    TOPSORT_DUPLICATE_WINDOW = Setting[int](
        30 * 60,
        "Seconds within which a shopper's further impressions or clicks of one bid are left out; 0:"
        " none are.",
    )
    TOPSORT_REQUIRE_SIGNED_BIDS = Setting[bool](
        False,
        "Whether topsort_attrs signs bids for their shopper, and browsers may report no others.",
    )
    TOPSORT_VIEWABLE_SHARE = Setting[float](
        0.5,
        "Which share of an element must be seen for an impression, up to 1; of large ones 0.3.",
    )
    TOPSORT_VIEWABLE_SECONDS = Setting[float](1.0, "For how many seconds on end it must be seen.")
    TOPSORT_USER_HEADER = Setting[bool](
        False,
        "Whether clients without cookies get and bring their id, signed, as X-Topsort-User.",
    )
    TOPSORT_METRICS_TOKEN = Setting[str](
        "",
        "What Prometheus brings to read contrib.prometheus.views.metrics; empty: no such page.",
    )

    @property
    def is_strict(self) -> bool:
        """Whether a wrong event raises: ``TOPSORT_STRICT``, or ``DEBUG`` where it is not set."""
        strict = self.TOPSORT_STRICT
        return bool(settings.DEBUG if strict is None else strict)

    def get_hook(self, name: str) -> Callable[..., Any] | None:
        """Return the function that the setting ``name`` stands for, or None where it is not set.

        Raises TopsortConfigurationError when a dotted path cannot be imported, for whatever reason,
        and for what is neither a path nor a function.
        """
        value = getattr(self, name)
        if value is None or callable(value):
            return value  # type: ignore[no-any-return]  # callable() narrows to object
        if name == "TOPSORT_API_KEY":
            # What cannot be imported may be a key with dots in it, and a key is never shown.
            value = Secret(value)
        if not isinstance(value, str):
            message = (
                f"{name}: {describe(value)} is no function and no dotted path; write one of them"
            )
            raise TopsortConfigurationError(message)
        try:
            hook = import_string(value)
        except Exception as error:
            # Any error: the module runs when it is imported.
            if name == "TOPSORT_API_KEY":
                message = f"{name}: it looks like a dotted path, but cannot be imported"
                raise TopsortConfigurationError(message) from None
            message = f"{name}: {describe(value)} cannot be imported ({error}); write a dotted path"
            raise TopsortConfigurationError(message) from error
        if not callable(hook):
            message = f"{name}: {describe(value)} cannot be called; name a function or a class"
            raise TopsortConfigurationError(message)
        return hook  # type: ignore[no-any-return]  # import_string() returns Any

    def get_api_key(self) -> Secret:
        """Return the API key, calling the function where the setting names one.

        A string counts as a dotted path when it looks like one and lacks a key's ``TSE_``. Raises
        TopsortConfigurationError when the function cannot be imported, or raises.
        """
        value = self.TOPSORT_API_KEY
        if isinstance(value, str):
            value = Secret(value)
            if value.startswith("TSE_") or not DOTTED_PATH.fullmatch(value):
                return value
        hook = self.get_hook("TOPSORT_API_KEY")
        try:
            key = hook() if hook is not None else None
        except Exception as error:
            # By its name alone: what a function says that looks a key up may quote it.
            failure = f"TOPSORT_API_KEY: its function raised {type(error).__name__}"
        else:
            return Secret(key or "")
        raise TopsortConfigurationError(failure)


topsort_settings = TopsortSettings()
SETTINGS: dict[str, Setting[Any]] = {
    name: value for name, value in vars(TopsortSettings).items() if isinstance(value, Setting)
}

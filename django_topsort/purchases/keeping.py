"""Where it is kept who has placed an order: by the order's number, until it is too long ago.

Buyers are kept for ``TOPSORT_OUTBOX_KEEP_SHOPPERS``: in the optional app ``django_topsort.outbox``,
where it is installed, else in Django's default cache. That is the weaker form: a cache of local
memory is not shared by processes, any may forget early, and none rolls back with the order.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.cache import cache
from django.db import router, transaction
from django.utils import timezone

from django_topsort.conf import SETTINGS, topsort_settings
from django_topsort.logs import FieldLogger
from django_topsort.purchases.values import show_key
from django_topsort.tracebacks import log_failure

if TYPE_CHECKING:
    from django.db.models import Model

logger = FieldLogger(logging.getLogger(__name__))

OUTBOX_APP = "django_topsort.outbox"
COLUMNS = ("opaque_user_id", "device_type", "channel", "created_at")


def write_values(key: str, values: dict[str, str]) -> bool:
    """Keep what is known of an order's buyer, in the place of what was; return whether it is kept.

    A database or a cache that fails is logged.
    """
    return _write_row(key, values) or _write_cache(key, values)


def read_values(key: str) -> dict[str, Any] | None:
    """Return what is known of an order's buyer, None where nothing is."""
    # What the outbox could not take is in the cache, as is what precedes its installation.
    return _read_row(key) or _read_cache(key)


def _get_model() -> type[Model] | None:
    if not apps.is_installed(OUTBOX_APP):
        return None
    return apps.get_model("topsort_outbox", "RememberedShopper")


def _write_row(key: str, values: dict[str, str]) -> bool:
    model = _get_model()
    if model is None:
        return False
    using = router.db_for_write(model)
    try:
        # A savepoint: without it a missing table would spoil the transaction of the checkout.
        with transaction.atomic(using=using):
            rows = model._default_manager.using(using)
            # From now on: who orders again may pay as late as who orders for the first time.
            defaults = {**values, "created_at": timezone.now()}
            rows.update_or_create(order_key=key, defaults=defaults)
    except Exception:
        log_failure(
            logger, "shopper not kept in the outbox: order=%s; is it migrated?", show_key(key)
        )
        return False
    return True


def _read_row(key: str) -> dict[str, Any] | None:
    model = _get_model()
    if model is None:
        return None
    # Where it was written, because a replica may not have it yet.
    using = router.db_for_write(model)
    try:
        with transaction.atomic(using=using):
            rows = model._default_manager.using(using).filter(order_key=key)
            return rows.values(*COLUMNS).first()
    except Exception:
        log_failure(
            logger, "shopper not read from the outbox: order=%s; is it migrated?", show_key(key)
        )
        return None


def _write_cache(key: str, values: dict[str, str]) -> bool:
    try:
        cache.set(_build_cache_key(key), values, _get_seconds())
    except Exception:
        log_failure(logger, "shopper not kept in the cache: order=%s", show_key(key))
        return False
    return True


def _get_seconds() -> float:
    """Return for how long a buyer is kept; the default where the setting is no number."""
    name = "TOPSORT_OUTBOX_KEEP_SHOPPERS"
    try:
        return float(getattr(topsort_settings, name))
    except (TypeError, ValueError):
        return float(SETTINGS[name].default)  # a text from the environment must cost no shopper


def _read_cache(key: str) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] | None = cache.get(_build_cache_key(key))
    except Exception:
        log_failure(logger, "shopper not read from the cache: order=%s", show_key(key))
        return None
    return values


def forget_cached(key: str) -> None:
    """Delete what the cache keeps of an order's buyer. Raises what the cache does."""
    cache.delete(_build_cache_key(key))


def _build_cache_key(key: str) -> str:
    # A digest, because memcached takes no spaces and at most 250 characters.
    return f"topsort:buyer:{hashlib.sha256(key.encode()).hexdigest()}"

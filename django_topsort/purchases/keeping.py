"""Where buyers are kept: in the outbox's table where it is installed, else in Django's cache."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.cache import cache
from django.db import router, transaction

from django_topsort.purchases.values import show_key
from django_topsort.tracebacks import log_failure

if TYPE_CHECKING:
    from django.db.models import Model

logger = logging.getLogger(__name__)

OUTBOX_APP = "django_topsort.outbox"
CACHE_SECONDS = 30 * 24 * 60 * 60
COLUMNS = ("opaque_user_id", "device_type", "channel", "created_at")


def _get_model() -> type[Model] | None:
    if not apps.is_installed(OUTBOX_APP):
        return None
    return apps.get_model("topsort_outbox", "RememberedShopper")


def write_row(key: str, values: dict[str, str]) -> bool:
    """Keep a buyer in the outbox; return whether it is kept there. Never raises."""
    model = _get_model()
    if model is None:
        return False
    using = router.db_for_write(model)
    try:
        # A savepoint: without it a missing table would spoil the transaction of the checkout.
        with transaction.atomic(using=using):
            rows = model._default_manager.using(using)
            rows.update_or_create(order_key=key, defaults=values)
    except Exception:
        log_failure(
            logger, "shopper not kept in the outbox: order=%s; is it migrated?", show_key(key)
        )
        return False
    return True


def read_row(key: str) -> dict[str, Any] | None:
    """Return the buyer that the outbox keeps, and since when. Never raises."""
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


def write_cache(key: str, values: dict[str, str]) -> bool:
    """Keep a buyer in the cache; return whether it is kept there. Never raises."""
    try:
        cache.set(_build_cache_key(key), values, CACHE_SECONDS)
    except Exception:
        log_failure(logger, "shopper not kept in the cache: order=%s", show_key(key))
        return False
    return True


def read_cache(key: str) -> dict[str, Any] | None:
    """Return the buyer that the cache keeps. Never raises."""
    try:
        values: dict[str, Any] | None = cache.get(_build_cache_key(key))
    except Exception:
        log_failure(logger, "shopper not read from the cache: order=%s", show_key(key))
        return None
    return values


def _build_cache_key(key: str) -> str:
    # A digest, because memcached takes no spaces and at most 250 characters.
    return f"topsort:buyer:{hashlib.sha256(key.encode()).hexdigest()}"

"""A failure that comes with every order: each order is named, and few lines have a traceback."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest
from django.core.cache import caches

from django_topsort import tracebacks
from django_topsort.orders import remember_shopper
from django_topsort.purchases.buyers import get_remembered_buyer
from django_topsort.tracebacks import log_failure
from tests.logs import handle_log

LOGGER = logging.getLogger("django_topsort.tests")


def fail(number: int, message: str = "failed order=%s") -> None:
    try:
        raise LookupError
    except LookupError:
        log_failure(LOGGER, message, number)


def get_tracebacks(caplog: pytest.LogCaptureFixture) -> list[bool]:
    return [record.exc_info is not None for record in caplog.records]


def test_failures_of_a_kind_are_each_named_and_the_first_has_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(3):
        fail(number)
    fail(9, "failed otherwise order=%s")

    assert caplog.messages[:3] == ["failed order=0", "failed order=1", "failed order=2"]
    assert get_tracebacks(caplog) == [True, False, False, True]


def test_next_minute_has_a_traceback_of_its_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(1)
    monkeypatch.setattr(tracebacks, "QUIET_SECONDS", 0.0)
    fail(2)

    assert get_tracebacks(caplog) == [True, True]


def test_kinds_that_are_remembered_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(250):
        fail(number, f"failed {number} order=%s")

    assert len(tracebacks._shown_at) <= tracebacks.MAX_KINDS


def test_log_handler_that_raises_breaks_nothing() -> None:
    def refuse(record: logging.LogRecord) -> NoReturn:
        raise OSError("disk full")

    with handle_log(refuse, logging.ERROR):
        fail(1)


def test_outage_names_every_order_whose_shopper_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # No test may use the database here, which so is one that does not answer.
    for number in range(3):
        assert get_remembered_buyer(f"{number}") is None

    said = "shopper not read from the outbox: order={}; is it migrated?"
    assert caplog.messages == [said.format(number) for number in range(3)]
    assert get_tracebacks(caplog) == [True, False, False]


def test_cache_that_is_down_names_every_order(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> NoReturn:
        raise ConnectionError("no cache")

    monkeypatch.setattr(caches["default"], "get", refuse)
    for number in range(2):
        assert get_remembered_buyer(f"{number}") is None

    reads = [record for record in caplog.records if "cache" in record.message]
    assert [record.exc_info is not None for record in reads] == [True, False]


def test_request_that_cannot_be_read_names_the_order(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @property
        def user(self) -> NoReturn:
            raise ValueError("no user")

    for number in ("1", "2"):
        assert remember_shopper(Broken(), number) is False  # type: ignore[arg-type]

    assert caplog.messages == [f"shopper not remembered order={number}" for number in ("1", "2")]
    assert get_tracebacks(caplog) == [True, False]

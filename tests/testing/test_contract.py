"""The contract, kept by the simple backends, and seen by backends that break it."""

from __future__ import annotations

import unittest
from collections.abc import Collection, Sequence

import pytest
from django.core.checks import Error
from django.test import SimpleTestCase

from django_topsort.backends import dummy, locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.events import Event
from django_topsort.testing import BackendContract, capture_events
from django_topsort.testing.capture import EventBackend as CaptureBackend


class TestLocmem(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        locmem.outbox.clear()
        return locmem.EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event.id) for event in locmem.outbox]


class TestDummy(BackendContract):
    discards = True

    def make_backend(self) -> BaseEventBackend:
        return dummy.EventBackend()


class TestCapture(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        self._events.clear()
        return CaptureBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(event.kind, event.id) for event in self._events]

    @pytest.fixture(autouse=True)
    def _capture(self):  # type: ignore[no-untyped-def]
        with capture_events() as self._events:
            yield


class UnittestLocmem(TestLocmem, SimpleTestCase):
    """The contract beside unittest's own class."""


class Kept(BaseEventBackend):
    """Keeps the contract; those below break it in one point each."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Event] = []

    def send_events(self, events: Sequence[Event]) -> None:
        self.received.extend(events)
        self.report.delivered(events)


class FailsOnNothing(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        super().send_events([events[0], *events[1:]])


class LosesAKind(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        super().send_events([event for event in events if event.kind != "clicks"])


class KeepsTheList(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        super().send_events(events)
        if events:
            self.received = events  # type: ignore[assignment]


class TakesOneRequest(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        super().send_events(events[:50])


class LosesLongOnes(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        super().send_events([event for event in events if event.id.isascii()])


class ReportsNothing(Kept):
    def send_events(self, events: Sequence[Event]) -> None:
        self.received.extend(events)


class NeverFlushes(Kept):
    def flush(self, timeout: float) -> bool:
        return False


class ClosesOnce(Kept):
    def close(self) -> None:
        del self.received


class HasAProblem(Kept):
    def check(self) -> list[Error]:  # type: ignore[override]
        return [Error("no file", id="tests.E001")]


class SaysNoFlag(Kept):
    blocking = None  # type: ignore[assignment]


def run_contract(backend_class: type[Kept]) -> set[str]:
    """Return the names of the tests that fail for a backend."""

    class Contract(BackendContract, unittest.TestCase):
        def make_backend(self) -> BaseEventBackend:
            return backend_class()

        def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
            assert isinstance(backend, Kept)
            return [(event.kind, event.id) for event in backend.received]

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Contract).run(result)
    assert result.testsRun > 8
    failed = [*result.failures, *result.errors]
    return {test.id().rpartition(".")[2].removeprefix("test_") for test, _ in failed}


def test_backend_that_keeps_the_contract_passes() -> None:
    assert run_contract(Kept) == set()


@pytest.mark.parametrize(
    ("backend_class", "test"),
    [
        (FailsOnNothing, "send_events_takes_an_empty_list"),
        (LosesAKind, "send_events_takes_every_kind"),
        (KeepsTheList, "send_events_takes_any_sequence_and_leaves_it_alone"),
        (TakesOneRequest, "send_events_takes_more_events_than_a_request_holds"),
        (LosesLongOnes, "send_events_keeps_ids"),
        (ReportsNothing, "send_events_accounts_for_every_event"),
        (NeverFlushes, "flush_without_events_leaves_nothing"),
        (ClosesOnce, "close_works_twice_and_without_events"),
        (HasAProblem, "check_finds_nothing_wrong"),
        (SaysNoFlag, "flags_are_said"),
    ],
)
def test_backend_that_breaks_the_contract_is_found(backend_class: type[Kept], test: str) -> None:
    assert test in run_contract(backend_class)


def test_contract_says_what_a_subclass_must_give() -> None:
    with pytest.raises(NotImplementedError, match="make_backend"):
        BackendContract().make_backend()
    with pytest.raises(NotImplementedError, match="get_received"):
        BackendContract().get_received(Kept())

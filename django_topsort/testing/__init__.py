"""Tools for tests: catch events before they go out, or let them go to an API of your own.

* ``capture_events`` catches the events of a block of code, or of a test
* ``FakeApi`` is a real HTTP server that is as strict as Topsort's Events API
* ``BackendContract`` holds the tests that every event backend must pass

With pytest there are fixtures, too: ``topsort_events`` and ``topsort_api``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_topsort.testing.capture import CapturedEvents, capture_events
    from django_topsort.testing.contract import BackendContract
    from django_topsort.testing.fake_api import FakeApi
    from django_topsort.testing.faults import ActiveFault, Fault
    from django_topsort.testing.ledger import ReceivedEvent, ReceivedRequest

# Loaded when first asked for: pytest imports this package in every project that has it installed,
# also where there is neither Django's settings nor the jsonschema library.
MODULES = {
    "ActiveFault": "faults",
    "BackendContract": "contract",
    "CapturedEvents": "capture",
    "FakeApi": "fake_api",
    "Fault": "faults",
    "ReceivedEvent": "ledger",
    "ReceivedRequest": "ledger",
    "capture_events": "capture",
}

__all__ = [
    "ActiveFault",
    "BackendContract",
    "CapturedEvents",
    "FakeApi",
    "Fault",
    "ReceivedEvent",
    "ReceivedRequest",
    "capture_events",
]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)

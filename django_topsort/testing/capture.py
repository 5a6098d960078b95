"""``capture_events``: the events of a block of code, caught before they go anywhere.

::

    with capture_events() as events:
        client.get("/shoes/")
        pay(order)
    assert [event.entity.id for event in events.impressions] == ["shoe-1", "shoe-2"]
    assert events.purchases[0].id == order.number

    @capture_events()
    def test_order(self, events): ...        # "events" is passed to a function that asks for it

Within the block every event, of every kind and thread, goes to the capture instead of to the
backends of ``TOPSORT_BACKENDS``. Of nested captures the innermost gets it.

A purchase is reported when its transaction commits. In a ``TestCase`` the test's own transaction
never does, so the on-commit callbacks that are registered in the block, those of the shop included,
are run by the capture: whenever the events are looked at and no transaction but the test's is open,
and at the end of the block. None runs twice, also not beside ``captureOnCommitCallbacks``. In a
``TransactionTestCase`` transactions commit, and the capture runs nothing.

In ``async`` code use ``async with``, or the decorator. There the callbacks run at the end of the
block and at ``await events.acommit()``, because looking at the events must not touch the database.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from asgiref.sync import sync_to_async
from django.test import override_settings

from django_topsort.backends.base import BaseEventBackend
from django_topsort.testing.commits import CommitWatch

if TYPE_CHECKING:
    from types import TracebackType

    from django_topsort.events import Click, Event, Impression, PageView, Purchase

F = TypeVar("F", bound=Callable[..., Any])

ARGUMENT = "events"

_captures: list[CapturedEvents] = []
_lock = threading.Lock()


class EventBackend(BaseEventBackend):
    """Gives events to the innermost capture; the backend that is in place within its block."""

    production = False

    def send_events(self, events: Sequence[Event]) -> None:
        with _lock:
            captured = _captures[-1] if _captures else None
            if captured is not None:
                captured.add(events)
        if captured is None:
            # A thread that is late: its capture ended between its look at the settings and now.
            self.report.disabled(events)
        else:
            self.report.delivered(events)


class CapturedEvents(Sequence["Event"]):
    """The events that were caught, in order: a read-only list that grows within the block."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, watch: CommitWatch) -> None:
        self._events: list[Event] = []
        self._watch = watch

    @property
    def impressions(self) -> list[Impression]:
        """The impressions among them."""
        return cast("list[Impression]", self._get("impressions"))

    @property
    def clicks(self) -> list[Click]:
        """The clicks among them."""
        return cast("list[Click]", self._get("clicks"))

    @property
    def purchases(self) -> list[Purchase]:
        """The purchases among them."""
        return cast("list[Purchase]", self._get("purchases"))

    @property
    def pageviews(self) -> list[PageView]:
        """The page views among them."""
        return cast("list[PageView]", self._get("pageviews"))

    def clear(self) -> None:
        """Forget what was caught up to now, and what committed transactions bring."""
        self._watch.run()
        self._events.clear()

    async def acommit(self) -> None:
        """Run the on-commit callbacks that wait, from async code."""
        await sync_to_async(self._watch.run)()

    def add(self, events: Sequence[Event]) -> None:
        """Take events: what the backend calls."""
        self._events.extend(events)

    def _get(self, kind: str) -> list[Event]:
        return [event for event in self if event.kind == kind]

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        self._watch.run()
        return self._events[index]

    def __len__(self) -> int:
        self._watch.run()
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return list(self) == list(other)

    def __repr__(self) -> str:
        # A debugger shows this at any moment: it must not run anything.
        return f"<CapturedEvents {self._events!r}>"


class EventCapture:
    """What ``capture_events()`` returns: a context manager, sync and async, and a decorator."""

    def __init__(self) -> None:
        self._watch = CommitWatch()
        self._events = CapturedEvents(self._watch)
        self._settings = override_settings(
            TOPSORT_BACKENDS={"default": f"{EventBackend.__module__}.EventBackend"}
        )

    def __enter__(self) -> CapturedEvents:
        with _lock:
            outer = _captures[-1] if _captures else None
        if outer is not None:
            len(outer)  # what was committed up to here belongs to the outer capture
        self._settings.enable()
        self._watch.start()
        with _lock:
            _captures.append(self._events)
        return self._events

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._watch.run(at_end=True)
        finally:
            with _lock:
                # By identity: captures are equal when their events are.
                _captures[:] = [one for one in _captures if one is not self._events]
            self._watch.stop()
            self._settings.disable()

    async def __aenter__(self) -> CapturedEvents:
        # Where the database is used: in the thread that runs sync code.
        return await sync_to_async(self.__enter__)()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await sync_to_async(self.__exit__)(exc_type, exc, traceback)

    def __call__(self, function: F) -> F:
        """Return the function with each of its calls captured, by a capture of its own."""
        if isinstance(function, type):
            raise TypeError(
                f"capture_events: {function.__qualname__} is a class; decorate its test methods"
            )
        signature = inspect.signature(function)
        takes_events = ARGUMENT in signature.parameters

        def add_events(kwargs: dict[str, Any], events: CapturedEvents) -> dict[str, Any]:
            return {**kwargs, ARGUMENT: events} if takes_events else kwargs

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def captured(*args: Any, **kwargs: Any) -> Any:
                async with EventCapture() as events:
                    return await function(*args, **add_events(kwargs, events))
        else:

            @functools.wraps(function)
            def captured(*args: Any, **kwargs: Any) -> Any:
                with EventCapture() as events:
                    return function(*args, **add_events(kwargs, events))

        # pytest fills the parameters that it sees, and knows no fixture of that name.
        parameters = [one for name, one in signature.parameters.items() if name != ARGUMENT]
        captured.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return cast("F", captured)


@overload
def capture_events() -> EventCapture: ...
@overload
def capture_events(function: F) -> F: ...
def capture_events(function: F | None = None) -> EventCapture | F:
    """Catch the events of a block, or of each call of the decorated function.

    See the module for its use. TypeError when a class is decorated.
    """
    return EventCapture() if function is None else EventCapture()(function)

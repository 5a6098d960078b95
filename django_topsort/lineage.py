"""Which events come of the sending of others, so that they do not go on for ever.

A receiver or a log handler may record an event while a batch is sent in the background, the sending
of which makes it record another, and so on, without any page being opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django_topsort.threads import ThreadValues

if TYPE_CHECKING:
    from django_topsort.events import Event

MAX_KNOWN = 10_000  # events that came of others and may still be on their way


class Lineage:
    """Counts generations: 0 is what a page recorded, 1 what was recorded as that was sent."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._thread = ThreadValues()

    @property
    def generation(self) -> int:
        """The generation of what is recorded now, in this thread."""
        generation: int = getattr(self._thread.get(), "generation", 0)
        return generation

    @contextmanager
    def sending(self, events: Iterable[Event]) -> Iterator[None]:
        """Let what is recorded in the block, in this thread, come of ``events``."""
        outer = self.generation
        known = self._known
        parents = [known.get(event.id, 0) for event in events] if known else []
        own = self._thread.get()
        own.generation = 1 + max(parents, default=0)
        try:
            yield
        finally:
            own.generation = outer

    def note(self, events: Iterable[Event]) -> None:
        """Remember the generation of ``events``, which are recorded now, where it is not 0."""
        generation = self.generation
        if not generation:
            return
        for event in events:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()  # a few go round again
            self._known[event.id] = generation


lineage = Lineage()

"""Counting what code does, where timing it would tell of the machine: calls, and memory."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_calls(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Calls, Any]:
    """Call ``function``; return which functions were called for it how often, and its result.

    Those in C count as those in Python do. Other threads are not counted.
    """
    calls = Calls()

    def count(frame: FrameType, event: str, argument: Any) -> None:  # pragma: no cover - untraced
        if event == "call":
            calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1
        elif event == "c_call":
            calls[f"{argument.__qualname__} (C)"] += 1

    # Whoever profiles the tests goes on afterwards.
    earlier = sys.getprofile()
    sys.setprofile(count)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.setprofile(earlier)
    del calls["setprofile (C)"]  # with which the counting ends
    return calls, result


class Calls(Counter[str]):
    """How often each function was called; ``total()`` is how many calls there were."""

    def __sub__(self, other: Counter[str]) -> Calls:
        """Return what there is more than in ``other``: below 0 where there is less."""
        more = Calls(self)
        more.subtract(other)
        return more

    def name_most(self, number: int = 12) -> str:
        """Return the most frequent calls, a line each."""
        return "\n".join(f"{times:8} {name}" for name, times in self.most_common(number))


def count_bytes(function: Callable[[], object]) -> int:
    """Return how many bytes are held more after ``function``, as tracemalloc counts them."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def count_blocks(function: Callable[[], object]) -> int:
    """Return how many blocks of memory ``function`` leaves to the garbage collection, or holds."""
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        function()
        return sys.getallocatedblocks() - before
    finally:
        gc.enable()

"""What every contestant records: one impression with its placement; and what several need."""

from __future__ import annotations

import threading
from collections.abc import Callable

EVENT = "impression"
USER = "0192d5c7-6f1c-7c3a-9c58-3f7f2b0d9a41"  # the shopper's opaque user id
PATH = "/category/shoes/"
PAGE = 2
PAGE_SIZE = 24
DEVICE_TYPE = "desktop"
CHANNEL = "onsite"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def describe(bid: str, position: int) -> dict[str, str | int]:
    """Return the impression as peers take it: as properties or attributes, all of them flat."""
    return {
        "bid": bid,
        "path": PATH,
        "position": position,
        "page": PAGE,
        "page_size": PAGE_SIZE,
        "opaque_user_id": USER,
        "device_type": DEVICE_TYPE,
        "channel": CHANNEL,
    }


def build_dsn(url: str) -> str:
    """Return the address of a project at Sentry, such as ``http://key@localhost:9000/1``."""
    return f"{url.replace('://', '://key@')}/1"


def wait_for(flush: Callable[[], object], timeout: float) -> None:
    """Call a client's ``flush``, which may wait without end, and wait ``timeout`` seconds."""
    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    thread.join(timeout)

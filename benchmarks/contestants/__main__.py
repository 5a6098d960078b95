"""``python -m benchmarks.contestants NAME [EVENTS]``: whether a contestant delivers at all.

Prints, as JSON, how many requests it took and how many events were lost or came twice.
"""

from __future__ import annotations

import json
import sys

from benchmarks.child import cut, record_page
from benchmarks.contestants import load
from benchmarks.sink import Sink


def main(name: str, events: int = 1000) -> None:
    """Record that many events, a page at a time, and see what comes."""
    contestant = load(name)
    with Sink() as sink:
        contestant.start(sink.url)
        for bids in cut(events):
            record_page(contestant, bids)
        contestant.flush(30)
        taken = sink.take()
    print(
        json.dumps(
            {
                "requests": taken.requests,
                "bytes": taken.bytes,
                "lost": events - len(taken.bids),
                "repeated": sum(taken.bids.values()) - len(taken.bids),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

"""``python -m benchmarks.contestants NAME [EVENTS]``: whether a contestant delivers at all.

Prints, as JSON, how many requests it took and how many events were lost or came twice.
"""

from __future__ import annotations

import json
import sys

from benchmarks.contestants import load
from benchmarks.contestants.impressions import PAGE_SIZE
from benchmarks.sink import Sink


def main(name: str, events: int = 1000) -> None:
    """Record that many events, a page at a time, and see what comes."""
    contestant = load(name)
    with Sink() as sink:
        contestant.start(sink.url)
        for start in range(0, events, PAGE_SIZE):
            contestant.begin_page()
            for number in range(start, min(start + PAGE_SIZE, events)):
                contestant.record(f"bid-{number}", number - start + 1)
            contestant.end_page()
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

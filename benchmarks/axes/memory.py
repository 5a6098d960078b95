"""How much memory an event takes that waits to be delivered."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

from benchmarks import contestants
from benchmarks.child import PAGE, record_page
from benchmarks.measuring import SilentServer, build_pages, leave, read_memory

if TYPE_CHECKING:
    from benchmarks.axes import Row
    from benchmarks.contestants import Contestant
    from benchmarks.running import Bench

TITLE = "Memory of what waits"
ABOUT = """\
Bytes by event that waits in the client while the service takes connections and does not answer:
the growth of the process's memory (RSS) over the recording of 5,000, 20,000 and 50,000 events,
garbage collected; the text of each bid is in it. What sending needs has been
imported before, and all connections that the client makes are open. Traced: the same by
tracemalloc, for 5,000. Peers whose queue holds 10,000 are measured with 5,000."""
FIGURES = {
    "5000": "bytes, 5,000 events",
    "20000": "bytes, 20,000 events",
    "50000": "bytes, 50,000 events",
    "traced": "bytes, traced",
}
CONTESTANTS = (contestants.OURS, contestants.FLOOR, "posthog", "segment", "rudder")
MOST_ROUNDS = 3

FEW = 5_000
MANY = (20_000, 50_000)
FIRST = 20  # pages, so that each of several connections has something to wait for
SETTLING = 1.0  # seconds for the connections after the first


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once; each number of events in a process of its own."""
    python = bench.get_python(contestant)
    figures: Row = dict.fromkeys(FIGURES)
    is_large = contestant not in contestants.PEERS
    for count in (FEW, *(MANY if is_large else ())):
        figures[str(count)] = bench.run(__name__, contestant, count, "rss", python=python)["bytes"]
    figures["traced"] = bench.run(__name__, contestant, FEW, "traced", python=python)["bytes"]
    return figures


def settle(client: Contestant, server: SilentServer) -> None:
    """Record a few pages, and wait until the client has begun to send them."""
    for bids in build_pages(FIRST, name="first"):
        record_page(client, bids)
    if not server.wait():
        raise RuntimeError("the client has not begun to send")
    time.sleep(SETTLING)
    gc.collect()


def hold(client: Contestant, count: int) -> None:
    """Record ``count`` events, page by page; the bids are the client's alone afterwards."""
    for page in range(count // PAGE):
        record_page(client, [f"bid-{page}-{number}" for number in range(PAGE)])
    gc.collect()


def main(name: str, count: str, how: str) -> None:
    """Record in this process, and say how many bytes an event has taken."""
    server = SilentServer()
    client = contestants.load(name)
    client.start(server.url)
    settle(client, server)
    if how == "traced":
        tracemalloc.start()
        hold(client, int(count))
        held = tracemalloc.get_traced_memory()[0]
    else:
        before = read_memory()
        hold(client, int(count))
        held = read_memory() - before
    leave({"bytes": held / (int(count) // PAGE * PAGE)})


if __name__ == "__main__":
    main(*sys.argv[1:])

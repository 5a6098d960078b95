"""A server that takes whatever the clients send, as fast as it can, and counts it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Taken:
    """What the sink got. ``bids``: how often each bid came. ``first``, ``last``: monotonic times."""

    requests: int
    bytes: int
    bids: dict[str, int]
    first: float
    last: float


class Sink:
    """The sink, in a process of its own: ``with Sink(delay=0.03) as sink: ... sink.url``."""

    url: str

    def __init__(self, delay: float = 0.0) -> None:
        raise NotImplementedError

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """End the process."""

    def go_down(self) -> None:
        """Refuse connections, and break off those that are open."""

    def come_back(self) -> None:
        """Answer again, at the same address."""

    def count(self) -> int:
        """Return how many requests have been answered so far: cheap, to wait by."""
        raise NotImplementedError

    def take(self) -> Taken:
        """Read what has come (decompressed, decoded) and return it. Slow; to be asked at the end."""
        raise NotImplementedError

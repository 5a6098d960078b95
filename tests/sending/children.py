"""What a child of multiprocessing does; one that is spawned imports this module first."""

from __future__ import annotations

import os

from django_topsort.sending.sender import Sender
from django_topsort.sending.wiring import SenderOptions
from tests.sending.engine import Api, Ears, build_event, build_wiring


class Telling(Api):
    """Writes the ids of what it was sent."""

    def __call__(self, body: bytes, limit: float | None = None, /) -> None:
        super().__call__(body, limit)
        for event_id in self.requests[-1]:
            os.write(1, f"{event_id}\n".encode())


def put_one(event_id: str) -> None:
    sender = Sender(build_wiring(Telling(), Ears(), SenderOptions(flush_interval=60.0)))
    sender.put([build_event(event_id=event_id)])

"""An endpoint that notes what it is sent, and fails on demand."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse

HANG = 0  # instead of a status: no answer until it is let go


@dataclass
class Recorder:
    """What one test's pages have posted."""

    fault: int | None = None  # the status of all answers, or HANG
    requests: list[dict[str, Any]] = field(default_factory=list)
    taken: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    let_go: threading.Event = field(default_factory=threading.Event)

    def get(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind that were answered with 204."""
        return list(self.taken.get(kind, []))

    def get_products(self, kind: str) -> Counter[str]:
        """Return how often each product, or bid, was reported."""
        return Counter(name(event) for event in self.get(kind))

    def get_posted(self, kind: str) -> list[str]:
        """Return the ids of a kind in all requests, whatever the answer was."""
        return [event["id"] for said in self.requests for event in said["body"].get(kind, [])]


def name(event: dict[str, Any]) -> str:
    """Return the product of an event, else its bid."""
    return str(event["entity"]["id"] if "entity" in event else event["resolvedBidId"])


recorders: dict[str, Recorder] = {}


def record(request: HttpRequest, number: str) -> HttpResponse:
    """Take events as the contract has it: 204, or what the test wants."""
    recorder = recorders[number]
    fault = recorder.fault
    body = json.loads(request.body)
    recorder.requests.append(
        {
            "body": body,
            "size": len(request.body),
            "headers": dict(request.headers),
            "query": request.META["QUERY_STRING"],
            "fault": fault,
        }
    )
    if fault == HANG:
        recorder.let_go.wait(20)
    if fault:
        return HttpResponse(status=fault)
    for kind, events in body.items():
        recorder.taken.setdefault(kind, []).extend(events)
    return HttpResponse(status=204)

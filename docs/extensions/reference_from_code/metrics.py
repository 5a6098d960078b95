"""The metrics: from what ``status.format_prometheus`` writes of a status with all figures in it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from django_topsort.events import EVENT_KINDS
from django_topsort.status import OUTBOX_FIGURES, format_prometheus, get_status
from docs.extensions.reference_from_code.markdown import write_code, write_table

SAMPLE = re.compile(r"^(\w+)(?:{(.*)})? \S+$")
LABEL = re.compile(r'(\w+)="')


class Metric(NamedTuple):
    """A metric: its name, its type, the labels of its samples and its help."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def build_full_status() -> dict[str, Any]:
    """Return a status as ``get_status()`` has it, in which each figure is there."""
    status = get_status()
    for figures in status["process"].values():
        figures["reasons"] = {"overflow": 1}
    outbox = dict.fromkeys(OUTBOX_FIGURES, 0) | {"oldest_seconds": 1.0}
    for name in ("oldest_seconds", "last_success_at", "last_error_at"):
        status[name] = 1.0
    status["outbox"] = {kind: dict(outbox) for kind in EVENT_KINDS}
    return status


def get_metrics() -> list[Metric]:
    """Return the metrics in the order in which they are written."""
    found: dict[str, Metric] = {}
    helps: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for line in format_prometheus(build_full_status()).splitlines():
        if line.startswith("# HELP "):
            name, _, helps[name] = line.removeprefix("# HELP ").partition(" ")
        elif line.startswith("# TYPE "):
            name, _, kinds[name] = line.removeprefix("# TYPE ").partition(" ")
        elif sample := SAMPLE.match(line):
            name, labels = sample[1], tuple(LABEL.findall(sample[2] or ""))
            found[name] = Metric(name, kinds.get(name, "untyped"), labels, helps.get(name, ""))
    return list(found.values())


def write_metrics() -> str:
    """Return a table of the metrics."""
    rows = [
        (write_code(one.name), one.kind, ", ".join(map(write_code, one.labels)), one.help)
        for one in get_metrics()
    ]
    return write_table(("metric", "type", "labels", "what it counts"), rows) + "\n"

"""Every metric, once: its name, what it says, and where it stands in a status.

Prometheus' text format, the collector of ``django_topsort.contrib.prometheus`` and the instruments
of ``django_topsort.contrib.opentelemetry`` are made of this list, and so have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from django_topsort.tallies import HARMLESS

Status = Mapping[str, Any]
Sample = tuple[tuple[str, ...], float]  # the values of the labels, and the figure

# Given up without a loss: left out on purpose, wanted so, or of a page that nobody has seen.
NO_LOSS = HARMLESS | {"disabled", "server_error"}
LINK_STATES = ("recorded", "delivered", "rejected", "dropped", "waiting")
OUTBOX_STATES = {
    "waiting": "that wait to be sent",
    "delivered": "that Topsort has taken, until they are deleted",
    "rejected": "that Topsort has refused",
    "dead": "that were given up: dead letters",
}


class Metric(NamedTuple):
    """One metric. ``read`` yields its samples of a status.

    ``name`` is Prometheus' name; ``dotted`` and ``unit`` make the same of it in OpenTelemetry.
    ``across`` says what processes make of their figures together: ``"sum"`` or ``"max"``, or
    ``"same"``, which is of what they share, so that each of them says it.
    """

    name: str
    dotted: str
    unit: str
    is_counter: bool
    help: str
    labels: tuple[str, ...]
    across: str
    read: Callable[[Status], Iterator[Sample]]


def _build_event_metric(name: str, said: str, *, is_counter: bool = True) -> Metric:
    def read(status: Status) -> Iterator[Sample]:
        for kind, figures in status["process"].items():
            yield (kind,), figures[name]

    return Metric(
        name=f"topsort_events_{name}{'_total' if is_counter else ''}",
        dotted=f"topsort.events.{name}",
        unit="{event}",
        is_counter=is_counter,
        help=f"Events that one process has {said}.",
        labels=("kind",),
        across="sum",
        read=read,
    )


def _read_dropped(status: Status) -> Iterator[Sample]:
    for kind, figures in status["process"].items():
        for reason, count in sorted(figures["reasons"].items()):
            yield (kind, reason), count


def _read_lost(status: Status) -> Iterator[Sample]:
    for kind, figures in status["process"].items():
        reasons = figures["reasons"].items()
        yield (kind,), sum(count for reason, count in reasons if reason not in NO_LOSS)


def _read_links(status: Status) -> Iterator[Sample]:
    for name in LINK_STATES:
        yield (name,), status["links"][name]


def _build_health_metric(
    name: str,
    said: str,
    read: Callable[[Status], float | None],
    across: str = "max",
    unit: str = "",
) -> Metric:
    def read_one(status: Status) -> Iterator[Sample]:
        value = read(status)
        if value is not None:
            yield (), value

    return Metric(
        name=f"topsort_{name}",
        dotted=f"topsort.{name.removesuffix('_seconds')}",
        unit=unit,
        is_counter=False,
        help=said,
        labels=(),
        across=across,
        read=read_one,
    )


def _build_outbox_metric(name: str, said: str, key: str, unit: str) -> Metric:
    def read(status: Status) -> Iterator[Sample]:
        for kind, figures in (status["outbox"] or {}).items():
            yield (kind,), figures[key] or 0

    return Metric(
        name=f"topsort_outbox_{name}",
        dotted=f"topsort.outbox.{name.removesuffix('_seconds')}",
        unit=unit,
        is_counter=False,
        help=said,
        labels=("kind",),
        across="same",
        read=read,
    )


def _read_outbox_up(status: Status) -> Iterator[Sample]:
    if status["outbox"] is not None:
        yield (), 1
    elif status["error"]:
        yield (), 0


METRICS: tuple[Metric, ...] = (
    _build_event_metric("recorded", "recorded"),
    _build_event_metric("taken", "taken from the outbox to send them"),
    _build_event_metric("delivered", "delivered"),
    _build_event_metric("rejected", "had refused by Topsort"),
    _build_event_metric("dropped", "given up, by reason")._replace(
        labels=("kind", "reason"), read=_read_dropped
    ),
    _build_event_metric("lost", "given up for a reason that is a loss")._replace(read=_read_lost),
    _build_event_metric("stored", "put into the outbox"),
    _build_event_metric("waiting", "in memory", is_counter=False),
    Metric(
        name="topsort_links",
        dotted="topsort.links",
        unit="{link}",
        is_counter=False,
        help="Links of users of one process, by what became of them.",
        labels=("is",),
        across="sum",
        read=_read_links,
    ),
    _build_health_metric(
        "paused",
        "Whether one process takes Topsort to be unable to answer: 1 or 0.",
        lambda status: int(status["is_paused"]),
    ),
    _build_health_metric(
        "oldest_seconds",
        "For how long the oldest event in the memory of one process waits; 0: nothing waits.",
        lambda status: status["oldest_seconds"] or 0,
        unit="s",
    ),
    _build_health_metric(
        "queue_size",
        "How many events one process holds in memory at most, purchases not counted.",
        lambda status: status["queue_size"],
        across="sum",
        unit="{event}",
    ),
    _build_health_metric(
        "last_success_at",
        "When Topsort has last taken events of one process, as Unix time.",
        lambda status: status["last_success_at"],
    ),
    _build_health_metric(
        "last_error_at",
        "When a request of one process has last failed, as Unix time.",
        lambda status: status["last_error_at"],
    ),
    Metric(
        name="topsort_outbox_up",
        dotted="topsort.outbox.up",
        unit="",
        is_counter=False,
        help="Whether the outbox could be asked, where there is one.",
        labels=(),
        across="same",
        read=_read_outbox_up,
    ),
    *(
        _build_outbox_metric(name, f"Events of all processes {said}.", name, "{event}")
        for name, said in OUTBOX_STATES.items()
    ),
    _build_outbox_metric(
        "oldest_seconds",
        "For how long the oldest event in the outbox waits; 0: nothing waits.",
        "oldest_seconds",
        "s",
    ),
)
PROCESS_METRICS = tuple(metric for metric in METRICS if metric.across != "same")
SHARED_METRICS = tuple(metric for metric in METRICS if metric.across == "same")


def format_text(status: Status) -> Iterator[str]:
    """Yield the lines of Prometheus' text format.

    What processes count apart has the ``pid`` of this one: an answer comes from any of them.
    """
    for metric in METRICS:
        samples = [*metric.read(status)]
        if not samples:
            continue
        yield f"# HELP {metric.name} {metric.help}"
        yield f"# TYPE {metric.name} {'counter' if metric.is_counter else 'gauge'}"
        for values, figure in samples:
            labels = dict(zip(metric.labels, values, strict=True))
            if metric.labels and metric.across == "sum":
                labels["pid"] = str(status["pid"])
            shown = ",".join(f'{name}="{value}"' for name, value in labels.items())
            yield f"{metric.name}{{{shown}}} {figure}" if shown else f"{metric.name} {figure}"

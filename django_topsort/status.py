"""What became of all events, in one answer: of this process, and of the outbox of all processes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from django_topsort.accounts import LINK_FIGURES, accounts
from django_topsort.delivery import log_safely
from django_topsort.events import EVENT_KINDS
from django_topsort.reporting import HARMLESS
from django_topsort.routing import get_all_backends
from django_topsort.tallies import get_tallies

PROCESS_FIGURES = ("recorded", "taken", "delivered", "rejected", "dropped", "stored", "waiting")
HELP = {
    "recorded": "recorded",
    "taken": "taken from the outbox to send them",
    "delivered": "delivered",
    "rejected": "had refused by Topsort",
    "dropped": "given up, by reason",
    "stored": "put into the outbox",
    "waiting": "in memory",
}
LINKS = (*LINK_FIGURES, "waiting")
LEFT_OUT = sorted({*HARMLESS, "invalid"})
OUTBOX_FIGURES = ("stored", "waiting", "delivered", "rejected", "dead")


def get_status() -> dict[str, Any]:
    """Return what became of the events of this process, and what is in the outbox.

    ::

        {
            "pid": 4711,
            "process": {"impressions": {"recorded": 24, ..., "waiting": 0, "reasons": {}}, ...},
            "links": {"recorded": 0, ...},  # of users: see TOPSORT_LINK_USERS
            "oldest_seconds": None,         # for how long the oldest one in memory waits
            "is_paused": False,             # whether Topsort is taken to be unable to answer
            "last_success_at": 1790000000.0, "last_error_at": None, "last_error": "",  # Unix time
            "left_out": {"2026-11-25": {"clicks": {"duplicate": 3}}},   # in all processes, by UTC
            "outbox": {"purchases": {"stored": 3, "waiting": 1, ..., "oldest_seconds": 2.5}, ...},
            "error": "",                    # of a backend that could not be asked
        }

    Per kind and at every moment, recorded + taken = delivered + rejected + dropped + stored +
    waiting in the process, and stored = waiting + delivered + rejected + dead in the outbox.
    ``left_out``: what browsers and click links report and does not count, by the default cache.
    ``outbox`` is None where there is none, and where its database does not answer (``error``). It
    costs a query, so not on every page. Never raises.
    """
    last = accounts.last
    status: dict[str, Any] = {
        "pid": os.getpid(),
        "process": accounts.get_counts(),
        "links": accounts.get_link_counts(),
        "oldest_seconds": None,
        "is_paused": False,
        "last_success_at": last.success_at,
        "last_error_at": last.error_at,
        "last_error": last.error,
        "left_out": get_tallies(EVENT_KINDS, LEFT_OUT),
        "outbox": None,
        "error": "",
    }
    _ask_backends(status)
    return status


def _ask_backends(status: dict[str, Any]) -> None:
    """Add to ``status`` what the backends say of themselves."""
    for backend in get_all_backends():
        try:
            state = backend.get_state()
        except Exception as error:
            name = type(backend).__module__
            status["error"] = f"{name}: {type(error).__name__}: {error}"
            said = "status not known backend=%s error=%s"
            log_safely(logging.ERROR, ("status", name), said, name, type(error).__name__)
            continue
        ages = [status["oldest_seconds"], state.get("oldest_seconds")]
        status["oldest_seconds"] = max((age for age in ages if age is not None), default=None)
        status["is_paused"] |= state.get("is_paused", False)
        status["outbox"] = state.get("outbox") or status["outbox"]


def describe_status(status: dict[str, Any]) -> str:
    """Return a status as a person reads it."""
    now = time.time()
    lines = [f"This process ({status['pid']})", *_build_table(status["process"], PROCESS_FIGURES)]
    for kind, figures in status["process"].items():
        for reason, count in sorted(figures["reasons"].items()):
            lines.append(f"  dropped {kind} {reason}: {count}")
    links = status["links"]
    if links["recorded"]:
        lines.append("  links of users: " + ", ".join(f"{links[name]} {name}" for name in LINKS))
        lines += [f"  dropped links {why}: {links['reasons'][why]}" for why in links["reasons"]]
    if status["is_paused"]:
        lines.append(
            "  paused: Topsort does not answer, or a setting is wrong, or a broker is not well"
        )
    lines += [
        f"  oldest waiting: {_describe_age(status['oldest_seconds'])}",
        f"  last success: {_describe_moment(status['last_success_at'], now)}",
        f"  last error: {_describe_moment(status['last_error_at'], now)} {status['last_error']}",
    ]
    lines += _describe_left_out(status["left_out"])
    if status["error"]:
        lines += ["", f"Not known, is it migrated and there? {status['error']}"]
    elif status["outbox"] is None:
        lines += ["", "No outbox"]
    else:
        lines += ["", "Outbox (all processes)", *_build_table(status["outbox"], OUTBOX_FIGURES)]
        for kind, figures in status["outbox"].items():
            if figures["oldest_seconds"] is not None:
                age = _describe_age(figures["oldest_seconds"])
                lines.append(f"  oldest waiting {kind}: {age}")
    return "\n".join(line.rstrip() for line in lines)


def format_prometheus(status: dict[str, Any]) -> str:
    """Return a status in Prometheus' text format, to be scraped from a view or a file."""
    metrics = (*_build_event_metrics(status), *_build_link_metrics(status))
    metrics = (*metrics, *_build_health_metrics(status))
    return "".join(f"{line}\n" for line in (*metrics, *_build_outbox_metrics(status)))


def _build_event_metrics(status: dict[str, Any]) -> Iterator[str]:
    for name in PROCESS_FIGURES:
        kind_of_metric = "gauge" if name == "waiting" else "counter"
        suffix = "" if name == "waiting" else "_total"
        yield f"# HELP topsort_events_{name}{suffix} Events that one process has {HELP[name]}."
        yield f"# TYPE topsort_events_{name}{suffix} {kind_of_metric}"
        for kind, figures in status["process"].items():
            labels = f'kind="{kind}",pid="{status["pid"]}"'
            if name != "dropped":
                yield f"topsort_events_{name}{suffix}{{{labels}}} {figures[name]}"
                continue
            for reason, count in sorted(figures["reasons"].items()):
                labels = f'kind="{kind}",reason="{reason}",pid="{status["pid"]}"'
                yield f"topsort_events_dropped_total{{{labels}}} {count}"


def _build_link_metrics(status: dict[str, Any]) -> Iterator[str]:
    yield "# HELP topsort_links Links of users of one process, by what became of them."
    yield "# TYPE topsort_links gauge"
    for name in LINKS:
        yield f'topsort_links{{is="{name}",pid="{status["pid"]}"}} {status["links"][name]}'


def _build_health_metrics(status: dict[str, Any]) -> Iterator[str]:
    yield "# TYPE topsort_paused gauge"
    yield f"topsort_paused {int(status['is_paused'])}"
    for name in ("oldest_seconds", "last_success_at", "last_error_at"):
        yield f"# TYPE topsort_{name} gauge"
        if status[name] is not None:
            yield f"topsort_{name} {status[name]}"


def _build_outbox_metrics(status: dict[str, Any]) -> Iterator[str]:
    yield "# HELP topsort_outbox_up Whether the outbox could be asked, where there is one."
    yield "# TYPE topsort_outbox_up gauge"
    if status["outbox"] is None:
        if status["error"]:
            yield "topsort_outbox_up 0"
        return
    yield "topsort_outbox_up 1"
    for name in OUTBOX_FIGURES[1:]:
        yield f"# TYPE topsort_outbox_{name} gauge"
        for kind, figures in status["outbox"].items():
            yield f'topsort_outbox_{name}{{kind="{kind}"}} {figures[name]}'
    yield "# TYPE topsort_outbox_oldest_seconds gauge"
    for kind, figures in status["outbox"].items():
        yield f'topsort_outbox_oldest_seconds{{kind="{kind}"}} {figures["oldest_seconds"] or 0}'


def _build_table(figures: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    yield "  " + "kind".ljust(12) + "".join(name.rjust(11) for name in names)
    for kind, counts in figures.items():
        yield "  " + kind.ljust(12) + "".join(str(counts[name]).rjust(11) for name in names)


def _describe_left_out(left_out: dict[str, Any]) -> Iterator[str]:
    for day, kinds in sorted(left_out.items()):
        yield ""
        yield f"Left out on {day} (all processes that share the cache)"
        for kind, reasons in kinds.items():
            for reason, count in sorted(reasons.items()):
                yield f"  {kind} {reason}: {count}"


def _describe_age(seconds: float | None) -> str:
    return "nothing waits" if seconds is None else f"{seconds:.1f} s"


def _describe_moment(moment: float | None, now: float) -> str:
    return "never" if moment is None else f"{max(0.0, now - moment):.1f} s ago"

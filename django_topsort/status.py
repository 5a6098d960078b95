"""What became of all events, in one answer: of this process, and of the outbox of all processes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django_topsort.accounts import LINK_FIGURES, accounts
from django_topsort.delivery import log_safely
from django_topsort.events import EVENT_KINDS
from django_topsort.metrics import format_text
from django_topsort.routing import get_all_backends, get_backends
from django_topsort.tallies import HARMLESS, get_tallies

if TYPE_CHECKING:
    from django_topsort.backends.base import BaseEventBackend

PROCESS_FIGURES = ("recorded", "taken", "delivered", "rejected", "dropped", "stored", "waiting")
LINKS = (*LINK_FIGURES, "waiting")
LEFT_OUT = sorted({*HARMLESS, "invalid"})
OUTBOX_FIGURES = ("stored", "waiting", "delivered", "rejected", "dead")


def get_status(*, left_out: bool = True) -> dict[str, Any]:
    """Return what became of the events of this process, and what is in the outbox.

    ::

        {
            "pid": 4711,
            "process": {"impressions": {"recorded": 24, ..., "waiting": 0, "reasons": {}}, ...},
            "links": {"recorded": 0, ...},  # of users: see TOPSORT_LINK_USERS
            "oldest_seconds": None,         # for how long the oldest one in memory waits
            "is_paused": False,             # whether Topsort is taken to be unable to answer
            "queue_size": 50000,            # that memory holds; None: no thread backend
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

    The argument says whether to ask the cache for ``left_out``.
    """
    status = _read_accounts()
    if left_out:
        status["left_out"] = get_tallies(EVENT_KINDS, LEFT_OUT)
    _ask_backends(status, get_all_backends())
    return status


def get_process_status() -> dict[str, Any]:
    """Return of ``get_status`` what this process knows by itself: no query, no cache. Never raises.

    ``left_out`` is empty and ``outbox`` None. Only backends that have been used are asked.
    """
    status = _read_accounts()
    _ask_backends(status, [one for one in get_backends() if not one.transactional])
    return status


def _read_accounts() -> dict[str, Any]:
    last = accounts.last
    return {
        "pid": os.getpid(),
        "process": accounts.get_counts(),
        "links": accounts.get_link_counts(),
        "oldest_seconds": None,
        "is_paused": False,
        "queue_size": None,
        "last_success_at": last.success_at,
        "last_error_at": last.error_at,
        "last_error": last.error,
        "left_out": {},
        "outbox": None,
        "error": "",
    }


def _ask_backends(status: dict[str, Any], backends: Iterable[BaseEventBackend]) -> None:
    """Add to ``status`` what the backends say of themselves."""
    for backend in backends:
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
        status["queue_size"] = state.get("queue_size") or status["queue_size"]
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
    return "".join(f"{line}\n" for line in format_text(status))


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

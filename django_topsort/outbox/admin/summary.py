"""The top of the list: what is the matter in words and figures, and what to do next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from django.utils.text import get_text_list
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_topsort.backends.thread import read_number
from django_topsort.conf import topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.admin.figures import Figures, Part, get_figures
from django_topsort.outbox.admin.listing import MOST
from django_topsort.outbox.admin.reasons import REASONS
from django_topsort.outbox.background import get_pause
from django_topsort.outbox.models import WAITING, Status

WELL, BUSY, BAD = "well", "busy", "bad"
GRACE = timedelta(minutes=2)  # for which what is due may be left before it is said to be


class Cell(NamedTuple):
    """A figure, what it leads to, and whether it is bad."""

    text: str
    query: str
    is_bad: bool
    note: str = ""


class Row(NamedTuple):
    """The figures of one kind."""

    kind: str
    cells: tuple[Cell | None, ...]


class Cause(NamedTuple):
    """One of the most frequent reasons: how many have it, what it is called, what the rows say."""

    total: int
    title: str
    text: str
    query: str


class Summary(NamedTuple):
    """All that stands above the list. ``level``: "well", "busy" or "bad".

    ``needs``: whether there is something that nothing but a person helps.
    """

    level: str
    headline: str
    advice: str
    rows: tuple[Row, ...]
    facts: tuple[str, ...]
    causes: tuple[Cause, ...]
    needs: bool


def build_summary() -> Summary:
    """Return what is to be said now. Raises what the database does."""
    figures = get_figures()
    level, headline, advice = judge(figures)
    return Summary(
        level,
        headline,
        advice,
        tuple(_build_row(figures, kind) for kind in EVENT_KINDS_BY_WORTH),
        tuple(_build_facts(figures)),
        tuple(_build_causes(figures)),
        bool(figures.find((Status.REJECTED,), "purchases") or figures.find((Status.DEAD,))),
    )


EVENT_KINDS_BY_WORTH = sorted(EVENT_KINDS, key=lambda kind: kind != "purchases")


def say_count(parts: list[Part]) -> str:
    """Return how many rows there are, in figures."""
    count = sum(min(part.total, MOST) for part in parts)
    if any(part.total > MOST for part in parts):
        return _("more than %(count)s") % {"count": f"{count:,}"}
    return f"{count:,}"


def say_age(then: datetime, now: datetime) -> str:
    """Return for how long something has been, in words."""
    if now - then < timedelta(minutes=1):
        return _("less than a minute")
    return timesince(then, now)


def judge(figures: Figures) -> tuple[str, str, str]:
    """Return how bad it is, what is the matter, and what to do next."""
    lost = figures.find((Status.REJECTED,), "purchases")
    dead = figures.find((Status.DEAD,))
    waiting = figures.find(WAITING)
    reason = REASONS.get(figures.failure.text.partition(" ")[0]) if figures.failure else None
    if idle := _find_idle(figures, waiting):
        said = _("Nobody is sending: what is due has been left for %(age)s.") % {"age": idle}
        return BAD, said, _advise_idle()
    if waiting and reason is not None and _is_failing(figures):
        said = _("%(count)s wait, because the last requests failed: %(reason)s.")
        values = {"count": _name(waiting), "reason": reason.title}
        return BAD, said % values, str(reason.advice)
    if lost:
        said = _("%(count)s refused by Topsort: somebody must look at them.")
        return BAD, said % {"count": _name(lost)}, str(REASONS["InvalidRequest"].advice)
    if dead:
        said = _("%(count)s given up: they are sent again only if somebody says so.")
        advice = _(
            "If the cause is gone, choose them and “Send again what was refused or given up”."
        )
        return BAD, said % {"count": _name(dead)}, advice
    if waiting and figures.failure is not None:
        said = _("%(count)s wait for their next try; Topsort has taken others since they failed.")
        advice = _("Nothing has to be done. Choose them and “Send now” if it should be at once.")
        return BUSY, said % {"count": _name(waiting)}, advice
    if waiting:
        said = _("%(count)s wait, and are being sent.") % {"count": _name(waiting)}
        return BUSY, said, _("Nothing has to be done.")
    return WELL, _("Nothing waits, and nothing was lost."), _("Nothing has to be done.")


def _name(parts: list[Part]) -> str:
    """Return how many events these are, the purchases among them apart."""
    purchases = [part for part in parts if part.kind == "purchases"]
    others = [part for part in parts if part.kind != "purchases"]
    names = []
    if purchases:
        total = sum(part.total for part in purchases)
        said = ngettext("%(count)s purchase", "%(count)s purchases", total)
        names.append(said % {"count": say_count(purchases)})
    if others:
        total = sum(part.total for part in others)
        if purchases:
            said = ngettext("%(count)s other event", "%(count)s other events", total)
        else:
            said = ngettext("%(count)s event", "%(count)s events", total)
        names.append(said % {"count": say_count(others)})
    return str(get_text_list(names, _("and")))


def _is_failing(figures: Figures) -> bool:
    """Whether the last that is known of is a failure."""
    at = figures.failure.at if figures.failure else None
    return at is not None and (figures.delivered_at is None or at > figures.delivered_at)


def _find_idle(figures: Figures, waiting: list[Part]) -> str:
    """Return for how long nobody has taken what is due; empty where somebody does."""
    if any(part.leased for part in waiting) or get_pause():
        return ""
    patience = GRACE + timedelta(
        seconds=read_number("TOPSORT_OUTBOX_LEASE", 1)
        + 1.5 * read_number("TOPSORT_OUTBOX_SWEEP_INTERVAL", 0)
    )
    signs = [figures.delivered_at, figures.failure.at if figures.failure else None]
    last = max((sign for sign in signs if sign is not None), default=None)
    if last is not None and figures.now - last <= patience:
        return ""
    # A new row is due some minutes before it is there, for the sake of clocks that differ.
    since = [max(part.first_due, part.oldest) for part in waiting if part.first_due and part.oldest]
    first = min(since, default=None)
    if first is None or figures.now - first <= patience:
        return ""
    return say_age(first, figures.now)


def _advise_idle() -> str:
    if not topsort_settings.TOPSORT_OUTBOX_RELAY:
        return _(
            "Processes do not send by themselves here (TOPSORT_OUTBOX_RELAY is False): start"
            " manage.py topsort_relay, or find out why it has ended."
        )
    return _(
        "Look at the logs of the shop's processes for “outbox not relayed”; until it is found,"
        " manage.py topsort_relay sends from anywhere."
    )


def _build_row(figures: Figures, kind: str) -> Row:
    columns = ((WAITING, True), ((Status.REJECTED,), False), ((Status.DEAD,), False))
    return Row(kind, tuple(_build_cell(figures, kind, *column) for column in columns))


def _build_cell(
    figures: Figures, kind: str, statuses: tuple[Status, ...], is_waiting: bool
) -> Cell | None:
    parts = figures.find(statuses, kind)
    if not parts:
        return None
    narrowed = {"waiting": "any"} if is_waiting else {"status__exact": statuses[0].value}
    query = urlencode({**narrowed, "kind__exact": kind})
    if not is_waiting:
        is_bad = kind == "purchases" or statuses == (Status.DEAD,)
        return Cell(say_count(parts), query, is_bad)
    oldest = min(part.oldest for part in parts if part.oldest is not None)
    age = say_age(oldest, figures.now)
    is_more = any(part.total > MOST for part in parts)
    note = (_("for at least %(age)s") if is_more else _("for up to %(age)s")) % {"age": age}
    is_bad = kind == "purchases" and figures.now - oldest > timedelta(hours=1)
    return Cell(say_count(parts), query, is_bad, note)


def _build_facts(figures: Figures) -> list[str]:
    """Return what is known of the sending, over all processes as far as the rows tell."""
    now = figures.now
    facts = []
    if figures.delivered_at is None:
        facts.append(_("Last delivered: nothing that is still here."))
    else:
        facts.append(
            _("Last delivered: %(age)s ago.") % {"age": say_age(figures.delivered_at, now)}
        )
    leased = sum(part.leased for part in figures.find(WAITING))
    if leased:
        said = ngettext(
            "%(count)s event is being sent at this moment.",
            "%(count)s events are being sent at this moment.",
            leased,
        )
        facts.append(said % {"count": f"{leased:,}"})
    if figures.failure is not None:
        said = _("Last failure among what waits: within the last %(age)s, %(text)s")
        is_new = now - figures.failure.at < timedelta(minutes=1)
        age = _("minute") if is_new else timesince(figures.failure.at, now)
        values = {"age": age, "text": figures.failure.text}
        facts.append(said % values)
    if announced := figures.find((Status.ANNOUNCED,)):
        said = _("Of what waits, %(count)s announced: the order is looked at when it is committed.")
        facts.append(said % {"count": _name(announced)})
    if pause := get_pause():
        said = _("This process has paused: it asks Topsort again in %(count).0f seconds.")
        facts.append(said % {"count": pause})
    return facts


def _build_causes(figures: Figures) -> list[Cause]:
    return [
        Cause(
            count,
            str(REASONS[name].title) if name else _("other"),
            text,
            urlencode({"reason": name}) if name else "",
        )
        for name, text, count in figures.reasons
    ]

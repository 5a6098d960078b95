"""What a soak was to hold: sums that agree at both ends, all purchases, memory that is flat."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

KINDS = ("pageviews", "impressions", "clicks", "purchases")
ENDS = ("delivered", "rejected", "dropped", "stored", "waiting")
MAX_GROWTH = 16 * 1024  # KiB that the processes of a server may have grown since it was warm
PART = 0.2  # of the samples: so many at the beginning are warming up, so many tell how it was


@dataclass(kw_only=True)
class Report:
    """What became of a site: ``said`` is what its shoppers did, ``counts`` what its accounts say.

    Both by kind. ``rejected``: the ids of the purchases that it says were refused; they may be
    another site's, with which it shares an outbox. ``unnamed``: those of them that its log does not
    name. ``kib``: its memory, sampled at even intervals.
    """

    name: str
    said: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    orders: frozenset[str]
    poisons: frozenset[str]
    rejected: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()
    failed_pages: int = 0
    kib: Sequence[int] = ()

    @property
    def growth(self) -> int:
        """How many KiB more it takes at the end than when it had become warm."""
        size = max(1, int(len(self.kib) * PART))
        warm = self.kib[size : 2 * size]
        if not warm:
            return 0
        return int(statistics.median(self.kib[-size:]) - statistics.median(warm))


@dataclass(kw_only=True)
class Taken:
    """What the API took, by kind and each event once; ``altered``: what came again, but changed."""

    counts: Counter[str] = field(default_factory=Counter)
    purchases: set[str] = field(default_factory=set)
    altered: int = 0


def judge(reports: Sequence[Report], taken: Taken) -> list[str]:
    """Return what is wrong, a sentence each; nothing when all is well."""
    wrong: list[str] = []
    for report in reports:
        wrong += [f"{report.name}: {fault}" for fault in _judge_report(report)]
    for kind in KINDS:
        wrong += [f"{kind}: {fault}" for fault in _judge_sums(reports, kind, taken.counts[kind])]
    orders = _unite(report.orders for report in reports)
    poisons = _unite(report.poisons for report in reports)
    rejected = _unite(report.rejected for report in reports)
    wrong += _compare("did not arrive", orders - taken.purchases)
    wrong += _compare("arrived, but nobody ordered them", taken.purchases - orders)
    wrong += _compare("are poison and not rejected", poisons - rejected)
    wrong += _compare("are rejected for nothing", rejected - poisons)
    if taken.altered:
        wrong.append(f"{taken.altered} events came again with another content")
    return wrong


def _judge_sums(reports: Sequence[Report], kind: str, arrived: int) -> Iterator[str]:
    """Compare the sums of all sites: what one has stored another may have sent."""
    sums = Counter[str]()
    for report in reports:
        sums += Counter(report.counts[kind])
    said = sum(report.said[kind] for report in reports)
    if said != sums["recorded"]:
        yield f"{said} happened, {sums['recorded']} recorded"
    if sums["stored"] != sums["taken"]:
        yield f"{sums['stored'] - sums['taken']} are in the outbox still"
    # A row whose lease was lost is sent and counted again, and the API knows it by its id.
    again = sums["delivered"] - arrived
    if again < 0 or (again and not sums["taken"]):
        yield f"{sums['delivered']} delivered, the API took {arrived}"


def _judge_report(report: Report) -> Iterator[str]:
    for kind in KINDS:
        counts = report.counts[kind]
        if counts["recorded"] + counts["taken"] != sum(counts[end] for end in ENDS):
            yield f"{kind}: the accounts do not add up: {dict(counts)}"
        if counts["waiting"]:
            yield f"{kind}: {counts['waiting']} wait still"
    if report.counts["purchases"]["dropped"]:
        yield f"purchases: {report.counts['purchases']['dropped']} dropped"
    yield from _compare("are rejected, and the log does not say so", report.unnamed)
    if report.failed_pages:
        yield f"{report.failed_pages} pages failed"
    if report.growth > MAX_GROWTH:
        yield f"memory grew by {report.growth} KiB, {MAX_GROWTH} are allowed"


def _unite(some: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*some)


def _compare(what: str, ids: frozenset[str] | set[str]) -> list[str]:
    if not ids:
        return []
    return [f"purchases: {len(ids)} {what}: {', '.join(sorted(ids)[:5])}"]


def build_table(reports: Sequence[Report], taken: Taken) -> str:
    """Return the sums as lines of text."""
    head = ("site", "kind", "happened", "recorded", "taken", *ENDS, "API took")
    rows: list[tuple[str, ...]] = [head]
    for report in reports:
        for kind in KINDS:
            counts = report.counts[kind]
            names = ("recorded", "taken", *ENDS)
            figures = [report.said[kind], *(counts[name] for name in names)]
            rows.append((report.name, kind, *map(str, figures), ""))
    blank = [""] * (len(head) - 3)
    rows += [("all", kind, *blank, str(taken.counts[kind])) for kind in KINDS]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

"""What a soak was to hold: sums that agree at both ends, all purchases, memory that is flat."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

KINDS = ("pageviews", "impressions", "clicks", "purchases")
ENDS = ("delivered", "rejected", "dropped", "waiting")
MAX_GROWTH = 16 * 1024  # KiB that the processes of a server may have grown since it was warm
PART = 0.2  # of the samples: so many at the beginning are warming up, so many tell how it was


@dataclass(kw_only=True)
class Report:
    """What became of a site: ``said`` is what its shoppers did, ``counts`` what its accounts say.

    Both by kind. ``rejected``: the ids of the purchases that it says were refused. ``unnamed``:
    those of them that its log does not name. ``kib``: its memory, sampled at even intervals.
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
        delivered = sum(report.counts[kind]["delivered"] for report in reports)
        if delivered != taken.counts[kind]:
            wrong.append(f"{kind}: {delivered} delivered, the API took {taken.counts[kind]}")
    orders = frozenset[str]().union(*(report.orders for report in reports))
    wrong += _compare("purchases", "did not arrive", orders - taken.purchases)
    wrong += _compare("purchases", "arrived, but nobody ordered them", taken.purchases - orders)
    if taken.altered:
        wrong.append(f"{taken.altered} events came again with another content")
    return wrong


def _judge_report(report: Report) -> Iterator[str]:
    for kind in KINDS:
        counts = report.counts[kind]
        if report.said[kind] != counts["recorded"]:
            yield f"{kind}: {report.said[kind]} happened, {counts['recorded']} recorded"
        if counts["recorded"] != sum(counts[end] for end in ENDS):
            yield f"{kind}: the accounts do not add up: {dict(counts)}"
        if counts["waiting"]:
            yield f"{kind}: {counts['waiting']} wait still"
    if report.counts["purchases"]["dropped"]:
        yield f"purchases: {report.counts['purchases']['dropped']} dropped"
    yield from _compare(
        "purchases", "are poison and not rejected", report.poisons - report.rejected
    )
    yield from _compare("purchases", "are rejected for nothing", report.rejected - report.poisons)
    yield from _compare("purchases", "are rejected, and the log does not say so", report.unnamed)
    if report.failed_pages:
        yield f"{report.failed_pages} pages failed"
    if report.growth > MAX_GROWTH:
        yield f"memory grew by {report.growth} KiB, {MAX_GROWTH} are allowed"


def _compare(kind: str, what: str, ids: frozenset[str] | set[str]) -> list[str]:
    if not ids:
        return []
    return [f"{kind}: {len(ids)} {what}: {', '.join(sorted(ids)[:5])}"]


def build_table(reports: Sequence[Report], taken: Taken) -> str:
    """Return the sums as lines of text."""
    head = ("site", "kind", "happened", "recorded", *ENDS, "API took")
    rows: list[tuple[str, ...]] = [head]
    for report in reports:
        for kind in KINDS:
            counts = report.counts[kind]
            figures = [report.said[kind], counts["recorded"], *(counts[end] for end in ENDS)]
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

"""What a tag in a template costs beyond the function that it calls."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import contestants
from benchmarks.axes import Goal
from benchmarks.child import PAGE
from benchmarks.measuring import leave, measure_cpu
from benchmarks.project import build_engine, build_request, configure

if TYPE_CHECKING:
    from django.http import HttpRequest

    from benchmarks.axes import Row
    from benchmarks.running import Bench

TITLE = "Template tags"
ABOUT = """\
CPU of the page's thread for a loop over 24 products whose body is one tag with a bid and
`position=forloop.counter`, by tag; the loop itself is in the figures. Empty: a `simple_tag` that
takes the same arguments and does nothing. Function: `track_impression`, called 24 times by the
view. The ratio is that of the tag to the empty tag and the function together. Jinja2: the same
tag there."""
FIGURES = {
    "tag": "us, topsort_impression",
    "empty": "us, an empty simple_tag",
    "function": "us, track_impression",
    "ratio": "tag / (empty + function)",
    "attrs": "us, topsort_attrs",
    "jinja2": "us, topsort_impression in Jinja2",
}
CONTESTANTS = (contestants.OURS,)
GOALS = (Goal("ratio", limit=2.0),)

ARGUMENTS = "resolved_bid_id=bid position=forloop.counter"
LOOP = "{%% load topsort empty_tags %%}{%% for bid in bids %%}{%% %s %%}{%% endfor %%}"
JINJA2_LOOP = (
    "{% for bid in bids %}{% topsort_impression resolved_bid_id=bid, position=loop.index %}"
    "{% endfor %}"
)
WARM_UP = 20  # pages

Show = Callable[[Any], object]


def measure(contestant: str, bench: Bench) -> Row:
    """Measure one contestant once."""
    pages = 100 if bench.is_quick else 400
    return bench.run(__name__, pages, python=bench.ours)


def build_pages(bids: list[str]) -> dict[str, Show]:
    """Return what shows the page of 24, by the figure's key."""
    import jinja2
    from django.template import engines

    from django_topsort.tracking import track_impression

    django: Any = engines["django"]
    tags = {
        "tag": f"topsort_impression {ARGUMENTS}",
        "empty": f"empty_impression {ARGUMENTS}",
        "attrs": f"topsort_attrs {ARGUMENTS}",
    }
    templates = {key: django.from_string(LOOP % tag) for key, tag in tags.items()}
    shows: dict[str, Show] = {
        key: lambda request, one=one: one.render({"bids": bids}, request)  # type: ignore[misc]
        for key, one in templates.items()
    }
    extension = "django_topsort.jinja2.TopsortExtension"
    page = jinja2.Environment(extensions=[extension], autoescape=True).from_string(JINJA2_LOOP)
    shows["jinja2"] = lambda request: page.render(request=request, bids=bids)

    def call(request: HttpRequest) -> None:
        for position, bid in enumerate(bids, 1):
            track_impression(request, resolved_bid_id=bid, position=position)

    shows["function"] = call
    return shows


def time_page(show: Show) -> float:
    """Show a page within a request of its own; return the microseconds by tag."""
    from django.http import HttpResponse

    from django_topsort.middleware import TopsortMiddleware

    taken = 0.0

    def view(request: HttpRequest) -> HttpResponse:
        nonlocal taken
        taken = measure_cpu(lambda: show(request))
        return HttpResponse()

    TopsortMiddleware(view)(build_request())
    return taken / PAGE


def main(pages: str) -> None:
    """Show pages in this process, of each kind in turn, and say what they took."""
    configure(
        apps=("django_topsort",),
        TEMPLATES=[build_engine(libraries={"empty_tags": "benchmarks.empty_tags"})],
        TOPSORT_API_KEY="TSE_benchmark",
        TOPSORT_BACKENDS={"default": "django_topsort.backends.dummy.EventBackend"},
    )
    shows = build_pages([f"bid-{number}" for number in range(PAGE)])
    times: dict[str, list[float]] = {key: [] for key in shows}
    for number in range(WARM_UP + int(pages)):
        for key, show in shows.items():
            taken = time_page(show)
            if number >= WARM_UP:
                times[key].append(taken)
    figures = {key: statistics.median(some) for key, some in times.items()}
    figures["ratio"] = figures["tag"] / (figures["empty"] + figures["function"])
    leave(figures)


if __name__ == "__main__":
    main(*sys.argv[1:])

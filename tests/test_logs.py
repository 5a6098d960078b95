"""What a line of the log says stands in its record's fields, too, and nothing else does."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter

from django_topsort.exceptions import InvalidEvent, InvalidRequest, RateLimited
from django_topsort.logs import FieldLogger, Said, build_fields
from django_topsort.reporting import LogLimit, Reporter
from django_topsort.tracebacks import log_failure
from tests.readme import PAGES
from tests.strategies import build_full_events
from tests.test_house import PACKAGE, parse

IMPRESSION, CLICK, PURCHASE, PAGEVIEW = build_full_events()
NO_BID = InvalidRequest(
    "no such bid", status=400, err_code="bad_request", doc_url="https://docs.example/"
)
NAMED = re.compile(r"\b(said|message)\b")  # variables
LOGGING = {"debug", "info", "warning", "error", "exception", "log"}


@pytest.fixture
def report(caplog: pytest.LogCaptureFixture) -> Reporter:
    caplog.set_level(logging.DEBUG, "django_topsort")
    return Reporter(Reporter, LogLimit())


def get_fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["topsort"] for record in caplog.records]


def test_what_became_of_events_stands_in_fields(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.delivered([CLICK, CLICK])
    report.rejected([CLICK], NO_BID)
    report.rejected([PURCHASE], NO_BID)
    report.dropped([CLICK], "duplicate")
    report.dropped([CLICK, CLICK], "overflow")
    report.dropped([PURCHASE, msgspec.structs.replace(PURCHASE, id="a,b")], "shutdown")

    told = {
        "error": "status=400 errCode=bad_request no such bid docUrl=https://docs.example/",
        "status": 400,
        "err_code": "bad_request",
        "doc_url": "https://docs.example/",
    }
    lost = {"reason": "shutdown", "count": 2, "ids": [PURCHASE.id, "a,b"]}
    assert get_fields(caplog) == [
        {"event": "delivered", "events": 2},
        {"event": "rejected", "kind": "clicks", **told},
        {"event": "rejected", "kind": "purchases", **told, "count": 1, "ids": [PURCHASE.id]},
        {"event": "dropped", "kind": "clicks", "reason": "duplicate", "count": 1},
        {"event": "dropped", "kind": "clicks", "reason": "overflow", "count": 2},
        {"event": "dropped", "kind": "purchases", **lost},
    ]


def test_what_never_became_an_event_stands_in_fields(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/a kind=forged/"
    report.refused("clicks", InvalidEvent("id", "", "it must be 1 or more"), path)
    report.refused("pageviews", KeyError("sku"), path)
    report.left_out("purchases", "no_shopper", "order=%s: %s", "7 kind=x", "nobody knows")
    report.left_out("purchases", "no_commit", "100 % free text")

    assert get_fields(caplog) == [
        {
            "event": "left_out",
            "kind": "clicks",
            "reason": "invalid",
            "field": "id",
            "given": "str",
            "path": path,
            "detail": "it must be 1 or more",
        },
        {
            "event": "left_out",
            "kind": "pageviews",
            "reason": "invalid",
            "error": "KeyError",
            "path": path,
        },
        {
            "event": "left_out",
            "kind": "purchases",
            "reason": "no_shopper",
            "order": "7 kind=x",
            "detail": "nobody knows",
        },
        {
            "event": "left_out",
            "kind": "purchases",
            "reason": "no_commit",
            "detail": "100 % free text",
        },
    ]
    assert "reason=no_shopper order=7 kind=x: nobody knows" in caplog.text
    assert "reason=no_commit 100 % free text" in caplog.text


def test_failed_request_stands_in_fields_and_has_one_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    report = Reporter(Reporter, LogLimit(lambda: now[0]))
    error = RateLimited("slow down", status=429)
    for moment in (0.0, 30.0, 59.0, 61.0):
        now[0] = moment
        report.failed(error, 50)

    first, second = get_fields(caplog)
    assert (
        first.items() >= {"event": "request_failed", "waiting": 50, "error": "RateLimited"}.items()
    )
    assert first["status"] == 429
    assert second["left_out"] == 2


def test_fields_say_nothing_that_the_line_does_not_say(
    report: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    report.rejected([CLICK, PURCHASE], NO_BID)
    report.failed(NO_BID, 3)
    report.refused("clicks", InvalidEvent("opaque_user_id", "jane@example.com", "-"), "/cart/")

    for record, fields in zip(caplog.records, get_fields(caplog), strict=True):
        said = record.getMessage()
        for name, value in fields.items():
            shown = str(value).replace("_", " ") if name == "event" else str(value)
            found = value if isinstance(value, list) else shown.split()
            assert all(word in said for word in found), (name, value)
        assert "jane" not in json.dumps(fields)


@pytest.mark.parametrize(
    ("message", "values", "expected"),
    [
        ("not flushed", (), {"event": "not_flushed"}),
        ("cookie not set; are the settings right?", (), {"event": "cookie_not_set"}),
        (
            "browser's request not taken errCode=%s",
            ("bad",),
            {"event": "browsers_request_not_taken", "err_code": "bad"},
        ),
        (
            "not taken: more than TOPSORT_MAX_BODY_SIZE=%s",
            (9,),
            {"event": "not_taken", "TOPSORT_MAX_BODY_SIZE": 9},
        ),
        (
            "order=%s: its time cannot be read name=%s; it is now",
            ("7", "day"),
            {"event": "its_time_cannot_be_read", "order": "7", "name": "day"},
        ),
        ("signal not followed: %s", ("f",), {"event": "signal_not_followed", "detail": "f"}),
        ("rejected kind=purchases", (), {"event": "rejected", "kind": "purchases"}),
        ("closed by=%s", (Path("/x"),), {"event": "closed", "by": "/x"}),
        ("closed %s by=%s", (" ", None), {"event": "closed", "by": None}),
        ("named ids=%s", (Said("a,b", ids=["a", "b"]),), {"event": "named", "ids": ["a", "b"]}),
        ("is %s", (1.5,), {"event": "is", "detail": "1.5"}),
    ],
)
def test_fields_are_read_from_the_line(
    message: str, values: tuple[object, ...], expected: dict[str, object]
) -> None:
    assert build_fields(message, values) == expected


def test_logger_names_its_caller_and_keeps_quiet_below_its_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = FieldLogger(logging.getLogger(__name__))
    caplog.set_level(logging.INFO, __name__)
    logger.debug("unheard order=%s", "1")
    logger.info("heard order=%s", "2")
    try:
        raise KeyError("3")
    except KeyError:
        log_failure(logger, "failed order=%s", "3")

    heard, failed = caplog.records
    assert (heard.funcName, heard.name) == (
        "test_logger_names_its_caller_and_keeps_quiet_below_its_level",
        __name__,
    )
    assert heard.getMessage() == "heard order=2"
    assert get_fields(caplog) == [
        {"event": "heard", "order": "2"},
        {"event": "failed", "order": "3"},
    ]
    assert failed.exc_info is not None


# As the formatters of others show it


def format_with(formatter: logging.Formatter, report: Reporter) -> dict[str, Any]:
    """Return the line that a handler with ``formatter`` writes of two purchases lost."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logger = logging.getLogger("django_topsort")
    logger.addHandler(handler)
    try:
        report.dropped([PURCHASE], "shutdown")
    finally:
        logger.removeHandler(handler)
    found: dict[str, Any] = json.loads(written.getvalue())
    return found


FIELDS = {
    "event": "dropped",
    "kind": "purchases",
    "reason": "shutdown",
    "count": 1,
    "ids": [PURCHASE.id],
}


def test_json_logger_shows_them(report: Reporter) -> None:
    line = format_with(JsonFormatter("{levelname}{name}{message}", style="{"), report)

    assert line["topsort"] == FIELDS
    assert line["message"].startswith("dropped kind=purchases reason=shutdown count=1 ids=")
    assert (line["levelname"], line["name"]) == ("ERROR", "django_topsort.reporting")


def test_structlog_shows_them(report: Reporter) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )

    line = format_with(formatter, report)

    assert line["topsort"] == FIELDS
    assert line["event"].startswith("dropped kind=purchases reason=shutdown")


# All places that log


def get_modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "testing" not in path.parts:
            yield path, parse(path)


def get_calls(module: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield the calls of methods, by owner and name; of functions with ``""`` for the owner."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node
        elif isinstance(node, ast.Call):
            yield "", ast.unparse(node.func), node


def test_every_line_has_fields() -> None:
    """A logger is a FieldLogger, or is told the fields, or is that of a function that adds them."""
    without = [
        f"{path.name}:{call.lineno}"
        for path, module in get_modules()
        if "FieldLogger(logging.getLogger" not in ast.unparse(module)
        for owner, name, call in get_calls(module)
        if owner == "logger" and name in LOGGING
        if "extra" not in {keyword.arg for keyword in call.keywords}
    ]

    # Its logger is one of those.
    assert [place for place in without if not place.startswith("tracebacks.py")] == []


def get_messages(node: ast.AST) -> Iterator[str]:
    """Yield the texts in a part of a module that could be messages."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def get_events() -> set[str]:
    """Return the events of all messages that stand in the package."""
    events = set()
    for _, module in get_modules():
        for owner, name, call in get_calls(module):
            is_line = name in {"log_safely", "_log_safely", "_log", "log_failure"}
            if is_line or "logger" in owner or "_limit" in owner:
                for text in get_messages(call):
                    events.add(build_fields(text, ())["event"])
        for node in ast.walk(module):
            if isinstance(node, ast.Assign) and NAMED.search(ast.unparse(node.targets[0])):
                for text in get_messages(node.value):
                    events.add(build_fields(text, ())["event"])
    return events


def get_text(node: ast.AST | None) -> object:
    return getattr(node, "value", None)


def test_fields_that_are_told_are_those_of_the_line() -> None:
    dicts = [
        node
        for _, module in get_modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Dict)
    ]
    told = [one.values[0] for one in dicts if [*map(get_text, one.keys)][:1] == ["event"]]
    events = {get_text(value) for value in told if isinstance(value, ast.Constant)}

    assert len(events) == 4
    assert events <= get_events()


def test_documented_events_exist() -> None:
    table = PAGES["monitoring.md"].partition("## Log fields")[2].partition("\n## ")[0]
    named = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}

    assert {"dropped", "rejected", "left_out", "request_failed"} <= named
    assert named <= get_events()

"""Dashboard, alerts and docs/monitoring.md speak of metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from django_topsort.events import EVENT_KINDS
from django_topsort.metrics import LINK_STATES, METRICS, OUTBOX_STATES
from tests.readme import PAGES, ROOT, get_blocks
from tests.test_house import PACKAGE

FOLDER = PACKAGE / "contrib" / "prometheus"
PAGE = PAGES["monitoring.md"]
NAMES = {metric.name: metric for metric in METRICS}
TARGET_LABELS = {"job", "instance"}  # of what is scraped, by Prometheus itself
SELECTOR = re.compile(r"(topsort_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"')
BY = re.compile(r"\b(?:by|on|without|ignoring) \(([^)]*)\)")

(GROUP,) = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES: list[dict[str, Any]] = GROUP["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS = [target for panel in PANELS for target in panel.get("targets", [])]


def get_selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the metrics of an expression, with what is asked of their labels."""
    for name, matchers in SELECTOR.findall(expression):
        yield name, dict(MATCHER.findall(matchers))


def check_expression(expression: str) -> None:
    selectors = [*get_selectors(expression)]
    assert selectors
    for name, matchers in selectors:
        metric = NAMES[name]
        assert set(matchers) <= {*metric.labels, *TARGET_LABELS}, name
        assert matchers.get("kind", "clicks") in EVENT_KINDS
        is_rated = re.search(rf"(?:rate|increase)\({name}\b", expression) is not None
        assert is_rated == metric.is_counter or expression.startswith("absent("), name
    known = {label for name, _ in selectors for label in NAMES[name].labels}
    for labels in BY.findall(expression):
        assert set(labels.split(", ")) <= known | TARGET_LABELS


# Alerts


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_asks_for_metrics_that_are_exported(rule: dict[str, Any]) -> None:
    check_expression(rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_described_with_what_to_do(rule: dict[str, Any]) -> None:
    name, anchor = rule["alert"], rule["alert"].lower()
    summary = rule["annotations"]["summary"].replace("{{ $labels.kind }}", "events of a kind")
    row = f"| [{name}](#{anchor}) | {rule['labels']['severity']} | {rule.get('for', 'at once')} |"

    assert f"{row} {summary} |" in PAGE.splitlines()
    todo = PAGE.partition(f"\n### {name}\n")[2].partition("\n#")[0]
    assert len(todo.strip()) > 50
    url = rule["annotations"]["runbook_url"]
    assert url == f"https://github.com/topsort/django-topsort/blob/main/docs/monitoring.md#{anchor}"


def test_each_alert_has_its_own_name_and_all_that_are_described_exist() -> None:
    names = [rule["alert"] for rule in RULES]

    assert len(names) == len(set(names))
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == names


# Dashboard


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"])
def test_panel_asks_for_metrics_that_are_exported(target: dict[str, Any]) -> None:
    check_expression(target["expr"])
    for _, matchers in get_selectors(target["expr"]):
        assert matchers["job"] == "$job"


def test_dashboard_shows_every_metric() -> None:
    shown = {name for target in TARGETS for name, _ in get_selectors(target["expr"])}

    assert shown == set(NAMES)


def test_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of ours, and no id that another dashboard may have."""
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    sources = [one["datasource"] for one in [*PANELS, *TARGETS] if one.get("type") != "row"]
    ids = [panel["id"] for panel in PANELS]

    assert DASHBOARD["id"] is None
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert {name for name, _ in get_selectors(variables["job"]["definition"])} <= set(NAMES)
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)
    assert len(ids) == len(set(ids))
    assert all(panel["title"] for panel in PANELS)


def test_panels_have_a_place_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


def test_panels_have_what_their_kind_needs() -> None:
    for panel in PANELS:
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)) > 0


# The page


def test_table_of_metrics_is_that_of_the_code() -> None:
    rows = [
        f"| `{metric.name}` | {'counter' if metric.is_counter else 'gauge'}"
        f" | {', '.join(f'`{label}`' for label in metric.labels) or '-'}"
        f" | {metric.help} | `{metric.dotted}` |"
        for metric in METRICS
    ]

    assert re.findall(r"^\| `topsort_.*$", PAGE, re.MULTILINE) == rows


def test_values_of_labels_are_named() -> None:
    said = PAGE.partition("## Metrics")[2].partition("## Log fields")[0]

    for value in (*EVENT_KINDS, *LINK_STATES, *OUTBOX_STATES):
        assert value in said


def test_names_are_in_the_form_that_prometheus_asks_for() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"topsort_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == metric.is_counter
        assert metric.help.endswith(".")
    assert len(NAMES) == len(METRICS)


@pytest.mark.parametrize("language", ["json", "yaml"])
def test_blocks_can_be_read(language: str) -> None:
    (block,) = [one for one in get_blocks(PAGE) if one.language == language]

    assert json.loads(block.text) if language == "json" else yaml.safe_load(block.text)


def test_files_that_are_named_exist_and_come_with_the_package() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert "`django_topsort/contrib/prometheus/dashboard.json`" in PAGE
    assert "`alerts.yml`" in PAGE
    assert '"django_topsort.contrib.prometheus" = ["*.json", "*.yml"]' in pyproject

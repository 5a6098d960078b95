"""The reference that is written from the code: complete, and in the code's own words."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands
from django.core.management.base import SystemCheckError
from django.dispatch import Signal
from django.test import override_settings

import django_topsort
from django_topsort import events, receivers, signals
from django_topsort.conf import SETTINGS
from django_topsort.events import Impression, Page, Placement, Purchase, PurchaseItem
from django_topsort.jinja2 import TopsortExtension
from django_topsort.purchases.names import OrderNames
from django_topsort.status import format_prometheus, get_status
from django_topsort.templatetags.topsort import register
from docs.extensions.reference_from_code import settings as setting_pages
from docs.extensions.reference_from_code.builders import find_builders
from docs.extensions.reference_from_code.checks import get_checks, write_checks
from docs.extensions.reference_from_code.commands import (
    get_arguments,
    get_own_commands,
    write_commands,
)
from docs.extensions.reference_from_code.events import (
    build_samples,
    get_classes,
    get_fields,
    get_limits,
    get_said,
    write_events,
)
from docs.extensions.reference_from_code.markdown import write_code, write_table, write_text
from docs.extensions.reference_from_code.metrics import get_metrics, write_metrics
from docs.extensions.reference_from_code.order_names import write_order_names
from docs.extensions.reference_from_code.python_api import write_python_api
from docs.extensions.reference_from_code.rules import get_rules
from docs.extensions.reference_from_code.settings import describe_type, write_settings
from docs.extensions.reference_from_code.signals import get_signals, write_signals
from docs.extensions.reference_from_code.tags import (
    get_called,
    get_field_kinds,
    get_fields_name,
    get_tags,
    write_tags,
)

PACKAGE = Path(django_topsort.__file__).parent


def get_section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of any depth."""
    _, found, rest = text.partition(f"# {heading}\n")
    assert found, heading
    return re.split(r"^(?:\(.*\)=\n)?#", rest, maxsplit=1, flags=re.MULTILINE)[0]


# Settings.


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_stands_with_its_sentence_and_default(name: str) -> None:
    section = get_section(write_settings(), name)

    assert str(SETTINGS[name].__doc__) in section
    assert f"* Default: `{SETTINGS[name].default!r}`" in section
    assert re.search(r"^\* Type: `\S.*`$", section, re.MULTILINE)


def test_setting_says_what_is_allowed_and_which_check_says_so() -> None:
    section = get_section(write_settings(), "TOPSORT_OUTBOX_LEASE")

    assert "* Allowed: it must be a number of seconds, from 5 to 3600" in section
    assert "([E045](#check-E045))" in section


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (str | None, "str | None"),
        (tuple[float, float] | float, "tuple[float, float] | float"),
        (Callable[[], str] | str, "Callable[[], str] | str"),
        (Callable[..., object] | None, "Callable[..., object] | None"),
        (events.DeviceType, "'desktop' | 'mobile'"),
        (dict[str, str], "dict[str, str]"),
    ],
)
def test_type_is_written_as_in_code(kind: object, text: str) -> None:
    assert describe_type(kind) == text


def test_each_setting_knows_its_type() -> None:
    assert {name for name, one in SETTINGS.items() if not setting_pages.get_type(one)} == set()


# Checks.


def test_each_id_in_the_code_is_in_the_reference_once() -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    ids = {found for text in sources for found in re.findall(r"[\"'.]([EW]0\d\d)[\"']", text)}

    assert [check.id for check in get_checks()] == sorted(ids)
    assert re.findall(r"^## django_topsort\.(\w+)$", write_checks(), re.MULTILINE) == sorted(ids)


def test_each_check_has_a_text_and_a_hint() -> None:
    assert [check.id for check in get_checks() if not all((*check.texts, *check.hints))] == []


@pytest.mark.parametrize(
    ("name", "text", "hint", "when"),
    [
        (
            "E021",
            "TOPSORT_QUEUE_SIZE: {value} is not allowed, it must be a whole",
            "50000",
            "check",
        ),
        ("E005", "TOPSORT_API_URL: {url} is not allowed", '"https://api.topsort.com"', "check"),
        ("E010", "TOPSORT_BACKENDS has the key {key}", "Its keys are default, impre", "check"),
        ("W009", "{name} is no setting", "Did you mean {name}?", "check"),
        ("W010", "TOPSORT_STRICT is True", "Leave TOPSORT_STRICT out", "check --deploy"),
        ("W013", "The database {using} has no table", "Run manage.py", "check --database NAME"),
        ("E012", "The filebased backend has no file", "TOPSORT_FILE_PATH", "check"),
        ("E042", "names the outbox, whose app is", "Add django_topsort.outbox to", "check"),
        ("W015", "stands behind oscar", 'before "oscar.config.Shop"', "check"),
    ],
)
def test_check_speaks_as_it_does_in_a_project(name: str, text: str, hint: str, when: str) -> None:
    (check,) = (check for check in get_checks() if check.id == name)

    assert text in " ".join(check.texts)
    assert hint in " ".join(check.hints)
    assert check.when == f"manage.py {when}"


def test_check_that_says_two_things_has_both() -> None:
    (check,) = (check for check in get_checks() if check.id == "E016")

    assert check.texts == (
        "{name}: {value} cannot be imported, or cannot be called{why}.",
        "{name}: {value} is no function and no dotted path.",
    )


def test_text_of_a_check_is_what_manage_py_check_says() -> None:
    (check,) = (check for check in get_checks() if check.id == "E018")
    with (
        override_settings(TOPSORT_COOKIE_NAME="a b"),
        pytest.raises(SystemCheckError, match="E018") as error,
    ):
        call_command("check")

    assert check.texts[0].replace("{name}", "'a b'") in str(error.value)
    assert check.hints[0] in str(error.value)


def test_no_value_of_a_check_is_the_code_that_makes_it() -> None:
    parts = [part for one in find_builders() for text in one.texts for part in text.split("{")[1:]]

    assert [part for part in parts if not re.match(r"[a-z_]+}", part)] == []


def test_rules_are_those_of_settings() -> None:
    assert get_rules().keys() <= SETTINGS.keys()


# Tags.


@pytest.mark.parametrize("tag", sorted(register.tags))
def test_tag_stands_with_its_arguments_and_what_it_does(tag: str) -> None:
    section = get_section(write_tags(), tag)
    function = get_tags("django_topsort.templatetags.topsort")[tag]

    assert section.lstrip().startswith(f"```text\n{{% {tag} ")
    assert str(function.__doc__).split(".", maxsplit=1)[0] in section
    assert len(get_called(function)) == 1
    assert "In Jinja2 it takes the same arguments." in section
    assert tag in TopsortExtension.tags


def test_fields_of_a_tag_are_those_of_the_function_that_it_calls() -> None:
    tags = get_tags("django_topsort.templatetags.topsort")
    kinds = {tag: get_fields_name(get_called(tags[tag])[0]) for tag in tags}

    assert kinds == {
        "topsort_impression": "InteractionFields",
        "topsort_pageview": "EventFields",
        "topsort_placement": "PlacementFields",
        "topsort_click_url": "ClickFields",
        "topsort_attrs": "InteractionFields",
        "topsort_script": "",
    }


def test_each_field_is_in_a_table() -> None:
    text = write_tags()

    for name, kind in get_field_kinds().items():
        assert f"(fields-{name})=" in text
        for field in kind.__annotations__:
            assert f"| `{field}` |" in text


def test_tags_of_oscar_take_no_arguments() -> None:
    assert "{% topsort_oscar_page %}" in write_tags()


# Signals.


def test_each_signal_stands_with_its_arguments() -> None:
    names = {name for name, value in vars(signals).items() if isinstance(value, Signal)}

    assert {one.name for one in get_signals()} == names
    for one in get_signals():
        assert get_section(write_signals(), one.name).strip().endswith(one.says)
        assert one.says.startswith("Arguments: ")


def test_signals_are_told_apart_by_who_sends_them() -> None:
    sent = {one.name for one in get_signals() if one.is_sent_by_shops}

    assert sent == {"impression", "click", "pageview", "order_placed", "order_paid"}
    assert all(getattr(signals, name) is getattr(receivers, name) for name in sent)


def test_signal_without_a_comment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "order_lost", Signal(), raising=False)

    with pytest.raises(ValueError, match=r"a comment above each of .*order_lost"):
        get_signals()


# Events.


@pytest.mark.parametrize("kind", get_classes(), ids=lambda kind: kind.__name__)
def test_event_stands_with_its_fields(kind: type[events.Part]) -> None:
    section = get_section(write_events(), kind.__name__)

    for field in get_fields(kind):
        assert f"| `{field.name}`" in section
        assert f"`{field.encode_name}`" in section


@pytest.mark.parametrize("kind", get_classes(), ids=lambda kind: kind.__name__)
def test_samples_are_valid(kind: type[events.Part]) -> None:
    assert [kind(**sample) for sample in build_samples(kind)]


@pytest.mark.parametrize("kind", get_classes(), ids=lambda kind: kind.__name__)
def test_each_field_has_a_limit(kind: type[events.Part]) -> None:
    assert [field.name for field in get_fields(kind) if not get_limits(kind, field.name)] == []


@pytest.mark.parametrize(
    ("kind", "name", "limits"),
    [
        (Placement, "path", ["must be text of 1 to 2048 characters"]),
        (
            Placement,
            "position",
            ["must be a whole number from 1 to 2147483647", "must be 1 or more"],
        ),
        (Impression, "device_type", ["must be one of desktop, mobile"]),
        (PurchaseItem, "unit_price", ["must be a number above 0 and below 1000000000000"]),
        (
            Purchase,
            "items",
            [
                "must be a list of 1 to 5000 PurchaseItems",
                "must be an instance of PurchaseItem itself",
                "must make at most 524288 bytes of JSON",
            ],
        ),
    ],
)
def test_limits_are_what_the_classes_refuse(
    kind: type[events.Part], name: str, limits: list[str]
) -> None:
    assert sorted(get_limits(kind, name)) == sorted(limits)


def test_limits_that_hold_for_one_choice_only_are_there() -> None:
    limits = get_limits(Page, "value")

    assert "must be one text; only a page of type 'cart' has a list" in limits
    assert "must hold at most 5000 texts" in limits


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (Impression, "id", "the same at each attempt, so that a repeat is harmless; filled"),
        (Impression, "external_vendor_id", "the marketplace's own ids"),
        (Placement, "category_ids", "whose page this is"),
    ],
)
def test_field_is_described_in_the_words_of_its_class(
    kind: type[events.Part], name: str, said: str
) -> None:
    assert get_said(kind, name).startswith(said)


@pytest.mark.parametrize("kind", get_classes(), ids=lambda kind: kind.__name__)
def test_each_field_is_described(kind: type[events.Part]) -> None:
    assert [field.name for field in get_fields(kind) if not get_said(kind, field.name)] == []


# Commands.


def test_each_command_stands_with_its_arguments() -> None:
    text = write_commands()
    names = {name for name, app in get_commands().items() if app.startswith("django_topsort")}

    assert get_own_commands().keys() == names
    for name, command in get_own_commands().items():
        section = get_section(text, name)
        assert command.help in section
        for action in get_arguments(name, command):
            assert (action.option_strings or [str(action.metavar)])[0] in section


def test_each_argument_says_what_it_does() -> None:
    silent = [
        (name, action.dest)
        for name, command in get_own_commands().items()
        for action in get_arguments(name, command)
        if not action.help
    ]

    assert silent == []


def test_arguments_of_all_commands_are_left_out() -> None:
    assert "--verbosity" not in write_commands()


def test_command_is_written_as_it_is_typed() -> None:
    text = write_commands()

    assert "manage.py topsort_purchase LABEL KEY\n" in text
    assert "| `--port PORT` | default: 8787; 0: a free one |" in text
    assert "; one of text, json, prometheus; default: text |" in text
    assert "| `--dry-run` |" in text
    assert "| `--order NUMBER ...` |" in text


# Metrics, names of orders, and the Python API.


def test_each_metric_that_is_written_is_in_the_table() -> None:
    written = re.findall(r"^# TYPE (\w+) ", format_prometheus(get_status()), re.MULTILINE)
    named = {metric.name for metric in get_metrics()}

    assert set(written) <= named
    assert "topsort_outbox_waiting" in named
    assert all(f"`{name}`" in write_metrics() for name in named)


def test_metric_has_its_type_labels_and_help() -> None:
    (dropped,) = (one for one in get_metrics() if one.name == "topsort_events_dropped_total")

    assert dropped.kind == "counter"
    assert dropped.labels == ("kind", "reason", "pid")
    assert dropped.help.startswith("Events that one process has given up")


def test_names_of_orders_are_those_of_the_reader() -> None:
    text = write_order_names()

    assert f"`{OrderNames.lines_names[0]}`, `{OrderNames.lines_names[1]}`" in text
    assert "`key_names`" in text


@pytest.mark.parametrize(
    "name",
    [
        "tracking.track_impression",
        "orders.report_order",
        "testing.capture_events",
        "testing.FakeApi",
        "exceptions.InvalidEvent",
        "delivery.flush",
        "backends.base.BaseEventBackend",
    ],
)
def test_public_name_is_documented(name: str) -> None:
    assert re.search(rf"^.. auto\w+:: django_topsort\.{name}$", write_python_api(), re.MULTILINE)


def test_what_is_for_the_package_itself_is_not_documented() -> None:
    assert "log_safely" not in write_python_api()


# Markdown.


def test_cell_ends_neither_its_row_nor_its_column() -> None:
    assert (
        write_table(["a", "b"], [("x | y", "1\n2")])
        == "| a | b |\n| --- | --- |\n| x \\| y | 1 2 |"
    )


def test_text_means_nothing_to_markdown() -> None:
    assert write_text("a_b *c* <d>\n [e]") == r"a\_b \*c\* \<d\> \[e\]"


@pytest.mark.parametrize(("value", "code"), [("x", "`x`"), ("a `b`", "`` a `b` ``"), ("", "")])
def test_code_is_delimited(value: str, code: str) -> None:
    assert write_code(value) == code


def test_price_is_a_number_of_its_kind() -> None:
    assert build_samples(PurchaseItem)[0]["unit_price"] == Decimal(1)

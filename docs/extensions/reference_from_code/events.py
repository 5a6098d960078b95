"""The events and their parts: fields from the classes, limits from what they refuse.

Each field is given values that no event can have. What the class says then is the rule that holds,
in the words that a shop sees.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from django_topsort import events
from django_topsort.events import Event, Part
from django_topsort.exceptions import InvalidEvent
from django_topsort.fields import MAX_INTEGER, MAX_ITEMS, MAX_TEXT
from docs.extensions.reference_from_code.markdown import join_sections, write_code, write_table
from docs.extensions.reference_from_code.settings import describe_type

LONG = "x" * (MAX_TEXT + 1)
TOO_LONG: list[object] = ["x" * MAX_TEXT] * 50
NAMED = r"``\w+``(?: \([^)]*\))?(?:(?:,| and) ``\w+``(?: \([^)]*\))?)*"
SAID = re.compile(rf"({NAMED}): (.*?)(?=\s{NAMED}: |\Z)", re.DOTALL)


def get_classes() -> list[type[Part]]:
    """Return the events, then the parts that they are made of."""
    parts = [getattr(events, name) for name in events.__all__]
    found = [one for one in parts if inspect.isclass(one) and issubclass(one, Part)]
    kinds = typing.get_args(Event)
    return [*kinds, *(one for one in found if one not in kinds and one is not Part)]


def write_events() -> str:
    """Return a section for each event and each part."""
    paragraphs = (inspect.getdoc(events) or "").partition("\n\n")[2]
    return join_sections([paragraphs, *map(_write_class, get_classes())])


def _write_class(one: type[Part]) -> str:
    # Autodoc would show the addresses of the functions that fill in what is left out.
    names = ", ".join(
        field.name if field.required else f"{field.name}=..." for field in get_fields(one)
    )
    path = f"django_topsort.events.{one.__name__}"
    about = f"```{{eval-rst}}\n.. autoclass:: {path}(*, {names})\n```"
    rows = [_write_field(one, field) for field in get_fields(one)]
    head = ("field, in JSON", "type", "what it is, and its limits")
    heading = f"(event-{one.__name__})=\n## {one.__name__}"
    return f"{heading}\n\n{about}\n\n{write_table(head, rows)}"


def get_fields(one: type[Part]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of an event or a part, with the names that they have in JSON."""
    return msgspec.structs.fields(one)


def _write_field(one: type[Part], field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    names = dict.fromkeys((field.name, field.encode_name))
    name = "<br>".join(map(write_code, names)) + ("<br>required" if field.required else "")
    rules = "; ".join(get_limits(one, field.name))
    texts = [text for text in (get_said(one, field.name), rules) if text]
    return (name, _write_type(field), ". It ".join(texts))


def _write_type(field: msgspec.structs.FieldInfo) -> str:
    kind = describe_type(field.type).removesuffix(" | None")
    parts = (one.__name__ for one in get_classes())
    if part := next((part for part in parts if part in (kind, kind[kind.find("[") + 1 : -1])), ""):
        return f"[{write_code(kind)}](#event-{part})"
    return write_code(kind)


def get_said(one: type[Part], name: str) -> str:
    """Return what the docstring of a class, or of one that it is made from, says of a field."""
    for owner in one.__mro__:
        for named, said in SAID.findall(inspect.getdoc(owner) or ""):
            if f"``{name}``" in named:
                return " ".join(said.split()).rstrip(".")
    return ""


def get_limits(one: type[Part], name: str) -> list[str]:
    """Return the rules that a field holds to, each once."""
    rules: dict[str, None] = {}
    for error in _refusals(one, name):
        if error.field.rpartition(".")[2] == name:
            # Without what it says of the value that was given.
            rules[re.sub(r" \(it (has|makes) .*\)$", "", error.rule)] = None
    return [rule.removeprefix("it ") for rule in rules]


def _refusals(one: type[Part], name: str) -> Iterator[InvalidEvent]:
    for sample in build_samples(one):
        for value in _wrong_values():
            try:
                one(**{**sample, name: value})
            except InvalidEvent as error:
                yield error


def _wrong_values() -> list[object]:
    item = events.PurchaseItem(product_id="x" * MAX_TEXT, unit_price=Decimal(1))
    many = [["x"] * (MAX_ITEMS + 1), TOO_LONG, [item] * MAX_ITEMS, [object()]]
    return [object(), "", LONG, 0, MAX_INTEGER + 1, None, *many]


def build_samples(one: type[Part]) -> list[dict[str, Any]]:
    """Return arguments of which a class makes valid instances: a set for each of its choices."""
    fields = get_fields(one)
    sample = {field.name: _build_value(field.type) for field in fields if field.required}
    if any(field.name == "resolved_bid_id" for field in fields):
        sample["resolved_bid_id"] = "x"
    choices = [
        (field.name, choice)
        for field in fields
        if field.required and typing.get_origin(field.type) is typing.Literal
        for choice in typing.get_args(field.type)
    ]
    return [sample, *({**sample, name: choice} for name, choice in choices)]


def _build_value(kind: Any) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    if inspect.isclass(kind) and issubclass(kind, Part):
        return kind(**build_samples(kind)[0])
    if args := typing.get_args(kind):
        return [_build_value(args[0])]
    return {str: "x", Decimal: Decimal(1), datetime: datetime.now(UTC)}[kind]

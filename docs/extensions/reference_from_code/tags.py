"""The template tags: from their functions, and from the functions that those call."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_topsort import arguments
from django_topsort.jinja2 import TopsortExtension
from docs.extensions.reference_from_code.markdown import (
    join_sections,
    write_code,
    write_docstring,
    write_table,
)

if TYPE_CHECKING:
    from django.template import Library

LIBRARIES = (
    "django_topsort.templatetags.topsort",
    "django_topsort.contrib.oscar.templatetags.topsort_oscar",
)
UNPACKED = re.compile(r"Unpack\[(\w+)\]")


def get_tags(path: str) -> dict[str, Callable[..., Any]]:
    """Return the functions behind the tags of the library ``path``, by the tags' names."""
    library: Library = import_module(path).register
    return {name: inspect.unwrap(compiled) for name, compiled in library.tags.items()}


def write_tags() -> str:
    """Return a section for each tag of each library, and one for the fields that they share."""
    sections = [_write_library(path) for path in LIBRARIES]
    return join_sections([*sections, _write_fields()])


def _write_library(path: str) -> str:
    name = path.rpartition(".")[2]
    tags = (_write_tag(tag, function) for tag, function in get_tags(path).items())
    about = write_docstring(import_module(path)).partition("\n\n")[2]
    load = f"```html\n{{% load {name} %}}\n```"
    return join_sections([f"## {name}", load, about, *tags]).rstrip()


def _write_tag(tag: str, function: Callable[..., Any]) -> str:
    called = get_called(function)
    synopsis = "".join(f" {text}" for text in _write_parameters(function))
    return join_sections(
        [
            f"(tag-{tag})=\n### {tag}",
            f"```text\n{{% {tag}{synopsis} %}}\n```",
            write_docstring(function),
            *map(_write_called, called),
            _write_jinja2(tag, function),
        ]
    ).rstrip()


def get_called(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Return the documented functions of the package to which a tag hands its arguments."""
    names: list[str] = list(inspect.unwrap(function).__code__.co_names)
    module = vars(inspect.getmodule(function))
    found = [module.get(name) for name in names]
    return [
        one
        for one in found
        if isinstance(one, types.FunctionType)
        and one.__module__.startswith("django_topsort.")
        and one.__module__ != function.__module__
    ]


def _write_called(called: Callable[..., Any]) -> str:
    path = f"{called.__module__}.{called.__qualname__}"
    about = f"It calls {write_code(path)}:\n\n{write_docstring(called)}"
    kind = get_fields_name(called)
    fields = f"`fields` are [{kind}](#fields-{kind})." if kind else ""
    return join_sections([about, fields]).rstrip()


def get_fields_name(called: Callable[..., Any]) -> str:
    """Return the name of the TypedDict that says which ``**fields`` a function takes, or ``""``."""
    for parameter in inspect.signature(called).parameters.values():
        if found := UNPACKED.fullmatch(str(parameter.annotation)):
            return found[1]
    return ""


def _write_parameters(function: Callable[..., Any]) -> Iterator[str]:
    for name, parameter in list(inspect.signature(function).parameters.items()):
        if name in ("self", "context"):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            yield f"[{name}=...]".replace("fields=", "field=")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            yield f"[{name}=...]"
        elif parameter.default is parameter.empty:
            yield name
        elif parameter.default is None:
            yield f"[{name}]"
        else:
            yield f"[{name}={parameter.default!r}]"


def _write_jinja2(tag: str, function: Callable[..., Any]) -> str:
    if tag not in TopsortExtension.tags:
        return ""
    method = getattr(TopsortExtension, f"_{tag}")
    parameters = list(_write_parameters(method))
    if parameters == list(_write_parameters(function)):
        return "In Jinja2 it takes the same arguments."
    return f"In Jinja2: {write_code(f'{tag} ' + ' '.join(parameters))}"


def get_field_kinds() -> dict[str, type]:
    """Return the TypedDicts of ``arguments.py``, by their names."""
    return {
        name: kind
        for name, kind in vars(arguments).items()
        if name.endswith("Fields") and inspect.isclass(kind)
    }


def _write_fields() -> str:
    kinds = get_field_kinds()
    sections = [_write_kind(name, kind, kinds) for name, kind in kinds.items()]
    return join_sections(["## Fields", write_docstring(arguments), *sections]).rstrip()


def _write_kind(name: str, kind: type, kinds: dict[str, type]) -> str:
    bases = [
        base.__name__ for base in getattr(kind, "__orig_bases__", ()) if base in kinds.values()
    ]
    inherited = {field for base in bases for field in inspect.get_annotations(kinds[base])}
    rows = [
        (write_code(field), write_code(getattr(annotation, "__forward_arg__", annotation)))
        for field, annotation in inspect.get_annotations(kind).items()
        if field not in inherited
    ]
    besides = " and ".join(f"[{base}](#fields-{base})" for base in bases)
    return join_sections(
        [
            f"(fields-{name})=\n### {name}",
            write_docstring(kind),
            f"Besides those of {besides}:" if besides else "",
            write_table(("field", "type"), rows),
        ]
    ).rstrip()

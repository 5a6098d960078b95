"""The settings: from ``conf.SETTINGS``, and what their checks require from the checks' rules."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from django_topsort.conf import SETTINGS
from docs.extensions.reference_from_code.markdown import join_sections, write_code
from docs.extensions.reference_from_code.rules import get_rules

if typing.TYPE_CHECKING:
    from django_topsort.setting import Setting


def write_settings() -> str:
    """Return a section for each setting, in the order of ``conf.py``."""
    return join_sections(_write_setting(name, setting) for name, setting in SETTINGS.items())


def _write_setting(name: str, setting: Setting[Any]) -> str:
    rules = get_rules()
    lines = [
        f"(setting-{name})=",
        f"## {name}",
        "",
        str(setting.__doc__),
        "",
        f"* Type: {write_code(describe_type(get_type(setting)))}",
        f"* Default: {write_code(repr(setting.default))}",
    ]
    if name in rules:
        check = f"[{rules[name].id}](#check-{rules[name].id})"
        lines.append(f"* Allowed: {rules[name].says} ({check})")
    return "\n".join(lines)


def get_type(setting: Setting[Any]) -> object:
    """Return the type that a setting was declared with, as in ``Setting[int](...)``."""
    declared: Any = setting
    (found,) = typing.get_args(declared.__orig_class__)
    return found


def describe_type(found: object) -> str:
    """Return a type as it would be written in code, without the names of modules."""
    origin, args = typing.get_origin(found), typing.get_args(found)
    if origin is typing.Annotated:
        return describe_type(args[0])
    if origin is typing.Literal:
        return " | ".join(map(repr, args))
    if origin in (types.UnionType, typing.Union):
        return " | ".join(describe_type(arg) for arg in args)
    if found is type(None):
        return "None"
    if origin is not None:
        name = "Callable" if _is_callable(origin) else origin.__name__
        return f"{name}[{', '.join(_describe_arguments(args))}]"
    return found.__name__ if inspect.isclass(found) else str(found).removeprefix("typing.")


def _is_callable(origin: object) -> bool:
    return origin is typing.get_origin(Callable[..., Any])


def _describe_arguments(args: tuple[object, ...]) -> Iterator[str]:
    for arg in args:
        if arg is Ellipsis:
            yield "..."
        elif isinstance(arg, list):
            yield f"[{', '.join(_describe_arguments(tuple(arg)))}]"
        else:
            yield describe_type(arg)

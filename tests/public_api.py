"""What is public, as text: the names of docs/policies.md with their signatures, and the rest.

``python -m tests.public_api > tests/public_api.txt`` writes it anew. Its diff is what a change does
to those who use this package: a line that is gone or altered breaks somebody.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tests.scripts import ROOT

POLICIES = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(django_topsort[\w.]+)` \| (.*) \|$", re.MULTILINE)
# They import what only a shop of that kind has installed.
ELSEWHERE = ("django_topsort.contrib.",)


def get_public_names() -> dict[str, list[str]]:
    """Return the public names of each module, as docs/policies.md has them."""
    return {module: re.findall(r"`(\w+)`", names) for module, names in ROW.findall(POLICIES)}


def describe_public_api() -> str:
    """Return the text of the snapshot."""
    lines = [
        *describe_modules(),
        *describe_settings(),
        *describe_tags(),
        *describe_commands(),
        *describe_urls(),
    ]
    return "\n".join(lines) + "\n"


def describe_modules() -> Iterator[str]:
    for module, names in get_public_names().items():
        for name in names:
            path = f"{module}.{name}"
            if module.startswith(ELSEWHERE):
                yield path
            else:
                yield from describe(path, getattr(import_module(module), name))


def describe(path: str, thing: Any) -> Iterator[str]:
    """Yield a line for a thing, and one for each public attribute that a class of ours adds."""
    if not isinstance(thing, type):
        yield f"{path}{get_signature(thing) if callable(thing) else f': {type(thing).__name__}'}"
        return
    bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
    yield f"class {path}({bases})"
    if hasattr(thing, "__struct_fields__") or any(
        "__init__" in vars(one) for one in get_own(thing)
    ):
        yield f"    {get_call(thing)}"
    inherited = {name for one in thing.__mro__ if one not in get_own(thing) for name in vars(one)}
    own = {name for one in get_own(thing) for name in vars(one)} - inherited
    for name in sorted(own):
        if not name.startswith(("_", "test_")):
            yield f"    {describe_attribute(name, inspect.getattr_static(thing, name))}"


def get_own(thing: type) -> list[type]:
    """Return a class and those of its bases that are ours and have no lines of their own."""
    public = {f"{module}.{name}" for module, names in get_public_names().items() for name in names}
    return [
        one
        for one in thing.__mro__
        if one.__module__.startswith("django_topsort")
        and (one is thing or f"{one.__module__}.{one.__name__}" not in public)
    ]


def describe_attribute(name: str, attribute: Any) -> str:
    attribute = inspect.unwrap(getattr(attribute, "__func__", attribute))  # of a class method, too
    if inspect.isroutine(attribute) and hasattr(attribute, "__code__"):
        return f"{name}{get_signature(attribute)}"
    return name


def get_signature(thing: Any) -> str:
    return str(inspect.signature(thing))


def get_call(thing: type) -> str:
    """Return how a class is called, without types: each Python writes those in its own way."""
    signature = inspect.signature(thing)
    parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(parameters))


def describe_settings() -> Iterator[str]:
    from django_topsort.conf import SETTINGS

    yield from (f"setting {name} = {setting.default!r}" for name, setting in SETTINGS.items())


def describe_tags() -> Iterator[str]:
    from django_topsort.templatetags.topsort import register

    for name, compiled in sorted(register.tags.items()):
        yield f"tag {name}{get_signature(inspect.unwrap(compiled))}"


def describe_commands() -> Iterator[str]:
    from django.core.management import get_commands, load_command_class
    from django.core.management.base import BaseCommand

    usual = set(BaseCommand().create_parser("", "x")._option_string_actions)
    for name, app in sorted(get_commands().items()):
        if str(app).startswith("django_topsort"):
            parser = load_command_class(str(app), name).create_parser("", name)
            words = [a.dest for a in parser._get_positional_actions()]
            options = sorted(set(parser._option_string_actions) - usual)
            yield " ".join([f"command {name}", *words, *options])


def describe_urls() -> Iterator[str]:
    from django_topsort.urls import app_name, urlpatterns

    named = (pattern for pattern in urlpatterns if pattern.name)
    yield from (f"url {app_name}:{one.name} {one.pattern}" for one in named)


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.stdout.write(describe_public_api())


if __name__ == "__main__":
    main()

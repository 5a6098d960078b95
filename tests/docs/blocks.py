"""The blocks of code of the documentation's pages, and what makes one of each language right."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from django.core.management import get_commands, load_command_class
from django.template import Engine
from django.utils.module_loading import import_string
from jinja2 import Environment

from django_topsort.conf import SETTINGS
from docs.extensions.reference_from_code.rules import get_rules

ROOT = Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
ENGINE = Engine(
    libraries={
        "cache": "django.templatetags.cache",
        "i18n": "django.templatetags.i18n",
        "static": "django.templatetags.static",
        "topsort": "django_topsort.templatetags.topsort",
        "topsort_oscar": "django_topsort.contrib.oscar.templatetags.topsort_oscar",
    }
)
JINJA2 = ["django_topsort.jinja2.TopsortExtension"]


class CodeBlock(NamedTuple):
    """A block of code: its page, the line at which it begins, its language and its text."""

    page: str
    line: int
    language: str
    text: str


def find_blocks(page: str, text: str) -> Iterator[CodeBlock]:
    """Yield the blocks of a page, also those of lists, but for the directives of the site."""
    for found in FENCE.finditer(text):
        language = found["info"].partition(" ")[0]
        if not language.startswith("{"):
            line = text.count("\n", 0, found.start()) + 1
            yield CodeBlock(page, line, language, textwrap.dedent(found["text"]))


def check_python(text: str) -> None:
    """Require that it compiles, imports what there is of ours, and sets what is allowed."""
    module = ast.parse(text)
    compile(text, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_topsort"):
            for alias in node.names:
                assert import_string(f"{node.module}.{alias.name}") is not None
    for name, value in find_settings(module):
        rule = get_rules().get(name)
        assert name in SETTINGS
        assert rule is None or rule.accepts(value), f"{name} = {value!r}: {rule.says}"


def find_settings(module: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield the settings of ours that a module sets to a plain value."""
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if not name.startswith("TOPSORT_"):
                continue
            try:
                yield name, ast.literal_eval(node.value)
            except ValueError:
                continue  # it is read from the environment, for one


def check_html(text: str) -> None:
    """Require that a template compiles: one of Jinja2 where its delimiters are not Django's."""
    if "<%" in text:
        environment = Environment(  # nothing is rendered
            block_start_string="<%", block_end_string="%>", extensions=JINJA2
        )
        environment.from_string(text)
    else:
        ENGINE.from_string(text)


def check_jinja2(text: str) -> None:
    """Require that a template of Jinja2 compiles, with our tags."""
    Environment(extensions=JINJA2).from_string(text)  # nothing is rendered


def check_console(text: str) -> None:
    """Require that our commands take the options given, and that targets of make exist."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        for place, word in enumerate(words):
            if word == "make" and place == 0:
                targets = [one for one in words[1:] if "=" not in one]
                assert set(targets) <= TARGETS, f"make {targets}"
            if word.startswith("topsort_"):
                check_command(word, words[place + 1 :])


def check_command(name: str, words: list[str]) -> None:
    """Require that a command of ours exists, and has the options among ``words``."""
    assert name in get_commands(), f"there is no manage.py {name}"
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    options = {option for action in parser._actions for option in action.option_strings}
    for word in words:
        if word in {"|", "&&", ">", "&", ";"}:
            break
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{name} has no {word}"


def check_ini(text: str) -> None:
    """Require that a file of sections and options can be read."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the documentation says
    parser.read_string(text)
    assert parser.sections()


def check_nothing(text: str) -> None:
    """Ask nothing of what only a person or another program reads, but that there is something."""
    assert text.strip()


CHECKS: dict[str, Callable[[str], object]] = {
    "python": check_python,
    "html": check_html,
    "jinja": check_jinja2,
    "console": check_console,
    "sh": check_console,
    "bash": check_console,
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "ini": check_ini,
    # Names in them are looked at, as in all of a page.
    **dict.fromkeys(
        ("css", "dockerfile", "graphql", "http", "js", "nginx", "promql", "sql", "text", "vcl"),
        check_nothing,
    ),
}

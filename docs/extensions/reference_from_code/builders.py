"""Where the package's code makes a check's message, and what stands in it.

A message is mostly an f-string, and some say several things. So it is read from the code and not
made: what it takes from the project that is checked stands in braces, ``{name}``; constants of the
module stand there with their value.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import django_topsort

PACKAGE = Path(django_topsort.__file__).parent
CALLS = ("build_error", "build_warning", "Error", "Warning")
ID = re.compile(r"(?:django_topsort\.)?([EW]\d{3})")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Built(NamedTuple):
    """A message as the code makes it: its id, its texts and hints, and the function that does."""

    id: str
    texts: tuple[str, ...]
    hints: tuple[str, ...]
    function: str
    parameters: tuple[str, ...]


def find_builders() -> list[Built]:
    """Return each message that stands in the package's code with its id."""
    return [built for path in sorted(PACKAGE.rglob("*.py")) for built in _search_file(path)]


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _search_file(path: Path) -> Iterator[Built]:
    if not re.search(r"[\"'.][EW]\d{3}\"", path.read_text(encoding="utf-8")):
        return
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = import_module(".".join(parts).removesuffix(".__init__"))
    for function in ast.walk(_parse(path)):
        if not isinstance(function, Function):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        found = [(name, call) for call in calls if (name := _read_id(call))]
        for name, call in found:
            reader = Reader(module, function, call.lineno)
            text, hint = _read_arguments(call)
            names = tuple(arg.arg for arg in function.args.args)
            yield Built(name, reader.read(text), reader.read(hint), function.name, names)


def _read_id(call: ast.Call) -> str:
    """Return the id that a call makes a message with, or an empty text where it makes none."""
    if not isinstance(call.func, ast.Name) or call.func.id not in CALLS:
        return ""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    texts = (one.value for one in given if isinstance(one, ast.Constant))
    return next((found[1] for text in texts if (found := ID.fullmatch(str(text)))), "")


def _read_arguments(call: ast.Call) -> tuple[ast.expr, ast.expr]:
    """Return what gives the text and the hint: of our own builders, or of Django's classes."""
    if len(call.args) == 3:
        return call.args[1], call.args[2]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    text = call.args[0] if call.args else keywords["msg"]
    return text, keywords.get("hint", ast.Constant(""))


class Reader:
    """Reads expressions as texts, in the place of a function where they stand."""

    def __init__(self, module: ModuleType, function: Function, line: int) -> None:
        self.module = module
        self.function = function
        self.line = line

    def read(self, node: ast.expr) -> tuple[str, ...]:
        """Return the texts that an expression may be, as far as the code tells."""
        if isinstance(node, ast.IfExp):
            return self.read(node.body) + self.read(node.orelse)
        if isinstance(node, ast.BoolOp):
            return tuple(text for value in node.values for text in self.read(value))
        if isinstance(node, ast.Name) and (assigned := self._find_assigned(node.id)):
            return tuple(text for value in assigned for text in self.read(value))
        if isinstance(node, ast.Call) and (returned := self._find_returned(node)):
            return returned
        return (self._read_one(node),)

    def _read_one(self, node: ast.expr) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(map(self._read_one, node.values))
        if isinstance(node, ast.FormattedValue):
            return self._read_one(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "suggest":
            return "Did you mean {name}?"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = node.func.value
            if isinstance(text, ast.JoinedStr):
                return self._read_one(text)  # stripped, or the like
        try:
            return str(self._evaluate(node))
        except Exception:
            # It depends on what is checked.
            return f"{{{_name_value(node)}}}"

    def _evaluate(self, node: ast.expr) -> object:
        """Return the value of an expression of constants. Raises LookupError for any other."""
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        if not all(name.isupper() for name in names):
            raise LookupError(ast.unparse(node))
        code = compile(ast.Expression(node), self.module.__name__, "eval")
        return eval(code, vars(self.module))  # noqa: S307  # the package's own constants

    def _find_assigned(self, name: str) -> list[ast.expr]:
        """Return what the name was given last before the line, in either branch of an ``if``."""
        given = [
            (node, value)
            for node in ast.walk(self.function)
            if isinstance(node, ast.Assign) and node.lineno < self.line
            if (value := _get_assigned(node, name)) is not None
        ]
        given.sort(key=lambda pair: pair[0].lineno)
        if not given:
            return []
        last, value = given[-1]
        for branch in ast.walk(self.function):
            if isinstance(branch, ast.If) and last in branch.orelse:
                return [*(other for node, other in given if node in branch.body), value]
        return [value]

    def _find_returned(self, call: ast.Call) -> tuple[str, ...]:
        """Return the texts that a function of the module returns, where the call is of one."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        for node in _parse(Path(inspect.getfile(self.module))).body:
            if isinstance(node, Function) and node.name == name:
                ends = [one for one in ast.walk(node) if isinstance(one, ast.Return) and one.value]
                return tuple(
                    text
                    for end in ends
                    if end.value is not None
                    for text in Reader(self.module, node, end.lineno).read(end.value)
                )
        return ()


def _get_assigned(node: ast.Assign, name: str) -> ast.expr | None:
    (target, *_), value = node.targets, node.value
    if isinstance(target, ast.Name) and target.id == name:
        return value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=True)
        return next((one for at, one in pairs if isinstance(at, ast.Name) and at.id == name), None)
    return None


def _name_value(node: ast.expr) -> str:
    """Return what stands for a value in a message: ``{key}`` for ``{show(key)}``, for one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        return "value" if node.func.id == "getattr" else _name_value(node.args[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of = node.args[0] if node.func.attr == "join" and node.args else node.func.value
        return _name_value(of)
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Subscript):
        return _name_value(node.value)
    return ast.unparse(node)

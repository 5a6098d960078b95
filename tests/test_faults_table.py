"""The table of faults in docs/faults.md and the tests that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "faults.md"
ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \| (.+) \|")
TEST = re.compile(r"test_fault_(\d+)_\w+")


def read_rows() -> Iterator[tuple[int, str, str, str]]:
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if match := ROW.fullmatch(line):
            number, *texts = match.groups()
            yield int(number), *(text.strip() for text in texts)  # type: ignore[misc]


def find_tests() -> set[str]:
    """Return the tests of tests/faults, as ``test_api.py::test_fault_01_...``."""
    found = set()
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and TEST.match(node.name):
                found.add(f"{path.name}::{node.name}")
    return found


def test_rows_stand_in_order_and_once() -> None:
    numbers = [row[0] for row in read_rows()]

    assert numbers == sorted(set(numbers))


def test_each_row_says_what_happens_and_names_its_tests_or_why_there_is_none() -> None:
    tests = find_tests()
    for number, fault, answer, shown in read_rows():
        assert fault, number
        assert answer, number
        named = re.findall(r"`(test_[^`]+)`", shown)
        assert named or shown.startswith("none:"), f"row {number} names no test and no reason"
        for name in named:
            assert name in tests, f"row {number} names {name}, which is not in tests/faults"
            match = TEST.search(name)
            assert match is not None, name
            assert int(match[1]) == number, f"row {number} names {name}"


def test_each_test_of_a_fault_stands_in_the_table() -> None:
    named = set(re.findall(r"`(test_[^`]+)`", TABLE.read_text(encoding="utf-8")))

    assert find_tests() <= named

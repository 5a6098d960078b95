"""The bench at which a round stands: the environments, fresh processes and the sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sink import Sink


@dataclass
class Bench:
    """What an axis needs to measure.

    ``ours`` and ``peers``: the interpreters of the two environments. ``is_quick``: whether to do
    with less, such as a fifth of the events; for a run that only shows that all works.
    """

    ours: Path
    peers: Path
    is_quick: bool = False

    def get_python(self, contestant: str) -> Path:
        """Return the interpreter of a contestant's environment."""
        raise NotImplementedError

    def run(self, module: str, *arguments: object, python: Path | None = None) -> dict[str, Any]:
        """Run ``python -m module arguments`` afresh; return the JSON object of its last line."""
        raise NotImplementedError

    def open_sink(self, delay: float = 0.0) -> Sink:
        """Return a sink that has heard nothing yet, and answers after ``delay`` seconds."""
        raise NotImplementedError

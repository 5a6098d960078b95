"""Side by side with the peers: how fast each client records and delivers, and what it loses.

``make bench`` runs it; ``docs/benchmarks.md`` says what is measured, how, and what it
does not show.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the project, where all processes begin

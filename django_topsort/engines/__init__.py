"""The workers' side of the engines: tasks that post what the backends have given to a broker."""

from __future__ import annotations

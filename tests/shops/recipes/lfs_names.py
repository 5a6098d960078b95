"""As much of LFS as its recipe imports: its last release on the package index is of 2017.

The signals have no arguments of their own; LFS sends the order as the sender, with its request.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from django.dispatch import Signal

PAID = 1


def install_lfs() -> None:
    """Make the modules that the recipe imports."""
    signals = {"order_paid": Signal(), "order_submitted": Signal()}
    modules: dict[str, dict[str, Any]] = {
        "lfs": {},
        "lfs.core": {},
        "lfs.core.signals": signals,
        "lfs.order": {},
        "lfs.order.settings": {"SUBMITTED": 0, "PAID": PAID, "PAYMENT_FAILED": 5},
    }
    for name, names in modules.items():
        module = ModuleType(name)
        vars(module).update(names)
        sys.modules.setdefault(name, module)

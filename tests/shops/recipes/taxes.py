from __future__ import annotations

from decimal import Decimal
from typing import Any

from plans.taxation import TaxationPolicy


class FlatTax(TaxationPolicy):  # type: ignore[misc]  # the package has no types
    """A quarter of everything, for everybody."""

    def get_tax_rate(self, *args: Any, **kwargs: Any) -> tuple[Decimal, bool]:
        return Decimal(25), True

from __future__ import annotations

from oscar.apps.checkout.apps import CheckoutConfig as OscarCheckoutConfig


class CheckoutConfig(OscarCheckoutConfig):  # type: ignore[misc]  # Oscar has no types
    name = "tests.shops.oscar.checkout"

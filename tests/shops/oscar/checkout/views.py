from __future__ import annotations

from typing import Any

from oscar.apps.checkout.views import PaymentDetailsView as OscarPaymentDetailsView
from oscar.apps.payment.exceptions import RedirectRequired
from oscar.core.loading import get_model


class PaymentDetailsView(OscarPaymentDetailsView):  # type: ignore[misc]  # Oscar has no types
    """Takes the payment at once, or sends the shopper to the bank, as packages for payment do."""

    def handle_payment(self, order_number: Any, total: Any, **kwargs: Any) -> None:
        if self.request.POST.get("pay_with") == "bank":
            raise RedirectRequired(url=f"https://bank.example/{order_number}")
        source_type, _ = get_model("payment", "SourceType").objects.get_or_create(name="Card")
        source = get_model("payment", "Source")(
            source_type=source_type, amount_allocated=total.incl_tax, amount_debited=total.incl_tax
        )
        self.add_payment_source(source)
        self.add_payment_event("Settled", total.incl_tax)

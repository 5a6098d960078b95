"""The rows that outlive a request."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RememberedShopper(models.Model):
    """Who is ordering, kept at the checkout for a report that comes without the shopper.

    A bank's webhook or a clerk's click announces most paid orders: the shopper's cookie is not
    there.
    """

    order_key = models.CharField(
        _("order"), max_length=255, unique=True, help_text=_("The order's own number.")
    )
    opaque_user_id = models.CharField(_("opaque user id"), max_length=64)
    device_type = models.CharField(_("device type"), max_length=16, blank=True, default="")
    channel = models.CharField(_("channel"), max_length=16, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("remembered shopper")
        verbose_name_plural = _("remembered shoppers")

    def __str__(self) -> str:
        return self.order_key

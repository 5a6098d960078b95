"""The rows that outlive a request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

from django.db import connections, models, transaction
from django.utils.translation import gettext_lazy as _

from django_topsort.events import EVENT_KINDS

SCHEMA_VERSION = 1
# Purchases first: vendors are judged by them.
RELAY_ORDER = ("purchases", *(kind for kind in EVENT_KINDS if kind != "purchases"))
MAX_ERROR = 500  # characters


class Status(models.TextChoices):
    """What is known of a row; all but the first two are ends."""

    ANNOUNCED = "announced", _("announced: its order has not been read yet")
    PENDING = "pending", _("waiting")
    DELIVERED = "delivered", _("delivered")
    REJECTED = "rejected", _("refused by Topsort")
    DEAD = "dead", _("dead letter: given up")


WAITING = (Status.ANNOUNCED, Status.PENDING)
ENDS = (Status.DELIVERED, Status.REJECTED, Status.DEAD)


class Lease(NamedTuple):
    """For whom rows are, from when and until when, in the database's time."""

    token: str
    now: datetime
    until: datetime


class OutboxQuerySet(models.QuerySet["OutboxEvent"]):
    """What the relay and people ask of the outbox."""

    def waiting(self) -> Self:
        """Return the rows that are to be sent, now or later."""
        return self.filter(status__in=WAITING)

    def ready(self, now: datetime, kind: str, destination: str, status: str) -> Self:
        """Return what may be sent by ``now``: the oldest first, of versions that this code knows.

        Rows of a newer version belong to processes that run newer code, as there are during a
        deployment: they are left alone. Of one status, because the index then has the oldest at
        its head; of two, the database would sort all that waits, each time that some is taken.
        """
        return self.filter(
            destination=destination,
            kind=kind,
            status=status,
            due_at__lte=now,
            schema_version__lte=SCHEMA_VERSION,
        ).order_by("due_at")

    def get_first_due(self, kind: str, destination: str) -> datetime | None:
        """Return when the first of what waits is due; None where nothing waits."""
        first = [
            self.filter(
                destination=destination,
                kind=kind,
                status=status,
                schema_version__lte=SCHEMA_VERSION,
            )
            .order_by("due_at")
            .values_list("due_at", flat=True)
            .first()
            for status in WAITING
        ]
        return min((due for due in first if due is not None), default=None)

    def claim(self, kind: str, destination: str, most: int, lease: Lease) -> list[OutboxEvent]:
        """Lease up to ``most`` rows that are due, and as many announcements; return them.

        By compare-and-swap: of two relays that have seen the same row, one changes it. Where the
        database can, each passes over the rows that another has its hands on.
        """
        # Only orders are announced.
        statuses = WAITING if kind == "purchases" else (Status.PENDING,)
        keys: list[int] = []
        for status in statuses:
            keys += self._take(self.ready(lease.now, kind, destination, status), most, lease)
        return list(self.leased(keys, lease.token).order_by("pk")) if keys else []

    def _take(self, ready: Self, most: int, lease: Lease) -> list[int]:
        features = connections[self.db].features
        if features.has_select_for_update_skip_locked:  # pragma: no cover - as in clock.py
            with transaction.atomic(using=self.db):
                free = ready.select_for_update(skip_locked=True)
                return self._lease(list(free.values_list("pk", flat=True)[:most]), lease)
        # Without a transaction: SQLite would refuse to make a writer of a reader at once.
        return self._lease(list(ready.values_list("pk", flat=True)[:most]), lease)

    def leased(self, keys: Iterable[int], token: str) -> Self:
        """Return those of the rows ``keys`` that ``token`` still has."""
        return self._at(keys).filter(lease_token=token)

    def unleased(self, now: datetime) -> Self:
        """Return the rows that no relay has its hands on at ``now``."""
        return self.filter(models.Q(lease_token="") | models.Q(due_at__lte=now))

    def needing_somebody(self) -> Self:
        """Return what nothing but a person helps: refused purchases and all dead letters."""
        refused = models.Q(status=Status.REJECTED, kind="purchases")
        return self.filter(refused | models.Q(status=Status.DEAD))

    def send_again(self, now: datetime) -> int:
        """Put dead letters and refused events back among those that wait; return how many."""
        failed = self.filter(status__in=(Status.REJECTED, Status.DEAD))
        return failed.update(
            # Only what was never read has no event in it.
            status=models.Case(
                models.When(is_announcement=True, then=models.Value(Status.ANNOUNCED)),
                default=models.Value(Status.PENDING),
            ),
            attempts=0,
            due_at=now,
            created_at=now,
            settled_at=None,
            lease_token="",
        )

    def _at(self, keys: Iterable[int]) -> Self:
        """Return those of the rows ``keys`` that wait.

        In words that suit no index but that of the keys: SQLite prefers one of the status, and
        looks through all that waits.
        """
        return self.filter(pk__in=keys).exclude(status__in=ENDS)

    def _lease(self, keys: list[int], lease: Lease) -> list[int]:
        free = self._at(keys).exclude(due_at__gt=lease.now)
        if keys and free.update(lease_token=lease.token, due_at=lease.until):
            return keys
        return []


class OutboxEvent(models.Model):
    """An event that is to be delivered, whatever becomes of the process that recorded it.

    A row is free when it is due. Whoever sends it makes it due later, by as long as its lease
    lasts, and is known by its token: one that dies needs no help to let go of it.
    """

    key = models.CharField(_("key"), max_length=64, unique=True, editable=False)
    destination = models.CharField(
        _("destination"), max_length=64, default="default", db_default="default"
    )
    kind = models.CharField(
        _("kind"), max_length=16, choices=[(kind, kind) for kind in EVENT_KINDS]
    )
    event_id = models.CharField(
        _("event id"),
        max_length=255,
        db_index=True,
        help_text=_("Of a purchase: the order's number."),
    )
    # Text and not JSON: PostgreSQL refuses NUL characters and lone surrogates in its own type.
    payload = models.TextField(_("payload"))
    is_announcement = models.BooleanField(_("announcement"), default=False, db_default=False)
    schema_version = models.PositiveSmallIntegerField(
        _("schema version"), default=SCHEMA_VERSION, db_default=SCHEMA_VERSION
    )
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=Status,
        default=Status.PENDING,
        db_default=Status.PENDING,
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    occurred_at = models.DateTimeField(_("occurred at"))
    created_at = models.DateTimeField(_("created at"))
    due_at = models.DateTimeField(_("due at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    lease_token = models.CharField(
        _("lease token"), max_length=36, blank=True, default="", db_default=""
    )
    last_error = models.CharField(
        _("last error"), max_length=MAX_ERROR, blank=True, default="", db_default=""
    )

    objects = OutboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        permissions = (("give_up_purchases", _("Can give up purchases that wait")),)
        indexes = (
            models.Index(fields=["status", "kind", "due_at"], name="topsort_outbox_due"),
            models.Index(fields=["status", "settled_at"], name="topsort_outbox_settled"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


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

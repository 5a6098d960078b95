"""Where a shop with several databases keeps what."""

from __future__ import annotations

from django.db.models import Model

from django_topsort.outbox.models import OutboxEvent


class OutboxElsewhere:
    """The outbox has a database of its own."""

    def db_for_write(self, model: type[Model], **hints: object) -> str | None:
        return "outbox" if model is OutboxEvent else None

    db_for_read = db_for_write


class Replica:
    """Reads come from a copy, which is behind."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return "replica"

    def db_for_write(self, model: type[Model], **hints: object) -> str:
        return "default"

    def allow_relation(self, one: Model, other: Model, **hints: object) -> bool:
        return True

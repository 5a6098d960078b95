"""The table of the events that outlive their process."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError


def refuse_while_rows_wait(apps: Any, editor: Any) -> None:
    """Let nobody drop the table with purchases in it."""
    rows = apps.get_model("topsort_outbox", "OutboxEvent").objects.using(editor.connection.alias)
    count = rows.filter(status__in=("announced", "pending")).count()
    if count:
        message = (
            f"{count} events wait in the outbox, whose table this migration drops: send them with"
            " manage.py topsort_relay --once, or delete them"
        )
        raise IrreversibleError(message)


class Migration(migrations.Migration):
    dependencies = [
        ("topsort_outbox", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, unique=True, verbose_name="key"
                    ),
                ),
                (
                    "destination",
                    models.CharField(
                        db_default="default",
                        default="default",
                        max_length=64,
                        verbose_name="destination",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("impressions", "impressions"),
                            ("clicks", "clicks"),
                            ("purchases", "purchases"),
                            ("pageviews", "pageviews"),
                        ],
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                (
                    "event_id",
                    models.CharField(
                        db_index=True,
                        help_text="Of a purchase: the order's number.",
                        max_length=255,
                        verbose_name="event id",
                    ),
                ),
                ("payload", models.TextField(verbose_name="payload")),
                (
                    "is_announcement",
                    models.BooleanField(
                        db_default=False, default=False, verbose_name="announcement"
                    ),
                ),
                (
                    "schema_version",
                    models.PositiveSmallIntegerField(
                        db_default=1, default=1, verbose_name="schema version"
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("announced", "announced: its order has not been read yet"),
                            ("pending", "waiting"),
                            ("delivered", "delivered"),
                            ("rejected", "refused by Topsort"),
                            ("dead", "dead letter: given up"),
                        ],
                        db_default="pending",
                        default="pending",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                (
                    "attempts",
                    models.PositiveIntegerField(db_default=0, default=0, verbose_name="attempts"),
                ),
                ("occurred_at", models.DateTimeField(verbose_name="occurred at")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("due_at", models.DateTimeField(verbose_name="due at")),
                (
                    "settled_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="settled at"),
                ),
                (
                    "lease_token",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        max_length=36,
                        verbose_name="lease token",
                    ),
                ),
                (
                    "last_error",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        max_length=500,
                        verbose_name="last error",
                    ),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "indexes": [
                    models.Index(fields=["status", "kind", "due_at"], name="topsort_outbox_due"),
                    models.Index(fields=["status", "settled_at"], name="topsort_outbox_settled"),
                ],
            },
        ),
        # The last, which on the way back is the first.
        migrations.RunPython(migrations.RunPython.noop, refuse_while_rows_wait),
    ]

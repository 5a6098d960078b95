"""The table of the shoppers who are remembered for their orders."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RememberedShopper",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "order_key",
                    models.CharField(
                        help_text="The order's own number.",
                        max_length=255,
                        unique=True,
                        verbose_name="order",
                    ),
                ),
                ("opaque_user_id", models.CharField(max_length=64, verbose_name="opaque user id")),
                (
                    "device_type",
                    models.CharField(
                        blank=True, default="", max_length=16, verbose_name="device type"
                    ),
                ),
                (
                    "channel",
                    models.CharField(blank=True, default="", max_length=16, verbose_name="channel"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        auto_now_add=True, db_index=True, verbose_name="created at"
                    ),
                ),
            ],
            options={
                "verbose_name": "remembered shopper",
                "verbose_name_plural": "remembered shoppers",
            },
        ),
    ]

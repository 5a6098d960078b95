"""The permission to give up purchases, which changes no table."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("topsort_outbox", "0002_outbox_event"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="outboxevent",
            options={
                "permissions": (("give_up_purchases", "Can give up purchases that wait"),),
                "verbose_name": "event",
                "verbose_name_plural": "events",
            },
        ),
    ]

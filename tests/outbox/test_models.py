from __future__ import annotations

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, models

from django_topsort.outbox.models import RememberedShopper


def test_app_has_a_label_of_its_own() -> None:
    config = apps.get_app_config("topsort_outbox")
    assert config.name == "django_topsort.outbox"
    assert isinstance(RememberedShopper._meta.pk, models.BigAutoField)


@pytest.mark.django_db
def test_migrations_know_every_field() -> None:
    output = StringIO()
    call_command("makemigrations", "topsort_outbox", check=True, dry_run=True, stdout=output)
    assert "No changes detected" in output.getvalue()


@pytest.mark.django_db
def test_remembered_shopper_is_one_per_order() -> None:
    RememberedShopper.objects.create(order_key="1001", opaque_user_id="a")
    with pytest.raises(IntegrityError):
        RememberedShopper.objects.create(order_key="1001", opaque_user_id="b")

"""Columns of days, which hold no time."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import models

from django_topsort.purchases.stored_orders import read_moment


@pytest.mark.parametrize("text", ["2026-11-01", "2026-11-01T12:00:00+01:00"])
def test_column_of_days_is_compared_with_a_day(text: str) -> None:
    field: models.DateField[Any, Any] = models.DateField()

    assert read_moment(field, text) == date(2026, 11, 1)
    assert type(read_moment(field, text)) is date

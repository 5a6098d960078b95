"""The package's URLs: ``path("topsort/", include("django_topsort.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_topsort.rest_framework.views import EventsView, say_no_slash
from django_topsort.views import click

app_name = "django_topsort"

urlpatterns = [
    path("click/<str:token>", click, name="click"),
    # Without a slash at its end, as at Topsort's: its clients add none.
    path("v2/events", EventsView.as_view(), name="events"),
    path("v2/events/", say_no_slash),
]

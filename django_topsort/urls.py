"""The package's URLs: ``path("topsort/", include("django_topsort.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_topsort.views import click

app_name = "django_topsort"

urlpatterns = [
    path("click/<str:token>", click, name="click"),
]

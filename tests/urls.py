"""The URLs of the tests' site."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("topsort/", include("django_topsort.urls"))]

"""The site's pages, and the one that Prometheus scrapes."""

from __future__ import annotations

from django.urls import path

from django_topsort.contrib.prometheus.views import metrics
from tests.servers.project import urls

urlpatterns = [path("metrics", metrics), *urls.urlpatterns]

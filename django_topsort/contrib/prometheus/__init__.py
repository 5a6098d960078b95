"""Prometheus: an app that shows all figures through ``prometheus_client``.

Beside the code are ``dashboard.json`` for Grafana and ``alerts.yml`` for Prometheus.
"""

from __future__ import annotations

"""A shop's Celery, as its page on Django has it; what a test varies comes in the environment."""

from __future__ import annotations

import json
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.project.settings")

app = Celery("shop")
app.conf.broker_url = os.environ["CELERY_BROKER"]
app.conf.task_default_queue = os.environ["CELERY_QUEUE"]
app.conf.broker_connection_retry_on_startup = True
app.conf.update(json.loads(os.environ.get("CELERY_CONF", "{}")))
app.autodiscover_tasks()

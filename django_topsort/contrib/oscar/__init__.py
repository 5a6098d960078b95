"""django-oscar, also by way of django-oscar-api: one line reports its orders.

It stands before Oscar's apps, so that the two templates here are found first::

    INSTALLED_APPS = [
        "django_topsort",
        "django_topsort.outbox",
        "django_topsort.contrib.oscar",
        *INSTALLED_APPS,
    ]

``receivers`` hears Oscar's signals, ``reader`` reads its orders, ``pages`` says what a page is.
"""

from __future__ import annotations

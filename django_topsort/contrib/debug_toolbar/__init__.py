"""A panel for django-debug-toolbar: what this request reports, and where each value came from.

::

    DEBUG_TOOLBAR_PANELS = [
        *debug_toolbar.settings.PANELS_DEFAULTS,
        "django_topsort.contrib.debug_toolbar.TopsortPanel",
    ]

``recording`` listens while a request is being answered, ``origins`` says where a value came from,
``bodies`` shows what will be posted and by whom, ``wording`` puts it into words.
"""

from __future__ import annotations

from django_topsort.loading import require

with require(
    "debug_toolbar",
    needed_by="django_topsort.contrib.debug_toolbar",
    package="django-debug-toolbar",
    extra="debug-toolbar",
):
    import debug_toolbar as _toolbar  # noqa: F401 - to say what is missing before anything fails

from django_topsort.contrib.debug_toolbar.panels import TopsortPanel

__all__ = ["TopsortPanel"]

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

try:
    import debug_toolbar as _toolbar  # noqa: F401 - to say what is missing before anything fails
except ImportError as error:
    message = (
        "django_topsort.contrib.debug_toolbar needs django-debug-toolbar, which is not installed:"
        " pip install 'django-topsort[debug-toolbar]'"
    )
    raise ImportError(message, name=error.name) from error

from django_topsort.contrib.debug_toolbar.panels import TopsortPanel

__all__ = ["TopsortPanel"]

"""The Python API: which names are documented. Sphinx's autodoc reads their docstrings."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType

from docs.extensions.reference_from_code.markdown import join_sections

# By what a project does with them; events have a page of their own. Of a module that is mostly for
# the package itself, the names that are for projects.
MODULES: dict[str, tuple[str, ...]] = {
    "django_topsort.tracking": (),
    "django_topsort.orders": (),
    "django_topsort.purchases.reader": ("OrderReader",),
    "django_topsort.purchases.registry": (),
    "django_topsort.delivery": ("flush", "flushing"),
    "django_topsort.status": (),
    "django_topsort.asgi": ("flush_on_shutdown",),
    "django_topsort.backends.base": ("BaseEventBackend",),
    "django_topsort.rest_framework.mixins": ("ReportsImpressions",),
    "django_topsort.rest_framework.fields": ("TopsortField",),
    "django_topsort.testing": (),
    "django_topsort.exceptions": (),
}


def get_public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: what is listed here, its ``__all__``, or all that it defines."""
    if listed := MODULES.get(module.__name__):
        return list(listed)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and inspect.getdoc(value)
    ]


def write_python_api() -> str:
    """Return the directives with which autodoc documents the modules, each in its section."""
    return join_sections(_write_module(import_module(name)) for name in MODULES)


def _write_module(module: ModuleType) -> str:
    lines = [f"## {module.__name__}", "", "```{eval-rst}", f".. automodule:: {module.__name__}", ""]
    for name in get_public_names(module):
        path = f"{module.__name__}.{name}"
        if inspect.isclass(getattr(module, name)):
            lines += [f".. autoclass:: {path}", "   :members:", "   :show-inheritance:", ""]
        else:
            lines += [f".. autofunction:: {path}", ""]
    return "\n".join([*lines, "```"])

"""How Sphinx builds the site: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from django_topsort import __version__  # noqa: E402  # the package of this checkout
from docs.extensions.reference_from_code.links import get_repository  # noqa: E402

# What the code needs to be imported; none of the reference depends on what a project sets.
settings.configure(
    SECRET_KEY="only-to-build-the-documentation",  # noqa: S106
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django_topsort",
        "django_topsort.outbox",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TOPSORT_BACKENDS={"default": "django_topsort.backends.dummy.EventBackend"},
    USE_TZ=True,
)
django.setup()

project = "django-topsort"
author = "The django-topsort contributors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docs.extensions.reference_from_code",
]
exclude_patterns = ["extensions"]
smartquotes = False  # messages and settings are copied from here

myst_heading_anchors = 4
myst_links_external_new_tab = False

nitpicky = True
# What others define has its documentation elsewhere, and a build needs no network.
nitpick_ignore_regex = [("py:.*", r"(?!django_topsort\.).*")]
# Types that stand in a signature, and are nothing to make or to import.
nitpick_ignore = [
    ("py:class", f"django_topsort.{name}")
    for name in (
        "purchases.names.OrderNames",
        "purchases.reader.Found",
        "purchases.snapshot.LineSnapshot",
        "testing.capture.EventCapture",
        "testing.capture.F",
        "testing.commits.CommitWatch",
        "testing.fault_methods.FaultMethods",
        "testing.rules.Verdict",
    )
]
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"django-topsort {version}"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_theme_options = {
    "source_repository": get_repository(),
    "source_branch": "main",
    "source_directory": "docs/",
}

"""pretix, as its own tests run it, with a plugin that follows the recipe of docs/shops.md."""

from __future__ import annotations

import warnings

# What pretix and its many packages warn of while they are imported is theirs.
warnings.simplefilter("ignore")

from pretix.testutils.settings import *  # noqa: E402, F403
from pretix.testutils.settings import INSTALLED_APPS, MIDDLEWARE  # noqa: E402

from tests.shops.recipe_blocks import install_package  # noqa: E402

APPS = """
from importlib import import_module

from pretix.base.plugins import PluginConfig


class TicketsConfig(PluginConfig):
    name = "tickets"
    verbose_name = "The market's own plugin"
    default = True

    class PretixPluginMeta:
        name = "Tickets of the market"
        author = "The market"
        description = "Reports paid orders to Topsort."
        version = "1.0"
        visible = True

    def ready(self):
        import_module("tickets.signals")
"""

package = install_package("tickets")
(package / "apps.py").write_text(APPS, "utf-8")

INSTALLED_APPS += ["django_topsort", "django_topsort.outbox", "tickets.apps.TicketsConfig"]
MIDDLEWARE.insert(0, "django_topsort.middleware.TopsortMiddleware")

# pretix lets no HTTP client of its process ask an address of the local network, as FakeApi's is.
ALLOW_HTTP_TO_PRIVATE_NETWORKS = True

TOPSORT_API_KEY = "TSE_tests"
TOPSORT_BACKENDS = {"default": "django_topsort.backends.locmem.EventBackend"}
TOPSORT_ORDER_READER = "tickets.reading.TicketReader"

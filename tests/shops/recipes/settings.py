"""A shop that follows the recipes of docs/shops.md."""

from __future__ import annotations

from tests.readme import get_free_port
from tests.shops.recipe_blocks import install_package
from tests.shops.recipes.lfs_names import install_lfs

install_lfs()
package = install_package("shop")
(package / "models.py").write_text("from tests.shops.recipes.models import Order\n", "utf-8")

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "djstripe",
    "payments",
    "ordered_model",
    "plans",
    "django_topsort",
    "django_topsort.outbox",
    "tests.shops.recipes.apps.RecipesConfig",
]
SITE_ID = 1
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.shops.recipes.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
# Tables in one go: the migrations of all these apps take a minute.
MIGRATION_MODULES = dict.fromkeys(
    ("auth", "contenttypes", "djstripe", "plans", "sessions", "sites", "topsort_outbox")
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            # Of whatever the shop's own pages would be.
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"base.html": "{% block body %}{% endblock %}"},
                ),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    },
]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

PAYMENT_HOST = "testserver"
PAYMENT_MODEL = "recipes.Payment"
PAYMENT_VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "default": ("payments.dummy.DummyProvider", {})
}

STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = "sk_test_" + "x" * 24  # nobody's
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"

PLANS_INVOICE_ISSUER = {"issuer_name": "Market", "issuer_country": "DE"}
PLANS_TAXATION_POLICY = "tests.shops.recipes.taxes.FlatTax"
PLANS_CURRENCY = "EUR"
PLANS_DEFAULT_COUNTRY = "DE"

SALEOR_URL = f"http://127.0.0.1:{get_free_port()}"

TOPSORT_API_KEY = "TSE_tests"
TOPSORT_BACKENDS = {"default": "django_topsort.backends.locmem.EventBackend"}

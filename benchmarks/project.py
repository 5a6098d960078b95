"""A small Django project, and requests as a server would give them to it.

Django is imported by the functions, so that an axis can see what that costs.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.impressions import AGENT

if TYPE_CHECKING:
    from django.http import HttpRequest

APPS = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions")
MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
urlpatterns: list[Any] = []  # the project's URLs: this module is its ROOT_URLCONF


def configure(apps: tuple[str, ...] = (), middleware: tuple[str, ...] = (), **more: Any) -> None:
    """Set the project up, with ``apps`` after Django's and ``middleware`` before it.

    Once in a process. ``more``: further settings.
    """
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="of-a-benchmark" * 4,
        ALLOWED_HOSTS=["shop.example"],
        USE_TZ=True,
        ROOT_URLCONF="benchmarks.project",
        INSTALLED_APPS=[*APPS, *apps],
        MIDDLEWARE=[*middleware, *MIDDLEWARE],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        **{"TEMPLATES": [build_engine()], **more},
    )
    django.setup()


def build_engine(**options: Any) -> dict[str, Any]:
    """Return the settings of a template engine, with ``options`` beside the usual ones."""
    processors = ["django.template.context_processors.request"]
    return {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": processors, **options},
    }


def build_request(
    path: str = "/shoes/", body: bytes = b"", shopper: str = "shopper-1", **more: str
) -> HttpRequest:
    """Return the request of a browser for a page; with a ``body``, one that posts JSON.

    ``shopper``: the id in the cookie. ``more``: further keys of the WSGI environment.
    """
    from django.core.handlers.wsgi import WSGIRequest

    return WSGIRequest(build_environ(path, body, shopper, **more))


def build_environ(
    path: str = "/shoes/", body: bytes = b"", shopper: str = "shopper-1", **more: str
) -> dict[str, Any]:
    """Return the same request as a server's WSGI environment."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": AGENT,
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "HTTP_ACCEPT_LANGUAGE": "en-US,en;q=0.5",
        "HTTP_COOKIE": f"tsuid={shopper}; sessionid=k3v9x0m2q8w7e6r5t4y3u2i1o0p9a8s7",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **more,
    }
    if body:
        environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    return environ

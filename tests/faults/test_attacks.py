"""Attacks, and what nobody is to see: faults 77 to 80 and 88 to 92."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from django.core import signing
from django.test import override_settings

from django_topsort.clicks import SALT
from django_topsort.testing import FakeApi
from tests.faults.shop import KEY, check_books, run_shop
from tests.servers.serving import USER_AGENT, Site, serve

pytestmark = pytest.mark.faults

OLD_KEY, NEW_KEY = "the site's former secret key", "the site's secret key"
CLICK = {"entity": {"id": "p-1", "type": "product"}, "placement": {"path": "/"}}
EVIL = [
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "https:///evil.example",
    "https://evil.example/",
    "\t//evil.example/",
    "/\t/evil.example/",
    "https://127.0.0.1@evil.example/",
    "//127.0.0.1:80@evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,hello",
    "/ok\r\nSet-Cookie: a=b",
    "/ok\x00",
    "ftp://127.0.0.1/",
    "evil.example",
    "",
]


class Dated(signing.TimestampSigner):
    """Signs as if it were another time."""

    def __init__(self, seconds: int, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds

    def timestamp(self) -> str:
        return signing.b62_encode(signing.b62_decode(super().timestamp()) + self.seconds)


def sign(target: str = "/p-1/", nonce: str = "n-1", salt: str = SALT, age: int = 0) -> str:
    """Return a token as this site makes them, but for what a test says."""
    with override_settings(SECRET_KEY=NEW_KEY):
        return Dated(-age, salt=salt).sign_object([target, CLICK, nonce], compress=True)


@pytest.fixture(scope="module")
def shared_api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        yield api


@pytest.fixture(scope="module")
def site(shared_api: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A shop under gunicorn, as in production."""
    with serve(
        "gunicorn-gthread",
        tmp_path_factory.mktemp("attacks") / "log",
        SECRET_KEY=NEW_KEY,
        SECRET_KEY_FALLBACKS=[OLD_KEY],
        DEBUG=False,
        ROOT_URLCONF="tests.faults.pages",
        TOPSORT_API_KEY=KEY,
        TOPSORT_API_URL=shared_api.url,
        TOPSORT_FLUSH_INTERVAL=0.05,
        TOPSORT_CLICK_RATE=None,  # or after ten thousand no other click would count for a minute
        TOPSORT_CLICK_ADDRESS_RATE=None,
    ) as site:
        yield site


@pytest.fixture
def api(shared_api: FakeApi, site: Site) -> FakeApi:
    flush(site, shared_api)
    shared_api.clear()
    return shared_api


def follow(
    site: Site, token: str, *, method: str = "GET", query: str = "", **headers: str
) -> http.client.HTTPResponse:
    """Open a click link, and return what the browser gets."""
    sent = {"User-Agent": USER_AGENT, "Cookie": "tsuid=shopper-1"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    with closing(site.connect()) as connection:
        connection.request(method, f"/topsort/click/{quote(token)}{query}", headers=sent)
        with connection.getresponse() as response:
            response.read()
            return response


def flush(site: Site, api: FakeApi) -> None:
    """Wait until a last click has come, and with it all that were before it."""
    number = len(api.clicks)
    token = sign("/last/", f"last-{number}-{id(api.requests)}")
    assert follow(site, token, Cookie=f"tsuid=last-{number}").status == 302
    api.wait_for(number + 1, "clicks", timeout=30)


def get_counted(site: Site, api: FakeApi) -> list[Any]:
    """Return the clicks that came, but for the last one."""
    flush(site, api)
    return [click for click in api.clicks if not click["opaqueUserId"].startswith("last-")]


def test_fault_77_link_leads_nowhere_but_where_its_signature_says(site: Site, api: FakeApi) -> None:
    for target in EVIL:
        # Even if somebody had got the shop to sign it.
        refused = follow(site, sign(target, target))
        assert refused.status == 404, target
        assert refused.getheader("Location") is None
    for query in ("?next=//evil.example/", "?to=https://evil.example/", "?url=/elsewhere/"):
        assert follow(site, sign(), query=query).getheader("Location") == "/p-1/"
    for target in EVIL:
        # And if a page is made to print a link to it, that is none of ours.
        page = site.get(f"/link/?to={quote(target)}")
        assert page.status == 200

    (click,) = get_counted(site, api)
    assert click["entity"]["id"] == "p-1"


def test_fault_78_token_that_is_forged_foreign_expired_or_signed_with_a_former_key(
    site: Site, api: FakeApi
) -> None:
    good = sign(nonce="good")
    value, _, signature = good.rpartition(":")
    with override_settings(SECRET_KEY="another site's"):
        foreign = signing.dumps(["/p-1/", CLICK, "n"], salt=SALT, compress=True)
    with override_settings(SECRET_KEY=OLD_KEY):
        former = signing.dumps(["/p-1/", CLICK, "former"], salt=SALT, compress=True)
    forged = {
        "altered": f"{value[:-1]}{'a' if value[-1] != 'a' else 'b'}:{signature}",
        "truncated": good[:-1],
        "extended": f"{good}a",
        "unsigned": value,
        "foreign": foreign,
        "other salt": sign(salt="django.core.signing"),
        "other content": Dated(0, salt=SALT, key=NEW_KEY).sign_object({"to": "/p-1/"}),
        "long": f"{'a' * 3600}",
        "nothing": "-",
    }

    statuses = {name: follow(site, token).status for name, token in forged.items()}

    assert statuses == dict.fromkeys(forged, 404)
    old = follow(site, sign(age=8 * 24 * 3600))
    assert (old.status, old.getheader("Location")) == (410, None)
    assert follow(site, good).getheader("Location") == "/p-1/"
    assert follow(site, former).getheader("Location") == "/p-1/"
    assert len(get_counted(site, api)) == 2
    # However many there are, the log says it once a minute, and shows no token.
    log = [line for line in site.read_log().splitlines() if "click refused" in line]
    assert len(log) <= 2


@pytest.mark.parametrize(("cookie", "times"), [("tsuid=shopper-1", 10_000), ("", 1_000)])
def test_fault_79_one_link_that_is_followed_10000_times(
    site: Site, api: FakeApi, cookie: str, times: int
) -> None:
    path = f"/topsort/click/{sign(nonce=f'replayed {cookie}')}"
    headers = {"User-Agent": USER_AGENT, **({"Cookie": cookie} if cookie else {})}
    statuses = set()
    with closing(site.connect()) as connection:
        for _ in range(times):
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                response.read()
            statuses.add(response.status)

    assert statuses == {302}
    assert len(get_counted(site, api)) == 1


def test_fault_80_who_is_no_shopper_is_led_on_and_counts_for_nothing(
    site: Site, api: FakeApi
) -> None:
    agents = [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "facebookexternalhit/1.1",
        "WhatsApp/2.23",
        "Mozilla/5.0 (compatible; bingbot/2.0)",
    ]
    answers = [follow(site, sign(nonce=agent), User_Agent=agent) for agent in agents]
    for name, value in (
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ):
        answers.append(follow(site, sign(nonce=f"{name} {value}"), **{name: value}))
    answers.append(follow(site, sign(nonce="head"), method="HEAD"))
    assert {answer.status for answer in answers} == {302}
    assert {follow(site, sign(), method=method).status for method in ("POST", "PUT")} == {405}
    assert get_counted(site, api) == []

    shopper = follow(site, sign(nonce="shopper"))

    assert len(get_counted(site, api)) == 1
    for answer in (*answers, shopper):
        assert answer.getheader("Cache-Control") == "no-store, private"
        assert answer.getheader("Referrer-Policy") == "same-origin"
        assert answer.getheader("X-Robots-Tag") == "noindex, nofollow"


SECRETS = """
import http.client, logging, pickle, sys, traceback

del KEY, DEFAULTS  # a test's own names for the key are not to be found

logging.basicConfig(level="DEBUG", stream=sys.stderr)
http.client.HTTPConnection.debuglevel = 1
logging.getLogger("http.client").setLevel("DEBUG")

from django.conf import settings
from django.test import Client
from django.core.management import call_command
from django.db import connection
from django_topsort import client, conf
from django_topsort.backends import connections, http as posting
from django_topsort.delivery import deliver_safely, flush, get_backend
from tests.sending.engine import build_events

call_command("migrate", verbosity=0)
for kind in ("impressions", "clicks", "purchases", "pageviews"):
    deliver_safely(build_events(20, kind))
flush(1)
posting.EventBackend().send_events(build_events(3, "clicks", "posted"))

pages = []
browser = Client(raise_request_exception=False)
for where in ("client", "post", "deliver", "key", "event"):
    response = browser.get(f"/crash/{where}/")
    pages.append(response.content.decode())
    assert response.status_code == 500
tell(pages=pages)

found, shown = connections.get_client(), []
backend = get_backend()
secret = conf.topsort_settings.get_api_key()
for one in (found, backend, secret, conf.topsort_settings, backend._sender, found._session,
            found._prepared, found._adapter, vars(found), vars(found._prepared),
            connections._thread.get().wanted, backend.report, backend._sender._wiring):
    shown.append(repr(one))
    shown.append(repr(getattr(one, "__dict__", "")))
    try:
        shown.append(repr(pickle.dumps(one)))
    except Exception as error:
        shown += traceback.format_exception(error)
try:
    client.TopsortClient("https://127.0.0.1", f"{secret}\\r\\nX: y")
except Exception as error:
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
try:
    connections.post_body(b"{}", 1.0)
except Exception as error:
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
dump = list(connection.connection.iterdump())
tell(shown=shown + dump, rows=[line for line in dump if '"topsort_outbox_outboxevent" V' in line])
backend.close()
"""


@pytest.mark.parametrize("answer", [204, 400, 401, 503])
def test_fault_88_key_is_seen_nowhere_but_in_its_header(answer: int) -> None:
    with FakeApi(api_key=KEY) as api:
        if answer == 400:
            api.poison("clicks-1")
        elif answer != 204:
            # What a careless server might say.
            body = b'{"errCode": "bad", "message": "%s is not known"}' % KEY.encode()
            api.answer(answer, body, {"X-Your-Key": KEY}, times=1)
        told = run_shop(
            SECRETS,
            api,
            DEBUG=True,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=["django_topsort", "django_topsort.outbox"],
            TOPSORT_BACKENDS={
                "default": "django_topsort.backends.thread.EventBackend",
                "purchases": "django_topsort.outbox.backend.EventBackend",
                "overflow": "django_topsort.outbox.backend.EventBackend",
            },
            TOPSORT_TIMEOUT=[1, 2],
            TOPSORT_SHUTDOWN_TIMEOUT=2,
        )
        assert {request.headers["Authorization"] for request in api.requests} == {f"Bearer {KEY}"}

    assert len(told.facts["pages"]) == 5
    assert all("Traceback" in page for page in told.facts["pages"])
    assert "TOPSORT_API_KEY" in told.facts["pages"][0]  # the settings are on it
    seen = {
        "pages": told.facts["pages"],
        "shown": told.facts["shown"],
        "log": told.log.splitlines(),
        "output": told.output.splitlines()[:-1],
    }
    assert len(told.facts["rows"]) >= 20  # the events that the outbox has
    half = KEY[len(KEY) // 2 :]
    for where, texts in seen.items():
        assert [text for text in texts if KEY in text or half in text] == [], where
    assert len(told.log.splitlines()) > 10


def test_fault_89_log_holds_nothing_of_a_shopper() -> None:
    secrets = ("shopper-canary", "query-canary", "bid-canary", "search-canary", "product-canary")
    with FakeApi(api_key=KEY) as api:
        api.answer(503, times=2)
        api.poison("shopper-canary", times=3)
        told = run_shop(
            """
            import logging, sys
            logging.basicConfig(level="DEBUG", stream=sys.stderr)
            from django.test import Client, RequestFactory
            from django_topsort.delivery import deliver_safely, flush
            from django_topsort.events import *
            from django_topsort.tracking import *
            from tests.sending.engine import wait_until

            build = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"})
            build.cookies["tsuid"] = "shopper-canary"
            request = build.get("/shoes/?q=query-canary")
            for number in range(200):
                track_impression(
                    request, resolved_bid_id="bid-canary", search_query="search-canary"
                )
                track_click(request, "product-canary", position=-5)
                track_pageview(request, "search", value="search-canary")
                track_impression(request, "product-canary", search_query=["search-canary"])
                track_click(request, "product-canary", opaque_user_id="shopper-canary" * 200)
                record("product-canary", request)
            items = [PurchaseItem(product_id="product-canary", unit_price=1)]
            for number in range(5):
                record(Purchase(id=f"o-{number}", opaque_user_id="shopper-canary", items=items))
            browser = Client(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"})
            browser.cookies["tsuid"] = "shopper-canary"
            browser.get("/topsort/click/canary-of-a-token?q=query-canary")
            wait_until(lambda: flush(20))
            """,
            api,
        )

    assert told.counts["impressions"]["dropped"] == 200
    assert told.counts["clicks"]["dropped"] == 400
    ours = [line for line in told.log.splitlines() if "django_topsort" in line]
    assert len(ours) > 5
    assert [line for line in ours for secret in secrets if secret in line] == []
    # What has happened 200 times is said once.
    assert len([line for line in ours if "left out" in line]) <= 4


def test_fault_89_flood_of_failing_events_makes_a_few_lines() -> None:
    with FakeApi(api_key=KEY) as api:
        api.poison("rejected-")
        told = run_shop(
            """
            from django.conf import settings
            from django.test import Client, RequestFactory
            from django_topsort.delivery import deliver_safely, flush, get_backend
            from django_topsort.tracking import track_impression
            from tests.sending.engine import build_events

            right = settings.TOPSORT_API_URL
            good = build_events(30, "clicks", "good")
            deliver_safely([*good, *build_events(20, "clicks", "rejected")])
            flush(20)
            settings.TOPSORT_API_URL = "http://127.0.0.1:9"
            for number in range(1000):
                deliver_safely(build_events(10, "impressions", f"page-{number}"))
            for number in range(300):
                deliver_safely(build_events(10, "purchases", f"order-{number}"))
            request = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get("/")
            for number in range(10_000):
                track_impression(request, f"p-{number}", position=-number)
            settings.TOPSORT_BACKENDS = {"default": "nowhere.EventBackend"}
            for number in range(10_000):
                deliver_safely(build_events(1, "clicks", f"nowhere-{number}"))
            settings.TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}
            browser = Client(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"})
            import logging
            logging.getLogger("django.request").setLevel("CRITICAL")  # Django's own: one for each
            for number in range(1000):
                assert browser.get(f"/topsort/click/forged-{number}").status_code == 404
            get_backend().close()
            """,
            api,
            TOPSORT_QUEUE_SIZE=100,
            TOPSORT_SHUTDOWN_TIMEOUT=1,
        )

    lines = [line for line in told.log.splitlines() if " " in line and line[0] != " "]
    named = [line for line in lines if "kind=purchases" in line]
    # Each lost order is named, at most 50 in a line.
    lost = sum(told.counts["purchases"]["reasons"].values())
    assert lost == 3000
    assert all(f"order-{number}-9" in told.log for number in range(300))
    assert len([line for line in lines if line not in named]) < 20
    assert sum(told.counts[kind]["dropped"] for kind in ("impressions", "clicks")) == 30_000


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TOPSORT_API_URL", "{url}@evil.example", "TOPSORT_API_URL: "),
        ("TOPSORT_API_URL", "http://user:word@127.0.0.1:9", "TOPSORT_API_URL: "),
        ("TOPSORT_API_URL", "ftp://127.0.0.1", "TOPSORT_API_URL: "),
        ("TOPSORT_API_URL", "file:///etc/passwd", "TOPSORT_API_URL: "),
        ("TOPSORT_API_KEY", f"{KEY}\r\nX-Injected: yes", "TOPSORT_API_KEY "),
        ("TOPSORT_API_KEY", f"{KEY}\n", "TOPSORT_API_KEY "),
    ],
)
def test_fault_90_address_or_key_that_would_lead_elsewhere(
    name: str, value: str, message: str
) -> None:
    with FakeApi(api_key=KEY) as api, FakeApi() as elsewhere:
        api.redirect(elsewhere.url)
        told = run_shop(
            f"""
            from django.conf import settings
            from django_topsort.delivery import deliver_safely, flush
            from tests.sending.engine import build_events

            right, settings.{name} = settings.{name}, {value!r}.replace("{{url}}", {api.url!r})
            deliver_safely(build_events(5, "purchases", "order"))
            flush(1)
            from django_topsort.accounts import accounts
            tell(waiting=accounts.get_counts()["purchases"]["waiting"])
            from django.core.checks import run_checks
            tell(checks=[check.msg for check in run_checks(include_deployment_checks=True)])
            settings.{name} = right
            flush(1)
            from django_topsort.delivery import get_backend
            get_backend().close()
            """,
            api,
            TOPSORT_SHUTDOWN_TIMEOUT=1,
        )

        # Nothing went out, and nothing is lost of it while the setting is wrong.
        assert api.requests == []
        assert elsewhere.requests == []
        assert told.facts["waiting"] == 5
        assert message in told.log
        assert [text for text in told.facts["checks"] if name in text]
        assert KEY not in told.log


def test_fault_90_redirect_is_not_followed() -> None:
    with FakeApi(api_key=KEY) as api, FakeApi() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            api.redirect(f"{elsewhere.url}/v2/events", status, times=1)
        told = run_shop(
            """
            from django_topsort.backends.http import EventBackend
            from django_topsort.delivery import deliver_safely
            from tests.sending.engine import build_events

            for number in range(6):
                deliver_safely(build_events(1, "clicks", f"click-{number}"))
            """,
            api,
            TOPSORT_BACKENDS={"default": "django_topsort.backends.http.EventBackend"},
        )
        assert elsewhere.requests == []

        check_books(told, api, [f"click-{number}-0" for number in range(6)])
        assert told.counts["clicks"]["reasons"] == {"failed": 5}
        assert "RedirectRefused" in told.log


def test_fault_91_texts_of_events_are_no_markup_in_the_admin() -> None:
    script = "<script>alert(1)</script>"
    with FakeApi(api_key=KEY) as api:
        body = b'{"errCode": "<b>bad</b>", "message": "<script>alert(1)</script>"}'
        api.answer(400, body, {"Content-Type": "application/json"})
        told = run_shop(
            f"""
            from django.contrib.auth import get_user_model
            from django.core.management import call_command
            from django.test import Client
            from django_topsort.delivery import deliver_safely, flush
            from django_topsort.events import *
            from django_topsort.outbox.models import OutboxEvent, RememberedShopper
            from django_topsort.tracking import record

            call_command("migrate", verbosity=0)
            text = "{script}"
            RememberedShopper.objects.create(order_key=text, opaque_user_id=text, channel=text[:16])
            items = [PurchaseItem(product_id=text, unit_price=1, vendor_id=text)]
            record(Purchase(id=text, opaque_user_id=text, items=items))
            flush(20)
            row = OutboxEvent.objects.get()
            browser = Client()
            browser.force_login(get_user_model().objects.create_superuser("admin"))
            pages = [browser.get(path) for path in (
                "/admin/topsort_outbox/outboxevent/",
                f"/admin/topsort_outbox/outboxevent/?q={{text}}",
                f"/admin/topsort_outbox/outboxevent/{{row.pk}}/change/",
                "/admin/topsort_outbox/rememberedshopper/",
                "/admin/topsort_outbox/rememberedshopper/1/change/",
            )]
            tell(statuses=[page.status_code for page in pages], error=row.last_error)
            tell(pages=[page.content.decode() for page in pages])
            """,
            api,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=[
                *("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes"),
                *("django.contrib.messages", "django.contrib.sessions"),
                *("django_topsort", "django_topsort.outbox"),
            ],
            MIDDLEWARE=[
                "django_topsort.middleware.TopsortMiddleware",
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware",
            ],
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True,
                    "OPTIONS": {
                        "context_processors": [
                            "django.template.context_processors.request",
                            "django.contrib.auth.context_processors.auth",
                            "django.contrib.messages.context_processors.messages",
                        ]
                    },
                }
            ],
            ROOT_URLCONF="tests.faults.admin_pages",
            STATIC_URL="/static/",
            TOPSORT_BACKENDS={
                "default": "django_topsort.backends.thread.EventBackend",
                "purchases": "django_topsort.outbox.backend.EventBackend",
            },
        )

    assert told.facts["statuses"] == [200] * 5
    assert script in told.facts["error"]
    for page in told.facts["pages"]:
        assert script not in page
        assert "<b>bad" not in page
    shown = "".join(told.facts["pages"])
    assert shown.count("&lt;script&gt;alert(1)") > 5


def test_fault_92_nothing_is_pickled_that_could_run_when_it_is_read() -> None:
    with FakeApi(api_key=KEY) as api:
        told = run_shop(
            """
            import pickle, sys
            from django.test import Client

            unpickled = []

            def hear(event, args):
                if event == "pickle.find_class":
                    unpickled.append(args)

            sys.addaudithook(hear)
            browser = Client(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"})
            link = browser.get("/link/?to=/p-1/").content.decode()
            tell(statuses=[browser.get(link).status_code for _ in range(2)])

            from django_topsort.orders import remember_shopper
            from django_topsort.signals import order_paid, order_placed
            from django.test import RequestFactory
            build = RequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"})
            build.cookies["tsuid"] = "shopper-1"
            order = {"number": "o-1", "lines": [{"product": "p-1", "line_total": 1}]}
            order_placed.send(sender=None, order=order, request=build.get("/"))
            order_paid.send(sender=None, order=order)
            tell(unpickled=[str(args) for args in unpickled])
            names = [name for name, module in sys.modules.items() if name.startswith(
                "django_topsort") and {"pickle", "marshal", "shelve"} & set(vars(module))]
            tell(importers=names)
            """,
            api,
        )

    assert told.facts["statuses"] == [302, 302]
    assert told.facts["unpickled"] == []
    assert told.facts["importers"] == []
    assert [event["id"] for event in api.purchases] == ["o-1"]
    assert len(api.clicks) == 1

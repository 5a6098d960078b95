"""What may happen to a request between the shop and Topsort: the faults 21 to 31."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_topsort.testing import ActiveFault, FakeApi, Fault
from tests.faults.proxy import Authority, open_black_hole, open_wire
from tests.faults.store import KEY, PAGE_SECONDS, PATIENCE, Store, open_store

pytestmark = pytest.mark.faults

EXIT_SECONDS = 1.0
# What a server may take to end besides, on a machine that has other things to do.
ROOM = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to make certificates with")
    return Authority(tmp_path_factory.mktemp("certificates"))


def stop(store: Store) -> None:
    """End a shop, which must take no longer than it may, and name the purchases that it loses."""
    ids = ",".join(one for kind, one in store.recorded if kind == "purchases")
    _, took = store.site.stop()
    assert took < EXIT_SECONDS + ROOM
    (line,) = store.find_lines("dropped kind=purchases reason=shutdown")
    assert f"ids={ids}" in line


def test_fault_21_refused_connection_costs_a_page_nothing(store: Store, api: FakeApi) -> None:
    with api.refuse():
        seconds = [store.record("impressions", 100, f"{number}") for number in range(10)]
        store.record("purchases", 3, "o")
        store.wait_for_line("error=NoAnswer")

        assert min(seconds) / 100 < 0.001
        assert store.read_books()["counts"]["purchases"]["waiting"] == 3
    store.close_books_without_loss(api)


def test_fault_21_refused_connection_does_not_hold_up_the_exit(
    api: FakeApi, tmp_path: Path
) -> None:
    told = {"TOPSORT_API_URL": api.url, "TOPSORT_SHUTDOWN_TIMEOUT": EXIT_SECONDS}
    with api.refuse(), open_store(tmp_path / "log", **told) as store:
        store.record("purchases", 3, "o")
        store.wait_for_line("error=NoAnswer")
        stop(store)


def test_fault_22_answer_that_never_comes_is_waited_for_by_the_clock(
    store: Store, api: FakeApi
) -> None:
    hanging = api.hang()
    store.record("purchases", 20, "a")  # one page, so that there is one request at a time
    hanging.wait_for_hit(3, timeout=PATIENCE)

    first, second, *_ = [request.time.timestamp() for request in api.requests]
    assert 0.9 < second - first < 1.0 + 1.0 + ROOM
    hanging.release()
    store.close_books_without_loss(api)


def test_fault_22_answer_that_never_comes_does_not_hold_up_the_exit(
    api: FakeApi, tmp_path: Path
) -> None:
    hanging = api.hang()
    told = {
        "TOPSORT_API_URL": api.url,
        "TOPSORT_SHUTDOWN_TIMEOUT": EXIT_SECONDS,
        "TOPSORT_TIMEOUT": [3, 60],
    }
    with open_store(tmp_path / "log", **told) as store:
        store.record("purchases", 3, "o")
        hanging.wait_for_hit(timeout=PATIENCE)
        stop(store)


def test_fault_23_drip_does_not_stretch_the_time(store: Store, api: FakeApi) -> None:
    # Each byte comes in time, and the whole of them would take 40 seconds.
    dripping = api.drip(0.5)
    store.record("purchases", 3, "a")
    dripping.wait_for_hit(2, timeout=PATIENCE)

    (first, second, *_) = [request.time.timestamp() for request in api.requests]
    assert second - first < 1.0 + 1.0 + ROOM
    dripping.release()
    store.close_books_without_loss(api)
    assert len(api.purchases) == 3


Break = Callable[[FakeApi], ActiveFault]
BREAKS: dict[str, Break] = {
    "reset": lambda api: api.reset(times=4),
    "closed": lambda api: api.close_without_answer(times=4),
    "reset in the head": lambda api: api.fault(Fault(status=503, cut_at=20, end="reset"), 4),
    "reset after the head": lambda api: api.fault(
        Fault(status=200, padding=5000, cut_at=1000, end="reset"), 4
    ),
    "half an answer": lambda api: api.fault(
        Fault(status=200, padding=5000, cut_at=1000, end="close"), 4
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_fault_24_connection_that_breaks_is_followed_by_another(
    store: Store, api: FakeApi, name: str
) -> None:
    breaking = BREAKS[name](api)
    store.record_all_kinds(20, "a")
    store.close_books_without_loss(api)

    assert breaking.used_up


def test_fault_24_server_that_stops_writing_is_no_answer(store: Store, api: FakeApi) -> None:
    def half_close(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # it goes on reading
            pass

    with open_wire(half_close) as wire:
        store.change(settings={"TOPSORT_API_URL": wire.url})
        store.record("purchases", 3, "a")
        store.wait_for_line("error=NoAnswer")
        assert wire.connections > 0
    store.change(settings={"TOPSORT_API_URL": api.url})
    store.close_books_without_loss(api)


def test_fault_24_connection_that_breaks_each_time_does_not_hold_up_the_exit(
    api: FakeApi, tmp_path: Path
) -> None:
    api.reset()
    told = {"TOPSORT_API_URL": api.url, "TOPSORT_SHUTDOWN_TIMEOUT": EXIT_SECONDS}
    with open_store(tmp_path / "log", **told) as store:
        store.record("purchases", 3, "o")
        store.wait_for_line("error=NoAnswer")
        stop(store)


def test_fault_25_connection_that_died_while_idle_is_no_failure(store: Store, api: FakeApi) -> None:
    # One sender and no failure at all: a second one would have a connection of its own.
    store.renew(api.url, TOPSORT_CONNECTIONS=1)
    stale = api.reset(matches=lambda request: request.nth == 2)
    for number in range(4):
        store.record("purchases", 1, f"a{number}")
        store.wait()
    store.close_books_without_loss(api)

    assert stale.hits == 3
    assert store.find_lines("request failed") == []
    assert len(api.requests) == 4 + 3


def test_fault_26_handshake_without_an_answer_is_given_up(store: Store, api: FakeApi) -> None:
    with open_black_hole() as url:
        store.change(settings={"TOPSORT_API_URL": url, "TOPSORT_TIMEOUT": [0.5, 60]})
        begun = time.monotonic()
        store.record_all_kinds(10, "a")
        store.wait_for_line("ConnectTimeout")
        assert time.monotonic() - begun < 0.5 + ROOM
    store.change(settings={"TOPSORT_API_URL": api.url})
    store.close_books_without_loss(api)


def test_fault_27_name_that_cannot_be_looked_up_costs_nothing(store: Store, api: FakeApi) -> None:
    store.change(names="fail")
    store.record_all_kinds(10, "a")
    store.wait_for_line("NameResolutionError")
    assert store.read_books()["counts"]["purchases"]["waiting"] == 10
    store.change(names="as ever")
    store.close_books_without_loss(api)


def test_fault_27_name_that_is_looked_up_slowly_is_no_failure(store: Store, api: FakeApi) -> None:
    # It takes longer than all else may.
    store.change(names="slowly")
    store.record_all_kinds(10, "a")
    store.close_books_without_loss(api)

    assert store.find_lines("request failed") == []
    assert api.repeated == []


def test_fault_27_name_that_is_looked_up_for_long_holds_up_neither_page_nor_exit(
    api: FakeApi, tmp_path: Path
) -> None:
    told = {"TOPSORT_API_URL": api.url, "TOPSORT_SHUTDOWN_TIMEOUT": EXIT_SECONDS}
    with open_store(tmp_path / "log", **told) as store:
        store.change(names="for long")
        for number in range(20):
            assert store.record("purchases", 1, f"o{number}") < PAGE_SECONDS
        stop(store)
    assert api.requests == []


@pytest.fixture
def contexts(authority: Authority) -> dict[str, ssl.SSLContext]:
    old = authority.build("old")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
    return {
        "good": authority.build("good"),
        "expired": authority.build("expired", days=-1),
        "self-signed": authority.build("self-signed", signed=False),
        "of another host": authority.build("other", address="127.0.0.2"),
        "of an old TLS": old,
    }


def answer_well(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("name", ["expired", "self-signed", "of another host", "of an old TLS"])
def test_fault_28_bad_certificate_gets_nothing(
    store: Store,
    api: FakeApi,
    authority: Authority,
    contexts: dict[str, ssl.SSLContext],
    name: str,
) -> None:
    with open_wire(answer_well, contexts[name]) as wire:
        store.change(certificates=str(authority.bundle), settings={"TOPSORT_API_URL": wire.url})
        store.record("purchases", 3, "a")
        store.wait_for_line("error=TlsFailed")
        deadline = time.monotonic() + PATIENCE
        while wire.connections < 2:  # it asks again after a pause
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert wire.received == []
    (line,) = store.find_lines("error=TlsFailed")
    assert line.startswith("request failed waiting=3")
    store.change(settings={"TOPSORT_API_URL": api.url})
    store.close_books_without_loss(api)


def test_fault_28_good_certificate_gets_the_events(
    store: Store, authority: Authority, contexts: dict[str, ssl.SSLContext]
) -> None:
    with open_wire(answer_well, contexts["good"]) as wire:
        store.change(certificates=str(authority.bundle), settings={"TOPSORT_API_URL": wire.url})
        store.record("purchases", 3, "a")
        books = store.wait()

    assert len(books["delivered"]) == 3
    assert [body.startswith(b"POST /v2/events") for body in wire.received] == [True]


@pytest.fixture
def elsewhere() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


def test_fault_29_proxies_of_the_environment_are_not_used(
    api: FakeApi, elsewhere: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv(name.upper(), elsewhere.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with open_store(tmp_path / "log", TOPSORT_API_URL=api.url) as store:
        store.record_all_kinds(5, "a")
        store.close_books_without_loss(api)

    assert elsewhere.requests == []


def test_fault_30_netrc_does_not_replace_the_key(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with open_store(tmp_path / "log", TOPSORT_API_URL=api.url) as store:
        store.record_all_kinds(5, "a")
        store.close_books_without_loss(api)

    assert {str(r.headers["Authorization"]) for r in api.requests} == {f"Bearer {KEY}"}


def test_fault_31_address_that_refuses_is_followed_by_the_next(store: Store, api: FakeApi) -> None:
    # Nobody listens at ::1.
    store.change(
        names="both", settings={"TOPSORT_API_URL": api.url.replace("127.0.0.1", "api.test")}
    )
    store.record_all_kinds(5, "a")
    store.close_books_without_loss(api)

    assert store.find_lines("request failed") == []
    assert {str(request.headers["Host"]).split(":")[0] for request in api.requests} == {"api.test"}


@pytest.mark.parametrize("is_warm", [False, True])
def test_fault_31_process_without_a_free_file_goes_on_and_recovers(
    api: FakeApi, tmp_path: Path, is_warm: bool
) -> None:
    with open_store(tmp_path / "log", TOPSORT_API_URL=api.url) as store:
        if is_warm:
            store.record("clicks", 1, "warm")
            store.wait()
            api.drop_connections()
        # One that has a connection may close it, and have a free file for the next.
        store.call("exhaust", ids="o", seconds="1" if is_warm else "30")
        store.recorded += [("purchases", "o"), *(("impressions", f"o-{n}") for n in range(100))]
        store.record("clicks", 1, "after")
        store.close_books_without_loss(api)

        assert is_warm or store.find_lines("request failed") != []

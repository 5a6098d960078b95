"""The settings: when they are read, what they stand for, and that the key is never shown."""

from __future__ import annotations

import copy
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django import Settings

from django_topsort.conf import (
    BACKEND_KEYS,
    SETTINGS,
    Secret,
    TopsortSettings,
    topsort_settings,
)
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.setting import Setting

KEY = "TSE_the-key-of-these-tests"
HERE = __name__
NO_HOOK = 5


def get_key() -> str:
    return KEY


def get_nothing() -> None:
    return None


def capture(call: Callable[[], object]) -> str:
    """Return the traceback of what ``call`` raises, with all locals, as error reports have it."""
    with pytest.raises((ValueError, TopsortConfigurationError)) as raised:
        call()
    report = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    return "".join(report.format())


# Each setting


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_setting_that_is_not_set_has_its_default(name: str, settings: Settings) -> None:
    if hasattr(settings, name):
        delattr(settings, name)

    assert getattr(topsort_settings, name) == SETTINGS[name].default


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_setting_is_read_at_each_use(name: str) -> None:
    before = getattr(topsort_settings, name)
    first, second = object(), object()

    with override_settings(**{name: first}):
        assert getattr(topsort_settings, name) is first
        with override_settings(**{name: second}):
            assert getattr(topsort_settings, name) is second
        assert getattr(topsort_settings, name) is first

    assert getattr(topsort_settings, name) == before


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_setting_of_the_class_describes_itself(name: str) -> None:
    setting = getattr(TopsortSettings, name)

    assert isinstance(setting, Setting)
    assert setting is SETTINGS[name]
    assert setting.name == name
    assert str(setting.__doc__).endswith(".")


def test_settings_are_all_that_the_class_has() -> None:
    assert {name for name in dir(TopsortSettings) if name.isupper()} == set(SETTINGS)


def test_backend_keys_are_the_default_the_kinds_and_the_overflow() -> None:
    assert set(BACKEND_KEYS) == {"default", *EVENT_KINDS, "overflow"}


@pytest.mark.parametrize(
    ("strict", "debug", "expected"),
    [(None, False, False), (None, True, True), (False, True, False), (True, False, True)],
)
def test_strictness_follows_debug_unless_set(
    strict: bool | None, debug: bool, expected: bool, settings: Settings
) -> None:
    settings.TOPSORT_STRICT = strict
    settings.DEBUG = debug

    assert topsort_settings.is_strict is expected


# Hooks


def test_hook_that_is_not_set_is_none(settings: Settings) -> None:
    settings.TOPSORT_CONSENT = None

    assert topsort_settings.get_hook("TOPSORT_CONSENT") is None


@pytest.mark.parametrize("value", [get_key, f"{HERE}.get_key"], ids=["function", "path"])
def test_hook_is_a_function_or_the_path_of_one(value: object, settings: Settings) -> None:
    settings.TOPSORT_CONSENT = value

    assert topsort_settings.get_hook("TOPSORT_CONSENT") is get_key


@pytest.mark.parametrize(
    "value",
    ["", "consent", "no.such.module", f"{HERE}.no_such_name", ".consent", "..a"],
)
def test_hook_that_cannot_be_imported_is_named(value: object, settings: Settings) -> None:
    settings.TOPSORT_CONSENT = value

    with pytest.raises(TopsortConfigurationError) as raised:
        topsort_settings.get_hook("TOPSORT_CONSENT")

    assert f"TOPSORT_CONSENT: {value!r} cannot be imported" in str(raised.value)
    assert str(raised.value).endswith("; write a dotted path")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("value", [True, 5, ["a.b"]])
def test_hook_that_is_no_function_and_no_path_is_named(value: object, settings: Settings) -> None:
    settings.TOPSORT_CONSENT = value

    with pytest.raises(TopsortConfigurationError) as raised:
        topsort_settings.get_hook("TOPSORT_CONSENT")

    said = f"TOPSORT_CONSENT: {value!r} is no function and no dotted path; write one of them"
    assert str(raised.value) == said


def test_hook_whose_module_fails_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topsort_hooks_that_fail.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.TOPSORT_CONSENT = "topsort_hooks_that_fail.consent"

    with pytest.raises(TopsortConfigurationError, match="division by zero"):
        topsort_settings.get_hook("TOPSORT_CONSENT")

    assert "topsort_hooks_that_fail" not in sys.modules


def test_hook_that_cannot_be_called_is_named(settings: Settings) -> None:
    settings.TOPSORT_CONSENT = f"{HERE}.NO_HOOK"

    with pytest.raises(TopsortConfigurationError, match="cannot be called; name a function"):
        topsort_settings.get_hook("TOPSORT_CONSENT")


# The API key


@pytest.mark.parametrize(
    "value", [KEY, get_key, f"{HERE}.get_key"], ids=["text", "function", "path"]
)
def test_key_is_text_or_what_a_function_returns(value: object, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = value

    key = topsort_settings.get_api_key()

    assert key == KEY
    assert type(key) is Secret


@pytest.mark.parametrize("key", ["TSE_a.b.c", "sandbox-key", "a.b c", "a."])
def test_text_that_is_no_dotted_path_is_the_key(key: str, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = key

    assert topsort_settings.get_api_key() == key


@pytest.mark.parametrize("value", [None, "", get_nothing, f"{HERE}.get_nothing"])
def test_key_that_is_nothing_is_empty(value: object, settings: Settings) -> None:
    settings.TOPSORT_API_KEY = value

    assert topsort_settings.get_api_key() == ""


def test_dotted_key_that_cannot_be_imported_is_not_shown(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = "eyJhbGciOi.hidden-part.secret".replace("-", "_")

    report = capture(topsort_settings.get_api_key)

    assert "TOPSORT_API_KEY: it looks like a dotted path, but cannot be imported" in report
    assert "hidden_part" not in report


def test_key_of_another_type_is_not_shown(settings: Settings) -> None:
    settings.TOPSORT_API_KEY = [KEY]

    with pytest.raises(TopsortConfigurationError) as raised:
        topsort_settings.get_api_key()

    assert KEY not in str(raised.value)


# Secrets


def test_secret_is_the_text_itself() -> None:
    assert Secret(KEY) == KEY
    assert Secret(KEY).encode() == KEY.encode()
    assert f"Bearer {Secret(KEY)}" == f"Bearer {KEY}"


def test_secret_is_not_shown_in_a_repr() -> None:
    assert repr(Secret(KEY)) == "'********'"
    assert KEY not in repr({"key": [Secret(KEY)]})
    assert KEY not in f"{Secret(KEY)!r}"


def test_secret_is_not_shown_in_a_traceback() -> None:
    def post(key: str) -> None:
        headers = {"Authorization": key}
        raise ValueError(f"{headers}")

    secret = Secret(KEY)

    report = capture(lambda: post(secret))

    assert "headers = " in report
    assert KEY not in report


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps({"key": Secret(KEY)}, protocol)


def test_secret_is_not_copied() -> None:
    with pytest.raises(TypeError, match="a secret is not pickled"):
        copy.deepcopy([Secret(KEY)])


def test_function_that_fails_to_return_the_key_is_named_and_its_words_are_not(
    settings: Settings,
) -> None:
    def look_up() -> str:
        raise LookupError("no such secret: TSE_quoted")

    settings.TOPSORT_API_KEY = look_up
    with pytest.raises(TopsortConfigurationError) as raised:
        topsort_settings.get_api_key()
    assert "LookupError" in str(raised.value)
    assert "TSE_quoted" not in str(raised.value)
    assert raised.value.__context__ is None

"""Where the tests of this folder run."""

from __future__ import annotations

import django
import pytest


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Salesman 1.3 asks for Django below 6.0")
def test_salesman_runs_on_this_django() -> None:
    import salesman

    assert salesman.__version__.startswith("1.3")

"""What is asked of the blocks of the documentation is asked so that a wrong one fails."""

from __future__ import annotations

import pytest

from tests.docs.blocks import CHECKS, find_blocks

RIGHT = [
    ("python", "from django_topsort.tracking import record\n\nawait record(event)"),
    ("python", "TOPSORT_TIMEOUT = (1, 2)\nTOPSORT_API_KEY = os.environ['KEY']\nOTHER = 1"),
    ("python", "from os import path\n\nTOPSORT_BACKENDS = {}"),
    ("html", '{% load topsort topsort_oscar %}{% topsort_pageview page_type="home" %}'),
    ("html", '<% topsort_pageview page_type="home" %>'),
    ("jinja", "{% topsort_impression product, position=1 %}"),
    ("console", "make test SHOPS=oscar\npython manage.py topsort_status --format json | jq ."),
    ("console", "$ python manage.py topsort_relay --once  # until nothing is due"),
    ("sh", "manage.py topsort_report_orders shop.Order \\\n  --since=2026-11-01"),
    ("ini", "[Service]\nExecStart=x\nEnvironment=A=1\nEnvironment=B=1"),
    ("json", '{"a": 1}'),
    ("text", "anything"),
]
WRONG = [
    ("python", "def"),
    ("python", "return 1"),
    ("python", "from django_topsort.tracking import track_order"),
    ("python", "TOPSORT_TIMEOUT = -1"),
    ("python", "TOPSORT_TIMEOUTS = 1"),
    ("html", '{% load topsort %}{% topsort_pagevew page_type="home" %}'),
    ("html", '{% topsort_pageview page_type="home" %}'),
    ("html", '<% topsort_pagevew page_type="home" %>'),
    ("jinja", "{% topsort_placement 1 %}"),
    ("console", "make tests"),
    ("console", "python manage.py topsort_state"),
    ("console", "python manage.py topsort_relay --twice"),
    ("ini", "no section"),
    ("json", "{a: 1}"),
    ("text", " \n"),
]


@pytest.mark.parametrize(("language", "text"), RIGHT)
def test_block_that_is_right_passes(language: str, text: str) -> None:
    CHECKS[language](text)


@pytest.mark.parametrize(("language", "text"), WRONG)
def test_block_that_is_wrong_fails(language: str, text: str) -> None:
    with pytest.raises(Exception, match=r".*"):
        CHECKS[language](text)


def test_blocks_are_found_in_lists_too_and_directives_are_none() -> None:
    text = "# x\n\n```{toctree}\na\n```\n\n1. Do:\n\n   ```console\n   make test\n   ```\n"

    (block,) = find_blocks("page", text)

    assert block == ("page", 9, "console", "make test\n")

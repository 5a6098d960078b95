"""Which user agents are no person's: crawlers, and browsers that a script drives."""

from __future__ import annotations

import re

# Half a megabyte of JSON, and as many expressions.
from crawleruseragents import is_crawler  # type: ignore[import-untyped]

# What calls itself a crawler without being in the list of crawlers, such as one that is new; most
# name their address (+https://...), as no browser does. Phones by Cubot are none.
CRAWLER_AGENT = re.compile(
    r"(?<!cu)bot\b|(?<!cu)bot[/_;-]|\+https?:|crawl|spider|Google-\w|-Google\b", re.IGNORECASE
)
# What a script drives; where it calls itself a crawler, too, it is one.
AUTOMATED_AGENT = re.compile(
    r"Headless\w*|PhantomJS|SlimerJS|Selenium|Playwright|Puppeteer|splash Version/", re.IGNORECASE
)
# What people have although the list knows it: the build of a phone, the browser in Facebook's app,
# what Android's apps and React Native say, and a CDN in the place of the user agent that it keeps.
PERSONS_AGENT = re.compile(
    r"Build/[^\s;)]+|MetaIAB Facebook|okhttp(?:/[\w.-]*)?|Amazon CloudFront", re.IGNORECASE
)


def find_program(agent: str) -> str | None:
    """Return what kind of program uses this agent, or None where it may be a person."""
    is_automated = AUTOMATED_AGENT.search(agent) is not None
    # The list has those that scripts drive, too: what is left says whether it is a crawler besides.
    rest = PERSONS_AGENT.sub("", AUTOMATED_AGENT.sub("", agent) if is_automated else agent)
    if CRAWLER_AGENT.search(rest) or is_crawler(rest):
        return "crawler"
    return "automated" if is_automated else None

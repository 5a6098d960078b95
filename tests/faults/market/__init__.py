"""A market with orders, an outbox and an admin, whose processes and databases fail.

Its settings are those of the servers' site, with what ``tests.faults.shops`` puts into them.
"""

from __future__ import annotations

from importlib.util import find_spec

from tests.databases import stand_in_for_mysqlclient

if find_spec("pymysql") is not None:
    stand_in_for_mysqlclient()

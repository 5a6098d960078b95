"""What comes from browsers is shown in the admin: fault 91."""

from __future__ import annotations

import pytest

from tests.faults.shops import Shop

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]


def test_fault_91_script_in_what_the_admin_shows(shop: Shop) -> None:
    answer = b'{"errCode": "<script>alert(2)</script>", "message": "<b onload=x>"}'
    shop.api.answer(400, answer, matches=lambda request: b'"good"' not in request.body)
    shop.run(
        """
        from msgspec.structs import replace
        attack = "<script>alert(1)</script>"
        event = build_event("purchases", attack)
        record(event)
        record(build_event("purchases", "good"))  # which is taken, so that the others are at fault
        record(build_event("clicks", '=HYPERLINK("https://evil.example")'))
        from django_topsort.orders import remember_shopper
        from django_topsort.purchases.buyers import remember_buyer
        assert remember_buyer(attack, "shopper-1")
        """
    )
    shop.relay()

    ended = shop.run(
        """
        from urllib.parse import quote
        from django.contrib.auth.models import User
        from django.test import Client

        client = Client()
        client.force_login(User.objects.create_superuser("clerk"))
        attack = quote("<script>alert(1)</script>")
        events = "/admin/topsort_outbox/outboxevent/"
        shoppers = "/admin/topsort_outbox/rememberedshopper/"
        pages = [events, shoppers, f"{events}?q={attack}", f"{shoppers}?q={attack}"]
        pages += [f"{events}{row.pk}/change/" for row in OutboxEvent.objects.all()]
        answers = [client.get(page, follow=True) for page in pages]
        keys = list(OutboxEvent.objects.values_list("pk", flat=True))
        action = {"action": "send_again", "_selected_action": keys}
        answers.append(client.post(events, action, follow=True))
        for name in ("give_up", "export_csv", "export_json"):
            answers.append(client.post(events, {**action, "action": name}, follow=True))
        given_up = {**action, "action": "give_up", "confirmed": "1", "reason": "<b onload=y>"}
        answers.append(client.post(events, given_up, follow=True))
        pages += ["again", "ask", "csv", "json", "gone"]
        is_page = [page not in ("csv", "json") for page in pages]
        tell(
            statuses=[answer.status_code for answer in answers],
            found=[answer.content.decode().count("alert(1)") for answer in answers],
            attacks=[
                page
                for page, answer, is_markup in zip(pages, answers, is_page, strict=True)
                for text in ("<script>alert", "<b onload")
                if is_markup and text in answer.content.decode()
            ],
            formulas=[
                line
                for line in answers[pages.index("csv")].content.decode().splitlines()
                for cell in line.split(",")
                if cell.strip('"').startswith("=")
            ],
            types=[answers[pages.index(name)]["Content-Type"] for name in ("csv", "json")],
        )
        """
    )

    assert set(ended.facts["statuses"]) == {200}
    assert min(ended.facts["found"][:4]) >= 1  # it is shown, as the text that it is
    assert ended.facts["attacks"] == []
    assert ended.facts["formulas"] == []
    assert ended.facts["types"] == ["text/csv; charset=utf-8", "application/json"]

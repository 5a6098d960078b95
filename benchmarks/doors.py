"""Other ways to take what a browser posts: what one would write by hand, validation included."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    Door = Callable[[HttpRequest], Any]


def build_drf_serializers() -> Door:
    """Return a view of REST framework with nested serializers."""
    from rest_framework import serializers
    from rest_framework.parsers import JSONParser
    from rest_framework.renderers import JSONRenderer
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class EntitySerializer(serializers.Serializer[Any]):
        type = serializers.ChoiceField(["product", "vendor"])
        id = serializers.CharField()

    class PlacementSerializer(serializers.Serializer[Any]):
        path = serializers.CharField()
        position = serializers.IntegerField(min_value=0, required=False)
        page = serializers.IntegerField(min_value=0, required=False)
        pageSize = serializers.IntegerField(min_value=0, required=False)  # noqa: N815
        searchQuery = serializers.CharField(required=False)  # noqa: N815
        categoryIds = serializers.ListField(child=serializers.CharField(), required=False)  # noqa: N815

    class ImpressionSerializer(serializers.Serializer[Any]):
        id = serializers.CharField()
        occurredAt = serializers.DateTimeField()  # noqa: N815
        opaqueUserId = serializers.CharField(required=False)  # noqa: N815
        resolvedBidId = serializers.CharField(required=False)  # noqa: N815
        entity = EntitySerializer(required=False)
        placement = PlacementSerializer()

    class BodySerializer(serializers.Serializer[Any]):
        impressions = ImpressionSerializer(many=True)

    class EventsView(APIView):
        authentication_classes = ()
        permission_classes = ()
        parser_classes = (JSONParser,)
        renderer_classes = (JSONRenderer,)

        def post(self, request: Any) -> Response:
            serializer = BodySerializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            return Response(status=204)

    return EventsView.as_view()


def build_pydantic() -> Door:
    """Return a bare view with pydantic models."""
    from django.http import HttpResponse
    from pydantic import Field, create_model

    number = (Annotated[int, Field(ge=0)] | None, None)
    text = (str | None, None)
    entity = create_model("Entity", type=(Literal["product", "vendor"], ...), id=(str, ...))
    placement = create_model(
        "Placement",
        path=(str, ...),
        position=number,
        page=number,
        pageSize=number,
        searchQuery=text,
        categoryIds=(list[str] | None, None),
    )
    impression = create_model(
        "Impression",
        id=(str, ...),
        occurredAt=(datetime, ...),
        opaqueUserId=text,
        resolvedBidId=text,
        entity=(entity | None, None),
        placement=(placement, ...),
    )
    body = create_model("Body", impressions=(list[impression], ...))  # type: ignore[valid-type]

    def view(request: HttpRequest) -> HttpResponse:
        body.model_validate_json(request.body)
        return HttpResponse(status=204)

    return view


def build_msgspec_view() -> Door:
    """Return a bare view with msgspec's structs."""
    import msgspec
    from django.http import HttpResponse

    number = Annotated[int, msgspec.Meta(ge=0)] | None
    entity = msgspec.defstruct("Entity", [("type", Literal["product", "vendor"]), ("id", str)])
    placement = msgspec.defstruct(
        "Placement",
        [
            ("path", str),
            ("position", number, None),
            ("page", number, None),
            ("pageSize", number, None),
            ("searchQuery", str | None, None),
            ("categoryIds", list[str] | None, None),
        ],
    )
    impression = msgspec.defstruct(
        "Impression",
        [
            ("id", str),
            ("occurredAt", datetime),
            ("placement", placement),
            ("opaqueUserId", str | None, None),
            ("resolvedBidId", str | None, None),
            ("entity", entity | None, None),
        ],
    )
    body = msgspec.defstruct("Body", [("impressions", list[impression])])  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(body).decode

    def view(request: HttpRequest) -> HttpResponse:
        decode(request.body)
        return HttpResponse(status=204)

    return view


BUILDERS: dict[str, Callable[[], Door]] = {
    "drf_serializers": build_drf_serializers,
    "pydantic": build_pydantic,
    "msgspec_view": build_msgspec_view,
}

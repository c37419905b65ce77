"""JSON in, JSON out."""

from __future__ import annotations

import json

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_http_methods

from .models import Entry


@require_http_methods(["GET"])
def health(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return JsonResponse({"database_user": cursor.fetchone()[0]})


@require_http_methods(["GET", "POST"])
def entries(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return JsonResponse({"entries": [entry.as_json() for entry in Entry.objects.all()[:100]]})
    try:
        given = json.loads(request.body)
        name, text = str(given["name"]), str(given["text"])
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"detail": "Send a JSON object with name and text."}, status=400)
    if not 1 <= len(name) <= Entry._meta.get_field("name").max_length or not text:
        return JsonResponse({"detail": "name and text must not be empty, nor name too long."}, status=400)
    return JsonResponse(Entry.objects.create(name=name, text=text).as_json(), status=201)


@require_http_methods(["DELETE"])
def entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    deleted, _ = Entry.objects.filter(pk=entry_id).delete()
    if not deleted:
        raise Http404
    return HttpResponse(status=204)

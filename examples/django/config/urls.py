"""Where requests go."""

from __future__ import annotations

from django.urls import path
from guestbook import views

urlpatterns = [
    path("health", views.health),
    path("entries", views.entries),
    path("entries/<int:entry_id>", views.entry),
]

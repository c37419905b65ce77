"""The one table."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=100)
    text = models.TextField()
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("written_at", "id")

    def __str__(self) -> str:
        return f"{self.name}: {self.text[:40]}"

    def as_json(self) -> dict[str, object]:
        return {"id": self.pk, "name": self.name, "text": self.text, "written_at": self.written_at}

"""A real PostgreSQL that lets in only valid IAM auth tokens, with STS and OIDC beside it."""

from __future__ import annotations

"""Credentials that a machine hands to what runs on it: kept until they near their end, then issued anew.

What IMDS, the ECS agent and the EKS Pod Identity agent have in common.
"""

from __future__ import annotations

from typing import Final

from pgiam.sandbox.clock import Clock
from pgiam.sandbox.iam import Credential, Directory
from pgiam.sandbox.sts import Sts

LIFETIME: Final = 6 * 3600
# Agents renew well before the end, so that a client never gets credentials that are about to die.
RENEWAL: Final = 0.2


class MachineCredentials:
    """One current credential for each role and session name."""

    def __init__(self, directory: Directory, clock: Clock, sts: Sts) -> None:
        self._directory = directory
        self._clock = clock
        self._sts = sts
        self._current: dict[tuple[str, str], Credential] = {}

    def of(self, role: str, session_name: str) -> Credential:
        """The current credential of a role, which has to exist."""
        credential = self._current.get((role, session_name))
        if credential is None or not self._serves(credential):
            credential = self._sts.issue(role, session_name, LIFETIME)
            self._current[role, session_name] = credential
        return credential

    def rotate(self) -> int:
        """Hand out new credentials from now on; the old ones live on to their own end."""
        count = len(self._current)
        self._current.clear()
        return count

    def _serves(self, credential: Credential) -> bool:
        # Looked up again: it may have been disabled or ended since.
        known = self._directory.find(credential.access_key)
        if known is None or known.expires_at is None or known.expires_at != credential.expires_at:
            return False
        return known.expires_at - self._clock.now() > RENEWAL * self._sts.lifetime(LIFETIME)

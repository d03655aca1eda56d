"""What a trainer keeps secret: how it seals its files of one job, and what it was granted to open those of others.

Opening files is the job of ``audit.artifacts``; who grants what is decided by ``protocol.owner``.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from multiformats import CID

from clicooper.access.grants import AuditKeys, Grant, open_grant, seal_grant
from clicooper.access.identity import recipient_of
from clicooper.access.sealed_files import name_sealed, seal_bytes
from clicooper.access.sealing import sealing_secret, secret_digest
from clicooper.commitments.manifest import SealedFile
from clicooper.errors import SealError
from clicooper.learning.checkpoint import State, state_bytes
from clicooper.storage.base import Store
from clicooper.types import Address, Digest, Head, JobId
from clicooper.watermark.keys import MarkKeys, keys_from_secret

__all__ = ["TrainerSecrets", "Vault"]


@dataclass(frozen=True)
class TrainerSecrets:
    """What a trainer keeps, secret and durable: everything else that it needs to know again follows from it.

    Attributes:
        secret: 32 bytes; mark keys and sealing secrets are derived from it.
        identity: its age identity, to whose recipient it is granted what others seal.
    """

    secret: bytes = field(repr=False)
    identity: str = field(repr=False)

    def mark_keys(self, job: JobId, round_: int, seat: int, attempt: int = 0) -> MarkKeys:
        """The keys of one attempt; the same after a restart."""
        return keys_from_secret(self.secret, job, round_, seat, attempt)

    @property
    def recipient(self) -> str:
        """Whom to grant to."""
        return recipient_of(self.identity)


class Vault:
    """Sealed files as one trainer sees them.

    Args:
        store: where ciphertexts and grants are.
        author: this trainer.
        secrets: whose sealing secret of the job seals.
        genesis: the job.
    """

    def __init__(self, store: Store, author: Address, secrets: TrainerSecrets, genesis: Head) -> None:
        self._store, self._author, self._secrets = store, author, secrets
        self._secret = sealing_secret(secrets.secret, genesis)
        self._keys = AuditKeys(sealing={author: self._secret}, genesis=genesis)

    @property
    def secret_digest(self) -> Digest:
        """What is registered of the sealing secret."""
        return secret_digest(self._secret)

    def grant_to(self, *recipients: str) -> CID:
        """Puts a grant of this trainer's sealing secret into the store, and nothing else of what it knows."""
        own = AuditKeys(sealing={self._author: self._secret}, genesis=self._keys.genesis)
        return self._store.put_block(seal_grant(own, self._author, recipients).to_block())

    def receive(self, grant: CID, registered: Mapping[Address, Digest]) -> None:
        """Opens a grant of the job's owner and keeps what it gives; its own secret stays its own.

        Args:
            registered: by trainer, the digest of its sealing secret. A secret with another one would make an honest
                author's files look broken.

        Raises:
            ArtifactMissing, ArtifactCorrupt, SpecError: there is no such grant.
            SealError: it is for somebody else or another job, or gives another secret than its author registered.
        """
        granted = open_grant(Grant.from_block(self._store.get_block(grant)), self._secrets.identity)
        if granted.genesis != self._keys.genesis:
            raise SealError(f"grant {grant} is for another job", hint="ask this job's owner for a grant")
        for author, secret in granted.sealing.items():
            if not hmac.compare_digest(secret_digest(secret), registered.get(author, b"")):
                hint = "ask the owner for another grant; this proves nothing against the trainer"
                raise SealError(f"grant {grant} gives another secret than {author} registered", hint=hint)
        self._keys = self._keys.with_more(granted).with_more(AuditKeys(sealing={self._author: self._secret}))

    @property
    def keys(self) -> AuditKeys:
        """Everything that this trainer can open files and labels with."""
        return self._keys

    def put(self, data: bytes) -> SealedFile:
        """Seals one file."""
        return seal_bytes(self._store, self._secret, bytes.fromhex(self._author[2:]), data)

    def put_state(self, state: State) -> SealedFile:
        """Seals a state as a safetensors file."""
        return self.put(state_bytes(state))

    def name_state(self, state: State) -> SealedFile:
        """What ``put_state`` would return, without publishing anything."""
        return name_sealed(self._secret, bytes.fromhex(self._author[2:]), state_bytes(state))

"""Trainers whose registered grant lets nobody in, or lets in the wrong one: refused before any label is revealed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clicooper.access.grants import AuditKeys, Grant, seal_grant
from clicooper.chain.events import SeatJoined
from clicooper.commitments.manifest import KeyRecord
from clicooper.protocol.trainer import Trainer
from clicooper.types import Address, Head
from tests.adversaries._invented import NOWHERE, OTHER_KEY


class RegisteringCheat(Trainer):
    """A trainer that registers something else than its own working grant."""

    def _key_record(self, endpoint: str) -> KeyRecord:
        return super()._key_record(endpoint).model_copy(update=self.claims())

    def claims(self) -> dict[str, Any]:
        return {}

    @property
    def own_keys(self) -> AuditKeys:
        return AuditKeys(sealing={self.address: self._vault._secret}, genesis=self._vault._keys.genesis)

    def granted(self, keys: AuditKeys, *recipients: str) -> dict[str, Any]:
        wrapped = recipients or (self._spec.owner_key, *self._spec.arbiter_keys)
        return {"grant": self._store.put_block(seal_grant(keys, self.address, wrapped).to_block())}


class GrantsGarbage(RegisteringCheat):
    """Registers a grant that is no age file."""

    def claims(self) -> dict[str, Any]:
        grant = seal_grant(self.own_keys, self.address, [self._spec.owner_key])
        return {"grant": self._store.put_block(grant.model_copy(update={"ciphertext": b"garbage"}).to_block())}


class GrantsToSomebodyElse(RegisteringCheat):
    """Wraps its secret for itself, so that only its own files are ever read."""

    def claims(self) -> dict[str, Any]:
        return self.granted(self.own_keys, self._secrets.recipient)


class GrantsAnotherSecret(RegisteringCheat):
    """Grants a secret that is not the one it registered."""

    def claims(self) -> dict[str, Any]:
        return self.granted(replace(self.own_keys, sealing={self.address: OTHER_KEY}))


class GrantsNothing(RegisteringCheat):
    """Registers a grant that nobody ever sees."""

    def claims(self) -> dict[str, Any]:
        return {"grant": NOWHERE}


class GrantsForAnotherJob(RegisteringCheat):
    """Registers the secret of another job."""

    def claims(self) -> dict[str, Any]:
        return self.granted(replace(self.own_keys, genesis=Head(b"\x09" * 32)))


class GrantsMoreThanItsOwn(RegisteringCheat):
    """Puts a second author's secret into its grant."""

    def claims(self) -> dict[str, Any]:
        other = Address("0x" + "11" * 20)
        return self.granted(replace(self.own_keys, sealing={**self.own_keys.sealing, other: OTHER_KEY}))


class CopiesNeighboursGrant(RegisteringCheat):
    """Registers its neighbour's grant and digest, to be let in wherever its neighbour's secret opens."""

    def claims(self) -> dict[str, Any]:
        self._index.sync()
        joined = [e for e in self._index.bare_events(self._job) if isinstance(e, SeatJoined)]
        record = KeyRecord.from_block(joined[0].key_record)
        return {"grant": record.grant, "secret_digest": record.secret_digest}


class RewrapsNeighboursGrant(CopiesNeighboursGrant):
    """The same under its own name: the ciphertext is its neighbour's."""

    def claims(self) -> dict[str, Any]:
        copied = super().claims()
        grant = Grant.from_block(self._store.get_block(copied["grant"]))
        own = grant.model_copy(update={"author": bytes.fromhex(self.address[2:])})
        return copied | {"grant": self._store.put_block(own.to_block())}

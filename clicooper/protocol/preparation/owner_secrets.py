"""The owner's secrets of one job, all derived from its master secret and the release that they are for."""

from __future__ import annotations

from dataclasses import dataclass, field

from clicooper.commitments.head import label_keys
from clicooper.config import JobConfig
from clicooper.privacy.labels import LabelMap
from clicooper.privacy.randomness import MasterSecret
from clicooper.types import Digest

__all__ = ["OwnerSecrets", "derive_secrets"]


@dataclass(frozen=True, eq=False)
class OwnerSecrets:
    """What never leaves the owner, except the label secret to the last seat, the arbiter and chosen auditors.

    Attributes:
        identity: the owner's age identity: every seat's sealing secret is granted to its recipient.
    """

    master: MasterSecret
    label_map: LabelMap = field(repr=False)
    label_secret: bytes = field(repr=False)
    label_keys: tuple[Digest, ...] = field(repr=False)
    identity: str = field(repr=False)


def derive_secrets(
    config: JobConfig, master: MasterSecret, identity: str, label_map: LabelMap, context: Digest
) -> OwnerSecrets:
    """The secrets of the release with this context; the same for the same arguments."""
    last_key = Digest(master.derive("clicooper.label-keys", context))
    return OwnerSecrets(
        master=master,
        label_map=label_map,
        label_secret=master.derive("clicooper.label-secret", context),
        label_keys=tuple(label_keys(last_key, config.rounds)),
        identity=identity,
    )

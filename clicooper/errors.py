"""The error hierarchy: what happened, where, and what to do about it.

Every error that a user can cause or meet is a ``CliCooperError`` with a ``hint`` and the exit code
of the command line. Third-party errors are wrapped with ``raise ... from e``.
"""

from enum import Enum

__all__ = [
    "ArithmeticFault",
    "ArtifactCorrupt",
    "ArtifactMalformed",
    "ArtifactMissing",
    "CarError",
    "Cause",
    "ChainError",
    "CliCooperError",
    "Contradiction",
    "DataError",
    "EndpointsDisagree",
    "EvidenceUnusable",
    "GrantRefused",
    "GraphTooLarge",
    "MarkCapacityError",
    "ModelUnusable",
    "NotPortable",
    "PrivacyBudgetError",
    "PrivacyClaimError",
    "RecordDamaged",
    "RecordError",
    "RetentionRefused",
    "RevertError",
    "RulingRefused",
    "RulingUndecided",
    "RunFolderError",
    "RuntimeMismatch",
    "SealBroken",
    "SealError",
    "SpecError",
    "StorageError",
    "UntrustedModel",
    "UsageError",
    "VerificationFailed",
    "WorkersLost",
]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NETWORK = 3
EXIT_INCONCLUSIVE = 4


class Cause(Enum):
    """What kept a claim from being checked; never a party of the job."""

    MACHINE = "this machine"
    STORE = "the store"
    NODE = "the node"
    TERMS = "the terms"


class CliCooperError(Exception):
    """Base of every error of this package.

    Args:
        message: one line that says what is wrong and where.
        hint: one line that says what the user can do.

    Attributes:
        cause: what a claim that this error left unchecked is put down to.
    """

    exit_code = EXIT_USAGE
    cause = Cause.MACHINE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def diagnostics(self) -> str:
        """The message, and the hint on a line of its own where there is one."""
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(CliCooperError):
    """A bad option, or a combination of options that makes no sense."""


class SpecError(CliCooperError):
    """A job specification or manifest that breaks its schema or its limits."""

    cause = Cause.TERMS


class NotPortable(SpecError):
    """A model with a layer or an operation that the portable arithmetic does not define."""


class ArithmeticFault(CliCooperError):
    """A machine whose results are not those of the portable arithmetic; nobody else is at fault."""

    exit_code = EXIT_INCONCLUSIVE
    cause = Cause.MACHINE


class DataError(CliCooperError):
    """A data set of the wrong shape, type, label range, or with damaged files."""


class RunFolderError(CliCooperError):
    """A run folder that is absent, not writable, or incomplete."""


class RetentionRefused(CliCooperError):
    """A clean-up that might lose what somebody still needs."""


class PrivacyClaimError(CliCooperError):
    """A privacy parameter for which no correct statement exists."""


class PrivacyBudgetError(CliCooperError):
    """A release that the ledger of its data set does not allow."""


class UntrustedModel(CliCooperError):
    """A spec whose model is code of its author's, which nobody here has agreed to run."""

    exit_code = EXIT_INCONCLUSIVE


class ModelUnusable(CliCooperError):
    """A model whose code is absent here, is not the code that the spec names, or fails where it is run.

    Nothing that builds on it can be checked on this machine, and nobody is at fault.
    """

    exit_code = EXIT_INCONCLUSIVE


class MarkCapacityError(SpecError):
    """A segment too small to hold its marks within the distortion limit."""

    cause = Cause.TERMS


class RuntimeMismatch(CliCooperError):
    """A machine of another runtime class than the one that a job's work is to be done in: its bits would differ."""


class VerificationFailed(CliCooperError):
    """A check that ran and found a difference."""

    exit_code = EXIT_FAILED


class Contradiction(VerificationFailed):
    """Committed content that breaks a rule of the protocol, or differs from what was computed again from it.

    The one error that convicts. It is raised only over bytes that hash to what ``party`` committed.

    Args:
        party: the seat that committed it, or ``types.ACCUSED_OWNER``.
        round_: in which it was committed; None for what stands before every round.
        expected, actual: what the protocol demands, and what was committed, as text.
    """

    def __init__(
        self,
        message: str,
        *,
        party: int,
        round_: int | None = None,
        expected: str = "",
        actual: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.party, self.round = party, round_
        self.expected, self.actual = expected, actual


class RecordError(VerificationFailed):
    """A record whose events do not follow from each other, or that the chain does not bear out."""


class RecordDamaged(RecordError):
    """A record file that is not what was written: cut off, changed, or another file."""

    exit_code = EXIT_INCONCLUSIVE
    cause = Cause.STORE


class CarError(CliCooperError):
    """A CAR file that is damaged, cut off, or not one that this program accepts.

    Args:
        offset: byte of the file at which the refused part begins.
    """

    exit_code = EXIT_INCONCLUSIVE
    cause = Cause.STORE

    def __init__(self, message: str, *, offset: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class ArtifactCorrupt(CliCooperError):
    """An artifact of which this copy holds other bytes: they do not hash to its name, and prove nothing."""

    exit_code = EXIT_INCONCLUSIVE
    cause = Cause.STORE

    def __init__(self, message: str, *, cid: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cid = cid


class ArtifactMalformed(ArtifactCorrupt):
    """Genuine bytes that are not what the protocol has under that name: whoever linked them is answerable."""


class SealBroken(VerificationFailed):
    """A sealed file that does not open under the very secret that its author registered: the author is answerable."""

    def __init__(self, message: str, *, cid: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cid = cid


class RulingRefused(VerificationFailed):
    """A ruling that the evidence does not bear out; nothing was sent."""


class RulingUndecided(RulingRefused):
    """A ruling on evidence that cannot tell, or that was not looked at."""

    exit_code = EXIT_INCONCLUSIVE


class GrantRefused(VerificationFailed):
    """A trainer's grant that does not give its owner the sealing secret that it registered."""


class ArtifactMissing(CliCooperError):
    """An artifact that the store does not have: whatever needs it cannot be checked."""

    exit_code = EXIT_INCONCLUSIVE
    cause = Cause.STORE

    def __init__(self, message: str, *, cid: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cid = cid


class GraphTooLarge(CliCooperError):
    """A graph of more blocks or bytes than its reader allows: what it holds beyond them cannot be checked."""

    exit_code = EXIT_INCONCLUSIVE


class EvidenceUnusable(CliCooperError):
    """Evidence that is damaged, or that does not hold what it must: it accuses and clears nobody."""

    exit_code = EXIT_INCONCLUSIVE


class SealError(CliCooperError):
    """A sealed artifact that cannot be opened with the keys at hand."""

    exit_code = EXIT_INCONCLUSIVE


class StorageError(CliCooperError):
    """A store that cannot be reached, read or written."""

    exit_code = EXIT_NETWORK
    cause = Cause.STORE


class ChainError(CliCooperError):
    """A node that cannot be reached, or that answers something unusable."""

    exit_code = EXIT_NETWORK
    cause = Cause.NODE


class EndpointsDisagree(ChainError):
    """Nodes that say different things about one chain: which of them is right, none of them can prove."""

    exit_code = EXIT_INCONCLUSIVE


class WorkersLost(CliCooperError):
    """Processes or a cluster that were to replay training and cannot be reached, or differ from this program."""

    exit_code = EXIT_NETWORK


class RevertError(CliCooperError):
    """A call that the contract refused.

    Args:
        name: the contract's error, such as ``StaleHead``.
        args: its decoded arguments by name.
    """

    def __init__(self, message: str, *, name: str, values: dict[str, object] | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.values = values or {}

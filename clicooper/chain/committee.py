"""The m-of-n arbiter as typed calls: votes on the chain, votes by signature, and the members' fees.

Name the committee's address as arbiter when creating a job. The threshold-th equal vote rules; what to vote is the
members' own business.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from eth_abi import encode

from clicooper.chain._abi import Abi
from clicooper.chain._transact import Deployed
from clicooper.chain.compile import load_artifact
from clicooper.chain.deploy import deploy
from clicooper.chain.keys import LocalAccount
from clicooper.chain.rpc.messages import Receipt, to_address
from clicooper.chain.rpc.node import Node
from clicooper.chain.typed_data import Domain
from clicooper.types import Address, Digest, JobId

__all__ = ["ARTIFACT", "Committee", "committee_arguments", "deploy_committee"]

ARTIFACT: Final = "Committee"


def _abi() -> Abi:
    """The committee's own errors, and those of the contract that it forwards rulings to."""
    own, forwarded = load_artifact(ARTIFACT).abi, load_artifact().abi
    known = {(entry["type"], entry.get("name")) for entry in own}
    passed_on = [entry for entry in forwarded if entry["type"] == "error" and ("error", entry["name"]) not in known]
    return Abi([*own, *passed_on])


def committee_arguments(contract: Address, members: Sequence[Address], threshold: int) -> bytes:
    """What the constructor takes, ABI-encoded.

    Args:
        contract: the CliCooper contract that the committee shall rule in.
        members: 1 to 32 distinct addresses.
        threshold: equal votes that make a ruling, 1 to the number of members.
    """
    return encode(["address", "address[]", "uint256"], [contract, list(members), threshold])


def deploy_committee(
    node: Node, account: LocalAccount, contract: Address, members: Sequence[Address], threshold: int
) -> tuple[Address, Receipt]:
    """Creates a committee, whose members and threshold stay what they are.

    Args:
        node: the chain.
        account: pays for the deployment and gains nothing by it.
        contract, members, threshold: see ``committee_arguments``.

    Raises:
        RevertError: ``InvalidCommittee``, for members or a threshold that are none.
        ChainError: the node refused, for instance for lack of coin.
    """
    return deploy(node, account, ARTIFACT, arguments=committee_arguments(contract, members, threshold))


class Committee(Deployed):
    """One deployed committee, seen from one account.

    Args:
        node: the chain.
        address: where the committee is.
        account: who acts; None for reading only.

    Raises:
        ChainError: there is no contract at that address.
    """

    _what = "committee"

    def __init__(self, node: Node, address: Address, account: LocalAccount | None = None) -> None:
        super().__init__(node, address, _abi(), account)
        self.domain = Domain(node.chain_id, address, "CliCooperCommittee")

    def vote(self, job: JobId, challenge_id: Digest, guilty: bool) -> Receipt:
        """Casts this member's vote, which is final; rules if it is the last one needed."""
        return self._transact("vote", job, challenge_id, guilty)

    def rule_by_signatures(
        self, job: JobId, challenge_id: Digest, guilty: bool, votes: Mapping[Address, bytes]
    ) -> Receipt:
        """Casts signed votes beside those already cast, and rules; anyone may send it.

        Args:
            job: the job under arbitration.
            challenge_id: of its open challenge.
            guilty: the ruling that all these votes are for.
            votes: the members' signatures, see ``clicooper.chain.typed_data.sign_ruling``.
        """
        return self._transact("ruleBySignatures", job, challenge_id, guilty, list(votes), list(votes.values()))

    def collect(self, job: JobId) -> Receipt:
        """Fetches what a job owes this committee; anyone may send it."""
        return self._transact("collect", job)

    def withdraw(self, token: Address) -> Receipt:
        """Pays this member its share of all that came in, in a token or the native coin (the zero address)."""
        return self._transact("withdraw", token)

    def votes_for(self, job: JobId, challenge_id: Digest, guilty: bool) -> int:
        """How many members voted this way."""
        return int(self._view("votesFor", job, challenge_id, guilty))

    def owed_to(self, token: Address, member: Address) -> int:
        """What ``withdraw`` would pay this member now."""
        return int(self._view("owedTo", token, member))

    def members(self) -> tuple[Address, ...]:
        """All members."""
        return tuple(to_address(member) for member in self._view("members"))

    def threshold(self) -> int:
        """Equal votes that make a ruling."""
        return int(self._view("threshold"))

    def contract(self) -> Address:
        """The only contract that it can rule in."""
        return to_address(self._view("cooper"))

"""A job that pays in an ERC-20 token, on every kind of node."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import solcx
from chain_world import account_of, funded
from court import EVIDENCE, Court, open_court

from clicooper.chain._abi import Abi
from clicooper.chain._transact import transact
from clicooper.chain.client import Contract
from clicooper.chain.compile import SETTINGS, collect_sources
from clicooper.chain.keys import random_account
from clicooper.chain.rpc.messages import Call
from clicooper.chain.rpc.node import Node
from clicooper.chain.token import Token
from clicooper.errors import ChainError, RevertError, UsageError
from clicooper.types import Address, Ground, Phase

ROOT = Path(__file__).parents[2]
SOURCE = "tests/contract/TokenZoo.sol"
ENOUGH = 10**18


@pytest.fixture(scope="session")
def token_code() -> dict[str, Any]:
    """The suite's test token, compiled: an honest ERC-20 with a mint open to anyone."""
    sources = {name: {"content": text} for name, text in collect_sources(ROOT, SOURCE).items()}
    settings = {**SETTINGS, "outputSelection": {SOURCE: {"ZooToken": ["abi", "evm.bytecode.object"]}}}
    wanted = {"language": "Solidity", "sources": sources, "settings": settings}
    compiled = solcx.compile_standard(wanted, solc_binary=ROOT / "scripts" / "solc")
    code: dict[str, Any] = compiled["contracts"][SOURCE]["ZooToken"]
    return code


@pytest.fixture
def pay_in(node: Node, token_code: dict[str, Any]) -> Callable[[Contract], Address]:
    """Deploys the token on the node."""

    def deploy_token(owner: Contract) -> Address:
        assert owner.account is not None
        creation = bytes.fromhex(token_code["evm"]["bytecode"]["object"])
        created = transact(node, owner.account, Call(None, creation, account_of(owner))).contract_address
        assert created is not None
        return created

    return deploy_token


@pytest.fixture
def court(node: Node, token_code: dict[str, Any], pay_in: Callable[[Contract], Address]) -> Court:
    """A job in the token; everybody has some and has approved the contract."""
    court = open_court(node, pay_in=pay_in)
    abi = Abi(token_code["abi"])
    for contract in court.everybody:
        assert contract.account is not None
        account = account_of(contract)
        mint = abi.encode_call("mint", (account, ENOUGH))
        transact(node, contract.account, Call(court.params.token, mint, account))
        Token(node, court.params.token, contract.account).approve(contract.address, ENOUGH)
    court.open()
    return court


def test_whole_dispute_is_paid_in_the_token(court: Court) -> None:
    token, contract = Token(court.node, court.params.token), court.owner.address
    assert token.balance(contract) == court.params.escrow_wei + 3 * court.params.stake_wei
    court.commit_all()
    court.challenge(1)
    court.rule(guilty=True)
    court.refill(1)
    court.challenge(0)
    court.rule(guilty=False)
    court.finish_rounds()
    history = court.settle()
    assert history.phase is Phase.DONE
    assert court.node.balance(contract) == 0, "no coin ever went in"
    spent = [ENOUGH - token.balance(account_of(party)) for party in court.everybody]
    assert sum(spent) == token.balance(contract), "what nobody got back is burned"


def test_coin_sent_to_a_token_job_is_refused(court: Court) -> None:
    with pytest.raises(RevertError, match="WrongValue"):
        bond = court.owner.bond_due(court.job)
        court.challenger.challenge(court.job, court.state.head, 0, Ground.FAULT, EVIDENCE, bond)


def test_allowance_is_spent_and_needed(court: Court) -> None:
    challenger = court.challenger
    assert challenger.account is not None
    token = Token(court.node, court.params.token, challenger.account)
    who = account_of(challenger)
    court.challenge(0)
    bond = court.params.challenge_bond_wei
    assert token.allowance(who, challenger.address) == ENOUGH - bond
    court.rule(guilty=False)
    token.approve(challenger.address, bond)
    with pytest.raises(RevertError) as caught:
        court.challenge(0)
    assert "token" in caught.value.hint


def test_token_needs_a_contract_and_an_account_to_approve(court: Court) -> None:
    with pytest.raises(ChainError, match="no token at"):
        Token(court.node, Address(random_account().address))
    with pytest.raises(UsageError, match="approve needs an account"):
        Token(court.node, court.params.token).approve(court.owner.address, 1)


def test_job_in_something_that_is_no_token_is_refused(node: Node) -> None:
    court = open_court(node, pay_in=lambda _: Address(funded(node, random_account()).address))
    with pytest.raises(RevertError, match="UnsupportedToken"):
        court.owner.create_job(court.params)

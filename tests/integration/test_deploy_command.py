"""``clicooper deploy`` and ``contract`` against real nodes: Anvil and Ganache."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from chain_world import PARAMS, create_raw

from clicooper.chain.client import Contract
from clicooper.chain.committee import Committee
from clicooper.chain.compile import load_artifact
from clicooper.chain.deploy import deploy, first_difference
from clicooper.chain.fees import SendPolicy, quote
from clicooper.chain.keys import account_from_seed, random_account, save_keystore
from clicooper.chain.rpc.node import Node
from clicooper.errors import ChainError, UsageError
from clicooper.types import Address
from tests.cli_calls import answered, printed, refused

Capture = pytest.CaptureFixture[str]
OWNER = account_from_seed(b"deploy command", "owner")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one account, and its password beside."""
    home = tmp_path_factory.mktemp("home")
    (home / "keystore").mkdir()
    save_keystore(home / "keystore" / "owner.json", OWNER, "correct horse")
    (home / "password").write_text("correct horse\n")
    return home


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


@pytest.fixture(params=["anvil", "ganache"])
def network(request: pytest.FixtureRequest, folder: Path, home: Path) -> tuple[str, ...]:
    """Global options for each development node in turn, by a name of its own in the settings file."""
    url = request.getfixturevalue(f"{request.param}_url")
    (folder / "clicooper.toml").write_text(f'[networks]\nlab = "{url}"\n')
    return ("--network", "lab", "--home", str(home), "--password-file", str(home / "password"))


def connection(folder: Path) -> Node:
    return Node.connect((folder / "clicooper.toml").read_text().split('"')[1])


# Deployment


def test_deployment_end_to_end(network: tuple[str, ...], home: Path, folder: Path, capsys: Capture) -> None:
    done = answered(capsys, "deploy", "--lens", "--confirmations", "2", *network)
    contract, lens = done["deployments"]
    assert (contract["contract"], lens["contract"]) == ("CliCooper", "CliCooperLens")
    assert (done["dry_run"], done["deployer"], contract["deployer"]) == (False, OWNER.address, OWNER.address)
    assert contract["source_digest"] == f"0x{load_artifact().source_digest.hex()}"
    assert contract["gas_used"] <= done["costs"][0]["gas"] <= done["costs"][0]["gas_limit"]

    record = json.loads((home / "deployments" / f"{done['chain_id']}.json").read_bytes())
    assert record["chain_id"] == done["chain_id"]
    assert record["deployments"][-2:] == done["deployments"]

    for address, name in ((contract["address"], "CliCooper"), (lens["address"], "CliCooperLens")):
        verified = answered(capsys, "contract", "verify", address, "--contract", name, *network)
        assert (verified["verdict"], verified["contract"]) == ("pass", name)
    info = answered(capsys, "contract", "info", *network)
    assert (info["address"], info["jobs"], info["is_this_release"]) == (contract["address"], 0, True)
    assert (info["chain_id"], info["deployed_in_block"]) == (done["chain_id"], contract["block"])
    with connection(folder) as node:
        assert node.block_number() >= lens["block"] + 1


def test_dry_run_costs_what_the_deployment_then_takes(network: tuple[str, ...], home: Path, capsys: Capture) -> None:
    records = sorted((home / "deployments").glob("*")) if (home / "deployments").exists() else []
    quoted = answered(capsys, "deploy", "--dry-run", *network[:-2])
    cost, fees = quoted["costs"][0], quoted["fees"]
    assert quoted["dry_run"] is True
    assert quoted["total_wei"] == cost["gas"] * (fees["base_wei"] + fees["tip_wei"])
    assert quoted["most_wei"] == cost["gas_limit"] * fees["max_wei"] >= quoted["total_wei"]
    assert (sorted((home / "deployments").glob("*")) if (home / "deployments").exists() else []) == records
    done = answered(capsys, "deploy", *network)
    assert done["deployments"][0]["gas_used"] <= cost["gas"] < 1.1 * done["deployments"][0]["gas_used"]
    words = printed(capsys, "deploy", "--dry-run", *network[:-2])
    assert f"CliCooper {cost['gas']:,}" in words
    assert "Nothing was sent to chain" in words


def test_fee_cap_below_the_network_sends_nothing(
    network: tuple[str, ...], folder: Path, home: Path, capsys: Capture
) -> None:
    with connection(folder) as node:
        before = node.nonce(Address(OWNER.address))
        message = refused(capsys, "deploy", "--max-fee-gwei", "0.000000001", *network, code=3, kind="ChainError")
        assert "the cap is 1e-09 gwei" in message
        assert node.nonce(Address(OWNER.address)) == before


def test_wrong_password_and_damaged_record_spend_nothing(
    network: tuple[str, ...], folder: Path, home: Path, capsys: Capture
) -> None:
    (folder / "wrong").write_text("battery staple")
    assert "wrong password" in refused(capsys, "deploy", *network[:-1], "wrong")
    with connection(folder) as node:
        before = node.nonce(Address(OWNER.address))
        other = folder / "other"
        (other / "deployments").mkdir(parents=True)
        (other / "deployments" / f"{node.chain_id}.json").write_text("{")
        message = refused(capsys, "deploy", *network, "--home", str(other))
        assert "is no deployment record of chain" in message
        assert node.nonce(Address(OWNER.address)) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "the embedded chain ends with this command"),
        (("--dry-run", "--max-fee-gwei", "0"), "--max-fee-gwei 0 is no price"),
        (("--dry-run", "--max-fee-gwei", "nan"), "--max-fee-gwei nan is no price"),
        (("--dry-run", "--confirmations", "0"), "--confirmations 0 is out of range"),
        (("--dry-run", "--account", "absent"), "cannot read the keystore .clicooper/keystore/absent.json"),
        (("--network", "http://127.0.0.1:1/key", "--network", "nowhere"), "--network nowhere: neither the name of"),
    ],
)
def test_bad_deployments(options: tuple[str, ...], message: str, folder: Path, capsys: Capture) -> None:
    assert refused(capsys, "deploy", *options).startswith(message)
    assert list(folder.iterdir()) == []


def test_dry_run_works_without_node_and_account(capsys: Capture) -> None:
    quoted = answered(capsys, "deploy", "--dry-run", "--lens")
    assert (quoted["network"], quoted["deployer"], quoted["balance_wei"]) == ("embedded", None, None)
    assert [cost["contract"] for cost in quoted["costs"]] == ["CliCooper", "CliCooperLens"]


def test_which_account_deploys_must_be_said(network: tuple[str, ...], folder: Path, capsys: Capture) -> None:
    home = ("--home", str(folder / "empty"))
    assert refused(capsys, "deploy", *network, *home).startswith("no account in ")
    for name in ("one", "two"):
        keystore = folder / "empty" / "keystore"
        keystore.mkdir(parents=True, exist_ok=True)
        (keystore / f"{name}.json").write_text("{}")
    assert refused(capsys, "deploy", *network, *home) == "there are 2 accounts"


# Committee

MEMBERS = tuple(Address(account_from_seed(b"deploy command", f"member {n}").address) for n in range(3))
OF_THREE = ("--committee", ",".join(MEMBERS), "--threshold", "2")


def test_committee_is_deployed_for_the_contract_beside_it(
    network: tuple[str, ...], home: Path, folder: Path, capsys: Capture
) -> None:
    quoted = answered(capsys, "deploy", "--dry-run", *OF_THREE, *network[:-2])
    assert quoted["committee"] == {"members": list(MEMBERS), "threshold": 2, "contract": None}
    done = answered(capsys, "deploy", *OF_THREE, *network)
    contract, committee = done["deployments"]
    assert (contract["contract"], committee["contract"]) == ("CliCooper", "Committee")
    assert done["committee"] == quoted["committee"] | {"contract": contract["address"]}
    gas = quoted["costs"][1]["gas"]
    assert (quoted["costs"][1]["contract"], committee["gas_used"] <= gas) == ("Committee", True)
    assert gas < 1.1 * committee["gas_used"]

    with connection(folder) as node:
        seen = Committee(node, Address(committee["address"]))
        assert (seen.members(), seen.threshold(), seen.contract()) == (MEMBERS, 2, contract["address"])
    record = json.loads((home / "deployments" / f"{done['chain_id']}.json").read_bytes())
    assert record["deployments"][-2:] == done["deployments"]
    answered(capsys, "contract", "verify", committee["address"], "--contract", "Committee", *network)


def test_committee_for_a_contract_that_is_there(network: tuple[str, ...], folder: Path, capsys: Capture) -> None:
    (contract,) = answered(capsys, "deploy", *network)["deployments"]
    of_one = ("--committee", MEMBERS[0], "--threshold", "1", "--contract", contract["address"])
    (committee,) = answered(capsys, "deploy", *of_one, *network)["deployments"]
    with connection(folder) as node:
        seen = Committee(node, Address(committee["address"]))
        assert (seen.members(), seen.threshold(), seen.contract()) == (MEMBERS[:1], 1, contract["address"])
    assert "Committee of 1, 1 equal votes rule" in printed(capsys, "deploy", "--dry-run", *of_one, *network[:-2])


def test_committee_for_a_contract_that_is_not_ours_is_never_deployed(
    network: tuple[str, ...], folder: Path, capsys: Capture
) -> None:
    with connection(folder) as node:
        changed = bytearray(load_artifact().runtime_bytecode)
        changed[-1] ^= 0x01
        foreign = deployed_raw(node, bytes(changed))
        before = node.nonce(Address(OWNER.address))
        for place, code, kind in ((foreign, 1, "VerificationFailed"), (MEMBERS[0], 3, "ChainError")):
            arguments = ("deploy", *OF_THREE, "--contract", place, *network)
            assert place in refused(capsys, *arguments, code=code, kind=kind)
        assert node.nonce(Address(OWNER.address)) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OF_THREE[:2], "a committee needs --threshold too"),
        (OF_THREE[2:], "a committee needs --committee too"),
        (("--contract", MEMBERS[0]), "--contract says what a committee is for"),
        ((*OF_THREE, "--contract", "0x12"), "0x12 is no address"),
        ((*OF_THREE[:3], "0"), "--threshold 0 of 3 members is out of range"),
        ((*OF_THREE[:3], "4"), "--threshold 4 of 3 members is out of range"),
        (("--committee", "", "--threshold", "1"), "--committee has an empty place"),
        (("--committee", f"{MEMBERS[0]},", "--threshold", "1"), "--committee has an empty place"),
        (("--committee", f"{MEMBERS[0]}, {MEMBERS[0].lower()}", "--threshold", "1"), f"{MEMBERS[0]} is named more"),
        (("--committee", "0x" + "00" * 20, "--threshold", "1"), "the zero address is no member"),
        (("--committee", ",".join(f"0x{n:040x}" for n in range(1, 34)), "--threshold", "9"), "33 members are too many"),
    ],
)
def test_committee_that_cannot_be(options: tuple[str, ...], message: str, folder: Path, capsys: Capture) -> None:
    assert refused(capsys, "deploy", "--dry-run", *options).startswith(message)
    assert list(folder.iterdir()) == []


def test_largest_committee_has_a_price_on_the_embedded_chain(capsys: Capture) -> None:
    members = ",".join(f"0x{n:040x}" for n in range(1, 33))
    quoted = answered(capsys, "deploy", "--dry-run", "--lens", "--committee", members, "--threshold", "17")
    assert [cost["contract"] for cost in quoted["costs"]] == ["CliCooper", "CliCooperLens", "Committee"]
    assert quoted["costs"][2]["gas"] > 32 * 40_000
    assert quoted["total_wei"] == sum(cost["total_wei"] for cost in quoted["costs"])


# Fees and confirmations


def test_cap_bounds_what_is_ever_paid(node: Node) -> None:
    free = quote(node)
    assert free.max_wei == 2 * free.base_wei + free.tip_wei
    capped = quote(node, SendPolicy(max_fee_wei=free.base_wei + 1))
    assert (capped.max_wei, capped.now_wei) == (free.base_wei + 1, free.base_wei + 1)
    assert capped.tip_wei <= capped.max_wei
    if free.base_wei > 1:
        with pytest.raises(ChainError, match="gwei a unit of gas, the cap is"):
            quote(node, SendPolicy(max_fee_wei=free.base_wei - 1))


def test_acts_keep_to_the_cap_and_wait_for_confirmations(node: Node) -> None:
    account = random_account()
    node.fund(Address(account.address), 10**18)
    address, _ = deploy(node, account)
    params = replace(PARAMS, pay_wei=1, owner_bond_wei=10**16)
    patient = Contract(node, address, account, policy=SendPolicy(confirmations=3))
    _, receipt = patient.create_job(params)
    assert node.block_number() == receipt.block_number + 2
    thrifty = Contract(node, address, account, policy=SendPolicy(max_fee_wei=1))
    with pytest.raises(ChainError, match="the cap is 1e-09 gwei"):
        thrifty.create_job(params)
    assert patient.job_count() == 1


@pytest.mark.parametrize("policy", [{"max_fee_wei": 0}, {"confirmations": 0}])
def test_policy_without_sense_is_refused(policy: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        SendPolicy(**policy)


# Comparison with the artifact


def test_contract_with_one_changed_byte_is_refused(network: tuple[str, ...], folder: Path, capsys: Capture) -> None:
    code = load_artifact().runtime_bytecode
    for offset in (0, len(code) // 2, len(code) - 1):
        changed = bytearray(code)
        changed[offset] ^= 0x01
        with connection(folder) as node:
            address = deployed_raw(node, bytes(changed))
        message = refused(capsys, "contract", "verify", address, *network, code=1, kind="VerificationFailed")
        assert message.endswith(f"its code differs from byte {offset:,} of {len(code):,} on")


def deployed_raw(node: Node, runtime: bytes) -> str:
    """Creates a contract of any code: the creation code copies what follows it."""
    size = len(runtime).to_bytes(2, "big").hex()
    creation = bytes.fromhex(f"61{size}80600a5f395ff3") + runtime
    funder = random_account()
    node.fund(Address(funder.address), 10**18)
    fields = {"type": 2, "chainId": node.chain_id, "nonce": 0, "to": b"", "value": 0, "data": creation}
    fees = {"gas": 10_000_000, "maxFeePerGas": 2 * 10**10, "maxPriorityFeePerGas": 10**9}
    receipt = node.send(bytes(funder.sign_transaction(fields | fees).raw_transaction))
    assert receipt.succeeded and receipt.contract_address is not None
    assert node.code(receipt.contract_address) == runtime
    return receipt.contract_address


def test_shorter_and_longer_code_is_found(node: Node) -> None:
    code = load_artifact().runtime_bytecode
    short = Address(deployed_raw(node, code[:-1]))
    assert first_difference(node, short) == len(code) - 1
    long = Address(deployed_raw(node, code + b"\x00"))
    assert first_difference(node, long) == len(code)
    other = create_raw(node, b"\x5f\x5f\xf3").contract_address
    assert other is not None and first_difference(node, other) is not None


def test_lens_is_no_contract_and_contract_is_no_lens(node: Node) -> None:
    account = random_account()
    node.fund(Address(account.address), 10**18)
    lens, _ = deploy(node, account, "CliCooperLens")
    assert first_difference(node, lens, "CliCooperLens") is None
    assert first_difference(node, lens) is not None


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "message"),
    [
        (("verify", "0x12"), 2, "UsageError", "0x12 is no address"),
        (("verify", "0x5fbDB2315678afecb367f032d93F642f64180aa3"), 2, "UsageError", "0x5fbDB2315678"),
        (("verify", "0x" + "12" * 20), 3, "ChainError", "no contract at 0x1212"),
        (("verify", "0x" + "12" * 20, "--contract", "Vault"), 2, "UsageError", "there is no contract 'Vault'"),
        (("info", "0x" + "12" * 20), 3, "ChainError", "no contract at 0x1212"),
        (("info",), 2, "UsageError", "no CliCooper is known on chain 31337"),
        (("standard-json", "--contract", "Vault"), 2, "UsageError", "there is no contract 'Vault'"),
        (("standard-json", "--sources", "absent"), 2, "UsageError", "Solidity source contracts/CliCooper.sol not"),
    ],
)
def test_bad_questions_about_contracts(
    arguments: tuple[str, ...], code: int, kind: str, message: str, capsys: Capture
) -> None:
    assert refused(capsys, "contract", *arguments, code=code, kind=kind).startswith(message)

"""``clicooper deploy`` through a gateway that fails once after the transaction has left: one is paid, and recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
from rpc_proxy import Dropped, Refusal, Status, running_rpc_proxy

from clicooper.chain.keys import account_from_seed, save_keystore
from tests.cli_calls import answered

OWNER = account_from_seed(b"deploy faults", "owner")


@pytest.mark.parametrize("method", ["eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getBlockByNumber"])
@pytest.mark.parametrize(
    "fault",
    [
        Dropped(),
        Status(429, Retry_After="0"),
        Status(502),
        Status(503),
        Status(504),
        Refusal(-32000, "transaction indexing is in progress"),
    ],
    ids=repr,
)
def test_fault_after_sending_costs_nothing_more(
    anvil_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, fault: Exception
) -> None:
    (tmp_path / "keystore").mkdir()
    save_keystore(tmp_path / "keystore" / "owner.json", OWNER, "correct horse")
    (tmp_path / "password").write_text("correct horse\n")
    faults = [fault]

    def alter(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == method and "eth_sendRawTransaction" in proxy.methods() and faults:
            raise faults.pop()
        return result

    options = ("--home", str(tmp_path), "--password-file", str(tmp_path / "password"), "--confirmations", "1")
    with running_rpc_proxy(anvil_url) as proxy:
        proxy.alter = alter
        done = answered(capsys, "deploy", "--network", proxy.url, *options)
    assert faults == []
    sent = {call["params"][0] for call in proxy.calls if call["method"] == "eth_sendRawTransaction"}
    assert len(sent) == 1
    assert list(tmp_path.glob("sent/*/*.json")) == []
    assert json.loads(Path(done["record"]).read_bytes())["deployments"] == done["deployments"]

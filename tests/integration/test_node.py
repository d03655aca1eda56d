"""Every kind of node answers alike; what is no node is refused."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote, unquote

import pytest
from chain_world import PARAMS, RETURN_CHAIN_ID, create_raw, funded

from clicooper.chain.client import Contract
from clicooper.chain.deploy import deploy
from clicooper.chain.keys import random_account
from clicooper.chain.rpc import http
from clicooper.chain.rpc.node import Call, Node
from clicooper.chain.rpc.transport import TooLarge
from clicooper.commitments.head import genesis
from clicooper.errors import ChainError
from clicooper.types import Address


def test_node_waits_for_a_later_block(node: Node) -> None:
    target = node.block_number() + 3
    node.wait_for_block(target)
    assert node.block_number() >= target
    assert len(node.block_hash(target)) == 32


def test_node_refuses_a_block_that_is_not_there(node: Node) -> None:
    with pytest.raises(ChainError, match="has no block"):
        node.block_hash(node.block_number() + 100)


def test_node_refuses_an_unknown_transaction(node: Node) -> None:
    with pytest.raises(ChainError, match="is not mined"):
        node.receipt(bytes(32))


def test_block_times_grow_and_the_clock_moves(node: Node) -> None:
    before = node.block().timestamp
    node.advance_time(500)
    assert node.block().timestamp >= before + 500
    numbers = range(node.block_number() + 1)
    times = [node.block(number).timestamp for number in numbers]
    assert times == sorted(times)


def test_funding_adds_to_the_balance(node: Node) -> None:
    address = Address(random_account().address)
    node.fund(address, 5)
    node.fund(address, 2)
    assert node.balance(address) == 7


def test_chain_id_and_cancun_opcodes_inside_the_evm(cancun_node: Node) -> None:
    receipt = create_raw(cancun_node, RETURN_CHAIN_ID)
    assert receipt.contract_address is not None
    assert cancun_node.code(receipt.contract_address) == RETURN_CHAIN_ID
    returned = cancun_node.call(Call(receipt.contract_address, b""))
    assert int.from_bytes(returned, "big") == cancun_node.chain_id == 31337


def test_transaction_signed_for_another_chain_is_refused(node: Node) -> None:
    account = funded(node, random_account())
    fields = {"type": 2, "chainId": 1, "nonce": 0, "to": bytes(20), "value": 0, "gas": 21_000}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    with pytest.raises(ChainError):
        node.send(bytes(account.sign_transaction(fields | fees).raw_transaction))


def test_embedded_chain_takes_another_id() -> None:
    with Node.embedded(chain_id=1) as node:
        assert (node.chain_id, node.is_local) == (1, True)
        account = funded(node, random_account())
        address, _ = deploy(node, account)
        contract = Contract(node, address, account)
        job, _ = contract.create_job(PARAMS)
        assert contract.genesis_of(job) == genesis(1, address, job, Address(account.address), PARAMS)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://user:secret@127.0.0.1:1/key", "ftp://x", "http://[", ""])
def test_unreachable_node_is_named_without_credentials(url: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(url, timeout_s=2)
    assert caught.value.hint
    assert "secret" not in caught.value.diagnostics()
    assert "key" not in caught.value.message


class _Answering(BaseHTTPRequestHandler):
    """A web server that is no node: answers every POST with the path's words."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, _, body = unquote(self.path[1:]).partition("/")
        self.send_response(int(status))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def web_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", ["200/hello", "404/", "200/[]", "200/{}", '200/{"result":"no"}', '200/{"result":7}'])
def test_server_that_is_no_node_is_refused(web_server: str, answer: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(f"{web_server}/{answer}")
    assert "JSON-RPC" in caught.value.hint


def test_public_chain_gives_no_coin_and_keeps_its_clock(web_server: str) -> None:
    with Node.connect(f'{web_server}/200/{{"result":"0x1"}}') as node:
        assert not node.is_local
        with pytest.raises(ChainError, match="cannot fund an account on chain 1"):
            node.fund(Address(random_account().address), 1)
        with pytest.raises(ChainError, match="cannot move the clock"):
            node.advance_time(1)


def test_missing_block_of_a_public_chain_is_waited_for_only_so_long(web_server: str) -> None:
    with Node.connect(f'{web_server}/200/{{"result":"0x1"}}') as node, pytest.raises(ChainError, match="did not come"):
        node.wait_for_block(5, timeout_s=0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('200/{"error":{"code":"RATE_LIMITED","message":"quota used up"}}', "quota used up (code RATE_LIMITED)"),
        ('200/{"error":{"code":null,"message":"quota used up"}}', "quota used up (code 0)"),
        ('200/{"error":{"message":"quota used up"}}', "quota used up (code 0)"),
        ('200/{"error":{"code":[],"message":"quota used up"}}', "quota used up (code [])"),
        ('200/{"error":{"code":1e999,"message":"quota used up"}}', "quota used up (code inf)"),
        ('200/{"error":{"code":"-32602","message":"quota used up"}}', "quota used up (code -32602)"),
        ('200/{"error":{"code":-32602.0,"message":"quota used up"}}', "quota used up (code -32602)"),
        ('200/{"error":{"code":1,"message":{"detail":"quota used up"}}}', "{'detail': 'quota used up'} (code 1)"),
        ('200/{"error":{"code":1,"message":null,"reason":"used up"}}', "'reason': 'used up'"),
        ('200/{"error":"quota used up"}', "quota used up (code 0)"),
        ('200/{"error":["quota used up"]}', "['quota used up'] (code 0)"),
        ('200/{"error":true}', "True (code 0)"),
        ('200/{"error":{"code":1,"message":"used\\u001b[31m up\\n\\u202e"}}', "used [31m up (code 1)"),
        ('403/{"jsonrpc":"2.0","error":{"code":1,"message":"quota used up"}}', "quota used up (code 1)"),
        ('400/{"jsonrpc":"2.0","error":"quota used up"}', "quota used up (code 0)"),
        ("403/no", "refuses with status 403"),
        ("500/no", "status 500"),
        ("200/" + "[" * 100, "does not answer as an EVM node"),
        ('200/{"result":' + "9" * 5000 + "}", "does not answer as an EVM node"),
        ('200/{"error":{},"jsonrpc":"2.0"}', "the node refused"),
        ('200/{"result":"0x' + "f" * 100 + '"}', "gives an unusable answer to eth_chainId"),
        ('200/{"result":"0x-1"}', "gives an unusable answer to eth_chainId"),
        ('200/{"result":null}', "gives an unusable answer to eth_chainId"),
    ],
)
def test_broken_answer_is_told_in_the_nodes_words(web_server: str, answer: str, words: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(f"{web_server}/{quote(answer)}")
    assert words in caught.value.message
    assert caught.value.message.isprintable()


def test_long_words_of_a_node_are_shortened(web_server: str) -> None:
    with pytest.raises(ChainError) as caught:
        Node.connect(f"{web_server}/{quote('200/' + json.dumps({'error': {'message': 'no ' * 5000}}))}")
    assert len(caught.value.message) < 400


def test_answer_without_end_is_not_read_to_its_end(web_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)
    with pytest.raises(TooLarge, match="is too large"):
        Node.connect(f"{web_server}/{quote('200/' + json.dumps({'result': '0x' + '0' * 2000}))}")

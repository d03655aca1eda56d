"""A development chain inside this process: py-evm behind the JSON-RPC methods that ``Node`` uses.

Every transaction is mined at once into a block of its own. Genesis, block times, ``prevrandao`` and the faucet are
fixed, so that the same transactions give the same blocks, gas and hashes in every run. It is not a general node: it
knows no filters, no historic state and no second transaction in a block.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eth_keys.datatypes import PrivateKey
from eth_typing import BlockNumber
from eth_utils import ValidationError, keccak, to_canonical_address, to_checksum_address

from clicooper.chain.rpc.messages import to_hex
from clicooper.chain.rpc.recursion import recursion_limit_kept
from clicooper.chain.rpc.transport import RpcError

with recursion_limit_kept():
    from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
    from eth.chains.base import MiningChain
    from eth.db import get_db_backend
    from eth.exceptions import VMError
    from eth.vm.forks.prague import PragueVM
    from eth.vm.spoof import SpoofTransaction

__all__ = ["EmbeddedChain"]

GENESIS_TIMESTAMP = 1_767_225_600
BLOCK_TIME_S = 1
GAS_LIMIT = 30_000_000
TIP_WEI = 10**9
FAUCET_WEI = 10**27
_FAUCET = PrivateKey(keccak(b"CliCooper/1/embedded faucet"))


class _DevChain(MiningChain):
    """Prague rules, constant gas limit, one second a block: nothing of the host's clock enters."""

    vm_configuration = ((BlockNumber(0), PragueVM),)

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **params: Any) -> BlockHeaderAPI:
        params.setdefault("timestamp", parent_header.timestamp + BLOCK_TIME_S)
        params["gas_limit"] = parent_header.gas_limit
        return super().create_header_from_parent(parent_header, **params)


class EmbeddedChain:
    """In-process implementation of the transport: ``request(method, params)`` as a node would answer it.

    Args:
        chain_id: what ``eth_chainId``, the ``CHAINID`` opcode and transaction signatures use.
    """

    source = "embedded"

    def __init__(self, chain_id: int) -> None:
        self._chain = _new_chain(chain_id)
        self._blocks: list[BlockHeaderAPI] = [self._chain.get_canonical_block_header_by_number(0)]
        self._receipts: dict[str, dict[str, Any]] = {}
        self._in_block: dict[str, list[dict[str, Any]]] = {}
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "clicooper embedded (py-evm)",
            "eth_chainId": lambda: hex(chain_id),
            "eth_blockNumber": lambda: hex(len(self._blocks) - 1),
            "eth_getBlockByNumber": self._block,
            "eth_getCode": lambda address, _tag: to_hex(self._state().get_code(to_canonical_address(address))),
            "eth_getBalance": lambda address, _tag: hex(self._state().get_balance(to_canonical_address(address))),
            "eth_getTransactionCount": self._nonce,
            "eth_maxPriorityFeePerGas": lambda: hex(TIP_WEI),
            "eth_accounts": lambda: [_FAUCET.public_key.to_checksum_address()],
            "eth_call": lambda call, _tag: to_hex(self._simulate(call)[1].output),
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": lambda raw: self._apply(self._decode(bytes.fromhex(raw[2:]))),
            "eth_sendTransaction": self._send_from_faucet,
            "eth_getTransactionReceipt": self._receipts.get,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getLogs": self._logs,
            "evm_mine": self._mine,
            "evm_increaseTime": self._increase_time,
        }

    def request(self, method: str, params: Sequence[object] = ()) -> Any:
        """The result of one JSON-RPC call.

        Raises:
            RpcError: the method is unknown, or the call or transaction is refused.
        """
        if method not in self._methods:
            raise RpcError(-32601, f"the embedded chain has no method {method}")
        return self._methods[method](*params)

    def request_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The result of each call, one after the other."""
        return [self.request(method, params) for method, params in calls]

    def close(self) -> None:
        """Nothing to release: the chain lives in memory."""

    def _state(self, header: BlockHeaderAPI | None = None) -> Any:
        return self._chain.get_vm(header or self._chain.header).state

    def _nonce(self, address: str, _tag: str) -> str:
        return hex(self._state().get_nonce(to_canonical_address(address)))

    def _block(self, tag: str, _full: bool) -> dict[str, Any] | None:
        number = len(self._blocks) - 1 if tag == "latest" else int(tag, 16)
        if number >= len(self._blocks):
            return None
        header = self._blocks[number]
        return {
            "number": hex(number),
            "hash": to_hex(header.hash),
            "parentHash": to_hex(header.parent_hash),
            "timestamp": hex(header.timestamp),
            "logsBloom": f"0x{header.bloom:0512x}",
            "baseFeePerGas": hex(_base_fee(header)),
        }

    def _simulate(self, call: Mapping[str, str]) -> tuple[SignedTransactionAPI, ComputationAPI]:
        # A free copy of the pending block: fees play no part in a simulation, the block's time does.
        state = self._state(self._chain.header.copy(base_fee_per_gas=0))
        sender = to_canonical_address(call.get("from", "0x" + "00" * 20))
        unsigned = self._unsigned(call, nonce=state.get_nonce(sender), fee=0, tip=0)
        transaction: Any = SpoofTransaction(unsigned, from_=sender)
        try:
            computation: ComputationAPI = state.apply_transaction(transaction)
        except ValidationError as e:
            raise RpcError(-32003, str(e)) from e
        if computation.is_error:
            raise _reverted(computation)
        return transaction, computation

    def _estimate(self, call: Mapping[str, str]) -> str:
        transaction, computation = self._simulate(call)
        used = transaction.intrinsic_gas + computation.get_gas_used()
        floor = 21_000 + 40 * len(transaction.data)
        # A call passes on 63/64 of its gas, so the limit must exceed what is used at every depth.
        return hex(max(used * 64 // 63 + 2_300, floor))

    def _unsigned(self, call: Mapping[str, str], nonce: int, fee: int, tip: int) -> Any:
        to = call.get("to")
        return (
            self._chain.get_vm()
            .get_transaction_builder()
            .new_unsigned_dynamic_fee_transaction(
                chain_id=self._chain.chain_id,
                nonce=nonce,
                max_priority_fee_per_gas=tip,
                max_fee_per_gas=fee,
                gas=int(call.get("gas", hex(GAS_LIMIT)), 16),
                to=to_canonical_address(to) if to else b"",
                value=int(call.get("value", "0x0"), 16),
                data=bytes.fromhex(call.get("data", "0x")[2:]),
                access_list=(),
            )
        )

    def _send_from_faucet(self, call: Mapping[str, str]) -> str:
        sender = _FAUCET.public_key.to_canonical_address()
        fee = 2 * _base_fee(self._blocks[-1]) + TIP_WEI
        unsigned = self._unsigned({"gas": hex(21_000), **call}, self._state().get_nonce(sender), fee, TIP_WEI)
        return self._apply(unsigned.as_signed_transaction(_FAUCET))

    def _decode(self, raw: bytes) -> SignedTransactionAPI:
        transaction: SignedTransactionAPI = self._chain.get_vm().get_transaction_builder().decode(raw)
        return transaction

    def _apply(self, transaction: SignedTransactionAPI) -> str:
        # py-evm runs a transaction of any chain; a node must not.
        if transaction.chain_id != self._chain.chain_id:
            raise RpcError(-32000, f"invalid chain id {transaction.chain_id}, this is {self._chain.chain_id}")
        try:
            _, receipt, computation = self._chain.apply_transaction(transaction)
        except (ValidationError, VMError) as e:
            raise RpcError(-32003, str(e)) from e
        self._mine()
        tx_hash = to_hex(transaction.hash)
        self._receipts[tx_hash] = said = _receipt_json(self._blocks[-1], transaction, receipt, computation)
        self._in_block[said["blockNumber"]] = [said]
        return tx_hash

    def _mine(self) -> str:
        block = self._chain.mine_block(mix_hash=keccak(self._blocks[-1].hash), blob_gas_used=0)
        self._blocks.append(block.header)
        return "0x0"

    def _increase_time(self, seconds: int) -> str:
        self._chain.set_header_timestamp(self._chain.header.timestamp + seconds)
        return hex(seconds)

    def _block_receipts(self, number: str) -> list[dict[str, Any]] | None:
        return self._in_block.get(number, []) if int(number, 16) < len(self._blocks) else None

    def _logs(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        receipts = (said for number in range(first, last + 1) for said in self._in_block.get(hex(number), ()))
        return [log for said in receipts for log in said["logs"] if log["address"] == query["address"]]


def _new_chain(chain_id: int) -> Any:
    genesis = {"difficulty": 0, "nonce": bytes(8), "mix_hash": bytes(32), "coinbase": bytes(20), "extra_data": b""}
    genesis |= {"gas_limit": GAS_LIMIT, "timestamp": GENESIS_TIMESTAMP}
    faucet = {"balance": FAUCET_WEI, "nonce": 0, "code": b"", "storage": {}}
    # py-evm takes the chain id as a class attribute, so each id needs a class of its own.
    chain: Any = type("EmbeddedDevChain", (_DevChain,), {"chain_id": chain_id})
    return chain.from_genesis(get_db_backend(), genesis, {_FAUCET.public_key.to_canonical_address(): faucet})


def _receipt_json(
    header: BlockHeaderAPI, transaction: SignedTransactionAPI, receipt: ReceiptAPI, computation: ComputationAPI
) -> dict[str, Any]:
    place = {
        "transactionHash": to_hex(transaction.hash),
        "blockNumber": hex(header.block_number),
        "blockHash": to_hex(header.hash),
    }
    logs = [
        place
        | {
            "address": to_checksum_address(log.address),
            "topics": ["0x" + topic.to_bytes(32, "big").hex() for topic in log.topics],
            "data": to_hex(log.data),
            "logIndex": hex(index),
        }
        for index, log in enumerate(receipt.logs)
    ]
    created = to_checksum_address(computation.msg.storage_address) if computation.msg.is_create else None
    return place | {
        "status": "0x1" if computation.is_success else "0x0",
        "from": to_checksum_address(transaction.sender),
        "contractAddress": created,
        "gasUsed": hex(header.gas_used),
        "logs": logs,
    }


def _reverted(computation: ComputationAPI) -> RpcError:
    if computation.output or not computation.should_burn_gas:
        return RpcError(3, "execution reverted", to_hex(computation.output))
    return RpcError(-32000, f"execution failed: {type(computation.error).__name__}: {computation.error}")


def _base_fee(header: BlockHeaderAPI) -> int:
    fee = header.base_fee_per_gas
    return 0 if fee is None else fee

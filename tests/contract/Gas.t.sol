// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice Gas of the calls that rounds repeat, each as a transaction of its own under Prague's rules: cold storage,
/// the 21,000 of a transaction, its calldata with the floor of EIP-7623, refunds not subtracted.
/// @dev The figures are committed under `snapshots/`; a run with other figures fails.
contract GasTest is Base {
    uint256[] private keys;

    /// @dev What the last call, made with this calldata, costs as a transaction.
    function _record(string memory name, bytes memory data) private returns (uint256 gas) {
        uint256 tokens;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        gas = vm.lastCallGas().gasTotalUsed;
        if (gas < 21_000 + 10 * tokens) gas = 21_000 + 10 * tokens;
        vm.snapshotValue("gas", name, gas);
    }

    function _send(address from, bytes memory data, string memory name) private returns (uint256) {
        vm.prank(from);
        (bool done,) = address(cooper).call(data);
        vm.assertTrue(done, name);
        return _record(name, data);
    }

    /// @dev A job of `seats` seats whose labels of round 0 are out.
    function _jobOf(uint8 seats) private returns (uint256 job) {
        ICliCooper.Params memory p = _params();
        (p.seats, p.ownerBond) = (seats, PAY * seats + BOND);
        job = _create(p);
        for (uint8 seat = 0; seat < seats; ++seat) {
            keys.push(uint256(keccak256(abi.encode("gas", seat))));
            vm.deal(vm.addr(keys[seat]), STAKE);
            _joinAs(vm.addr(keys[seat]), job, seat);
        }
        _release(job);
    }

    function _batch(uint256 job, uint256 count) private view returns (bytes memory data, bytes32 head) {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](count);
        bytes[] memory signatures = new bytes[](count);
        head = v.head;
        for (uint8 seat = 0; seat < count; ++seat) {
            commits[seat] = _contents(v.round, seat);
            signatures[seat] = _sign(keys[seat], _commitDigest(job, v.round, seat, head, commits[seat]));
            head = _nextHead(head, job, v.round, seat, vm.addr(keys[seat]), commits[seat]);
        }
        data = abi.encodeCall(cooper.commitRound, (job, v.head, commits, signatures));
    }

    function _acceptance(uint256 job, bytes32 head, uint256 round) private view returns (bytes memory) {
        return abi.encodeCall(cooper.accept, (job, head, _key(round + 1)));
    }

    /// forge-config: default.isolate = true
    function test_commit_costs_at_most_41000() public {
        uint256 job = _toCommit();
        string[SEATS] memory names = ["commit, first seat", "commit, middle seat", "commit, last seat"];
        for (uint256 i = 0; i < SEATS; ++i) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            bytes memory data = abi.encodeCall(cooper.commit, (job, v.head, _manifest(0, i), _mark(0, i)));
            vm.assertLe(_send(trainers[i], data, names[i]), 41_000, "commit");
        }
    }

    /// forge-config: default.isolate = true
    function test_accept_costs_at_most_64000() public {
        uint256 job = _toReview();
        bytes memory data = _acceptance(job, cooper.jobOf(job).head, 0);
        vm.assertLe(_send(owner, data, "accept"), 64_000, "accept");
    }

    /// forge-config: default.isolate = true
    function test_8_signed_commitments_cost_at_most_18500_each() public {
        (bytes memory data,) = _batch(_jobOf(8), 8);
        vm.assertLe(_send(stranger, data, "commitRound of 8"), 8 * 18_500, "batch");
    }

    /// forge-config: default.isolate = true
    function test_16_signed_commitments_cost_at_most_16500_each() public {
        (bytes memory data,) = _batch(_jobOf(16), 16);
        vm.assertLe(_send(stranger, data, "commitRound of 16"), 16 * 16_500, "batch");
    }

    /// forge-config: default.isolate = true
    function test_a_round_of_4_seats_costs_at_most_156000() public {
        uint256 job = _jobOf(4);
        (bytes memory data, bytes32 head) = _batch(job, 4);
        uint256 gas = _send(stranger, data, "round of 4: batch");
        gas += _send(owner, _acceptance(job, head, 0), "round of 4: accept");
        vm.assertLe(gas, 156_000, "round");
    }

    /// forge-config: default.isolate = true
    function test_opening_a_mark_costs_at_most_90000() public {
        bytes32 progress = keccak256("progress hash");
        bytes32 ownership = keccak256("ownership key");
        bytes32 mark = keccak256(abi.encode(progress, keccak256(abi.encode(ownership))));
        uint256 job = _toCommit();
        bytes32 start = cooper.jobOf(job).head;
        vm.prank(trainers[0]);
        cooper.commit(job, start, _manifest(0, 0), mark);
        _commit(job);
        _commit(job);
        _accept(job);
        ICliCooper.OpenedCommit[] memory commits = new ICliCooper.OpenedCommit[](SEATS);
        for (uint256 i = 0; i < SEATS; ++i) {
            commits[i] = ICliCooper.OpenedCommit(trainers[i], _manifest(0, i), i == 0 ? mark : _mark(0, i));
        }
        bytes memory data =
            abi.encodeCall(cooper.openMark, (job, 0, 0, start, commits, progress, ownership, keccak256("suspect")));
        vm.assertLe(_send(trainers[0], data, "openMark, first of 3 seats"), 90_000, "openMark");
    }

    /// forge-config: default.isolate = true
    function test_disputes_have_a_bounded_price() public {
        uint256 job = _jobOf(32);
        bytes32 head = cooper.jobOf(job).head;
        bytes memory data =
            abi.encodeCall(cooper.challenge, (job, head, 31, ICliCooper.Ground.Fault, keccak256("evidence")));
        vm.prank(challenger);
        (bool done,) = address(cooper).call{value: CHALLENGE_BOND}(data);
        vm.assertTrue(done, "challenge");
        vm.assertLe(_record("challenge", data), 200_000, "challenge");
        data = abi.encodeCall(cooper.rule, (job, cooper.challengeOf(job).id, true));
        vm.assertLe(_send(arbiter, data, "rule guilty among 32 seats"), 1_100_000, "rule");
    }
}

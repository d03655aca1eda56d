// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../../contracts/interfaces/ICliCooper.sol";
import {Stage} from "./Stage.sol";

/// @notice Proofs that after any call in any phase the contract holds what it owes, to the unit.
contract SolvencyProof is Stage {
    /// @dev One call: which, whose, when, with what.
    struct Move {
        uint8 call;
        uint8 who;
        uint32 later;
        uint96 value;
        uint8 seat;
        bool flag;
        bytes32 word;
        bytes32 other;
    }

    function check_solvency_in_open(Terms memory t, Move memory m) public {
        _moved(t, _toOpen(t), m, 0);
    }

    function check_solvency_in_labels(Terms memory t, Move memory m) public {
        _moved(t, _toLabels(t), m, 0);
    }

    function check_solvency_in_labels_of_a_later_round(Terms memory t, Move memory m) public {
        _moved(t, _toLastLabels(t), m, 0);
    }

    function check_solvency_in_commit(Terms memory t, Move memory m) public {
        _moved(t, _toSecondRound(t), m, 0);
    }

    function check_solvency_in_review(Terms memory t, Move memory m) public {
        _moved(t, _toLastReview(t), m, 0);
    }

    function check_solvency_in_refill(Terms memory t, Move memory m) public {
        _moved(t, _toRefill(t), m, 0);
    }

    function check_solvency_in_arbitration_of_a_seat(Terms memory t, Move memory m) public {
        uint256 job = _toArbitration(t, 0, ICliCooper.Ground.Fault);
        _moved(t, job, m, cooper.challengeOf(job).bond);
    }

    function check_solvency_in_arbitration_of_the_owner(Terms memory t, Move memory m) public {
        uint256 job = _toArbitration(t, ACCUSE_OWNER, ICliCooper.Ground.Withheld);
        _moved(t, job, m, cooper.challengeOf(job).bond);
    }

    function check_solvency_once_done(Terms memory t, Move memory m) public {
        _moved(t, _toDone(t), m, 0);
    }

    function check_solvency_once_the_bond_is_forfeited(Terms memory t, Move memory m) public {
        _moved(t, _toForfeit(t), m, 0);
    }

    /// @dev `bond` is what the open challenge locked, if there is one.
    function _moved(Terms memory t, uint256 job, Move memory m, uint256 bond) private {
        vm.assertEq(address(cooper).balance, _liabilities(t, job, bond), "before");
        vm.warp(block.timestamp + m.later);
        uint256 next = cooper.bondDue(job);
        vm.assume(m.who < CAST);
        bytes memory data = _data(job, m);
        vm.prank(_actor(m.who));
        (bool done,) = address(cooper).call{value: m.value}(data);
        vm.assume(done);
        bool opens = m.call == 7;
        vm.assertEq(address(cooper).balance, _liabilities(t, job, opens ? next : bond), "after");
    }

    function _liabilities(Terms memory t, uint256 job, uint256 bond) private view returns (uint256 sum) {
        for (uint256 who = 0; who < CAST; ++who) {
            sum += cooper.owedTo(job, _actor(who));
        }
        ICliCooper.JobView memory v = cooper.jobOf(job);
        if (v.phase >= ICliCooper.Phase.Done) return sum;
        sum += uint256(t.pay) * SEATS * (ROUNDS - v.round) + t.ownerBond + uint256(t.stake) * v.filled;
        if (v.phase == ICliCooper.Phase.Arbitration) sum += bond;
    }

    function _data(uint256 job, Move memory m) private view returns (bytes memory) {
        if (m.call == 0) return abi.encodeCall(cooper.cancel, (job));
        if (m.call == 1) return abi.encodeCall(cooper.join, (job, m.word, m.seat, hex"01"));
        if (m.call == 2) return abi.encodeCall(cooper.nameReplacement, (job, m.word, m.seat, STRANGER));
        if (m.call == 3) return abi.encodeCall(cooper.releaseLabels, (job, m.word));
        if (m.call == 4) return abi.encodeCall(cooper.commit, (job, m.word, m.other, 0));
        if (m.call == 5) return _batch(job, m);
        if (m.call == 6) return abi.encodeCall(cooper.accept, (job, m.word, m.other));
        if (m.call == 7) return abi.encodeCall(cooper.challenge, (job, m.word, m.seat, ICliCooper.Ground.Fault, 0));
        if (m.call == 8) return abi.encodeCall(cooper.rule, (job, m.word, m.flag));
        if (m.call == 9) return _equivocation(job, m);
        if (m.call == 10) return abi.encodeCall(cooper.abort, (job));
        if (m.call == 11) return abi.encodeCall(cooper.resolveTimeout, (job));
        vm.assume(m.call == 12);
        return abi.encodeCall(cooper.withdraw, (job));
    }

    function _batch(uint256 job, Move memory m) private view returns (bytes memory) {
        ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](1);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = abi.encodePacked(m.other, m.word, uint8(27));
        return abi.encodeCall(cooper.commitRound, (job, m.word, commits, signatures));
    }

    function _equivocation(uint256 job, Move memory m) private view returns (bytes memory) {
        ICliCooper.Contents[2] memory contents;
        contents[0].manifestDigest = bytes32(uint256(1));
        bytes[2] memory signatures;
        signatures[0] = abi.encodePacked(m.other, m.word, uint8(27));
        signatures[1] = abi.encodePacked(m.word, m.other, uint8(28));
        uint32 round = cooper.jobOf(job).round;
        return abi.encodeCall(cooper.proveEquivocation, (job, round, m.seat, m.word, contents, signatures));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../../contracts/interfaces/ICliCooper.sol";
import {Stage} from "./Stage.sol";

/// @notice Proofs that from every phase time alone leads out: after its deadline the time-out succeeds for anybody at any
/// time, and in at most four of them the job has ended.
contract ExitProof is Stage {
    /// @dev Who sends each time-out, and how late, by step.
    struct Sender {
        address[4] who;
        uint32[4] late;
    }

    function check_exit_from_open(Terms memory t, Sender memory s) public {
        _leads_out(_toOpen(t), s);
    }

    function check_exit_from_labels(Terms memory t, Sender memory s) public {
        _leads_out(_toLabels(t), s);
    }

    function check_exit_from_labels_of_a_later_round(Terms memory t, Sender memory s) public {
        _leads_out(_toLastLabels(t), s);
    }

    function check_exit_from_commit(Terms memory t, Sender memory s) public {
        _leads_out(_toSecondRound(t), s);
    }

    function check_exit_from_review(Terms memory t, Sender memory s) public {
        _leads_out(_toReview(t), s);
    }

    function check_exit_from_refill(Terms memory t, Sender memory s) public {
        _leads_out(_toRefill(t), s);
    }

    function check_exit_from_arbitration(Terms memory t, Sender memory s) public {
        _leads_out(_toArbitration(t, 0, ICliCooper.Ground.Fault), s);
    }

    function check_exit_from_arbitration_in_commit(Terms memory t, Sender memory s) public {
        uint256 job = _toSecondTurn(t);
        _challenge(job, ACCUSE_OWNER, ICliCooper.Ground.Withheld);
        _leads_out(job, s);
    }

    function _leads_out(uint256 job, Sender memory s) private {
        for (uint256 step = 0; step < 4 && !_ended(job); ++step) {
            vm.warp(uint256(cooper.jobOf(job).deadline) + 1 + s.late[step]);
            vm.prank(s.who[step]);
            (bool done,) = address(cooper).call(abi.encodeCall(cooper.resolveTimeout, (job)));
            vm.assertTrue(done, "the time-out succeeds");
        }
        vm.assertTrue(_ended(job), "ended");
    }

    function _ended(uint256 job) private view returns (bool) {
        return cooper.jobOf(job).phase >= ICliCooper.Phase.Done;
    }
}

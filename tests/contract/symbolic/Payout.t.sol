// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Stage} from "./Stage.sol";

/// @notice Proofs that `withdraw` pays whoever is owed all of it, once, and takes it from nobody else.
contract PayoutProof is Stage {
    function check_payout_in_a_running_job(Terms memory t, uint8 who) public {
        _paid_once(_toLastReview(t), who);
    }

    function check_payout_in_refill(Terms memory t, uint8 who) public {
        _paid_once(_toRefill(t), who);
    }

    function check_payout_once_cancelled(Terms memory t, uint8 who) public {
        uint256 job = _toLabels(t);
        vm.prank(OWNER);
        cooper.cancel(job);
        _paid_once(job, who);
    }

    function check_payout_once_done(Terms memory t, uint8 who) public {
        _paid_once(_toDone(t), who);
    }

    function check_payout_once_aborted_with_a_vacancy(Terms memory t, uint8 who) public {
        uint256 job = _toRefill(t);
        _expire(job);
        _paid_once(job, who);
    }

    function check_payout_once_the_bond_is_forfeited(Terms memory t, uint8 who) public {
        _paid_once(_toForfeit(t), who);
    }

    /// @dev One path for each of the cast, on which it is known.
    function _paid_once(uint256 job, uint8 chosen) private {
        for (uint256 who = 0; who < CAST; ++who) {
            if (who == chosen) _paid(job, who);
        }
    }

    function _paid(uint256 job, uint256 who) private {
        uint256[] memory owed = _owed(job);
        (uint256 held, uint256 before) = (address(cooper).balance, _actor(who).balance);
        vm.assertTrue(_withdraws(job, who) == (owed[who] != 0), "pays if something is owed");
        vm.assertEq(_actor(who).balance - before, owed[who], "received");
        vm.assertEq(held - address(cooper).balance, owed[who], "given");
        owed[who] = 0;
        uint256[] memory left = _owed(job);
        for (uint256 i = 0; i < CAST; ++i) {
            vm.assertEq(left[i], owed[i], "owed afterwards");
        }
        vm.assertTrue(!_withdraws(job, who), "not twice");
    }

    function _owed(uint256 job) private view returns (uint256[] memory owed) {
        owed = new uint256[](CAST);
        for (uint256 i = 0; i < CAST; ++i) {
            owed[i] = cooper.owedTo(job, _actor(i));
        }
    }

    function _withdraws(uint256 job, uint256 who) private returns (bool done) {
        vm.prank(_actor(who));
        (done,) = address(cooper).call(abi.encodeCall(cooper.withdraw, (job)));
    }
}

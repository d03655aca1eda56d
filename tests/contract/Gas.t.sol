// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice Gas of the two calls that every round repeats, each as a transaction of its own: cold storage, the
/// 21,000 of a transaction and its calldata included, refunds not subtracted.
contract GasTest is Base {
    /// forge-config: default.isolate = true
    function test_commit_costs_at_most_41000() public {
        uint256 job = _toCommit();
        for (uint256 i = 0; i < SEATS; ++i) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            bytes32 manifest = _manifest(v.round, v.turn);
            bytes32 mark = _mark(v.round, v.turn);
            vm.prank(trainers[i]);
            cooper.commit(job, v.head, manifest, mark);
            vm.assertLe(vm.lastCallGas().gasTotalUsed, 41_000, "commit");
        }
    }

    /// forge-config: default.isolate = true
    function test_accept_costs_at_most_64000() public {
        uint256 job = _toReview();
        ICliCooper.JobView memory v = cooper.jobOf(job);
        bytes32 key = _key(1);
        vm.prank(owner);
        cooper.accept(job, v.head, key);
        vm.assertLe(vm.lastCallGas().gasTotalUsed, 64_000, "accept");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract CancelTest is Base {
    function _cancel(uint256 job) private {
        vm.prank(owner);
        cooper.cancel(job);
    }

    function test_open_job_refunds_everybody() public {
        uint256 job = _toOpen();
        _join(job, 1);

        vm.expectEmit(address(cooper));
        emit ICliCooper.JobCancelled(job);
        _cancel(job);

        _assertPhase(job, ICliCooper.Phase.Cancelled);
        _assertDeadline(job, 0);
        _assertSettlement(job, ESCROW, [uint256(0), STAKE, 0], 0);
    }

    function test_full_job_before_key_0_refunds_everybody() public {
        uint256 job = _toLabels();
        _cancel(job);
        _assertPhase(job, ICliCooper.Phase.Cancelled);
        _assertSettlement(job, ESCROW, [uint256(STAKE), STAKE, STAKE], 0);
    }

    function test_allowed_at_the_deadline() public {
        uint256 open = _toOpen();
        _toDeadline(open);
        _cancel(open);
        uint256 full = _toLabels();
        _toDeadline(full);
        _cancel(full);
    }

    function test_refused_past_the_deadline() public {
        uint256 open = _toOpen();
        _expectTooLate(open);
        _cancel(open);
        uint256 full = _toLabels();
        _expectTooLate(full);
        _cancel(full);
    }

    function test_only_the_owner() public {
        uint256 job = _toOpen();
        _expectNotOwner(stranger);
        vm.prank(stranger);
        cooper.cancel(job);
    }

    function test_refused_once_labels_are_out() public {
        uint256 job = _toCommit();
        _expectWrongPhase(ICliCooper.Phase.Commit);
        _cancel(job);
        _commitAll(job);
        _expectWrongPhase(ICliCooper.Phase.Review);
        _cancel(job);
        _expire(job);
        _expectWrongPhase(ICliCooper.Phase.Labels);
        _cancel(job);
    }

    function test_refused_twice() public {
        uint256 job = _toCancelled();
        _expectWrongPhase(ICliCooper.Phase.Cancelled);
        _cancel(job);
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        _cancel(1);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract AbortTest is Base {
    function _abort(uint256 job) private {
        vm.prank(owner);
        cooper.abort(job);
    }

    function test_gives_up_on_the_vacant_seat() public {
        uint256 job = _toRefill();

        vm.expectEmit(address(cooper));
        emit ICliCooper.JobAborted(job, ICliCooper.Abort.OwnerAborted);
        _abort(job);

        _assertPhase(job, ICliCooper.Phase.Aborted);
        _assertDeadline(job, 0);
        uint256 unearned = uint256(PAY) * SEATS;
        uint256 stayed = uint256(STAKE) + PAY;
        _assertSettlement(job, BOND + unearned, [stayed, stayed - PENALTY, stayed], PENALTY);
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toRefill();
        uint256 state = vm.snapshotState();
        _expectTooLate(job);
        _abort(job);
        vm.revertToState(state);
        _toDeadline(job);
        _abort(job);
    }

    function test_only_the_owner() public {
        uint256 job = _toRefill();
        _expectNotOwner(trainers[0]);
        vm.prank(trainers[0]);
        cooper.abort(job);
    }

    function test_refused_in_every_other_phase() public {
        uint256 job = _toOpen();
        _expectWrongPhase(ICliCooper.Phase.Open);
        _abort(job);
        job = _toLabels();
        _expectWrongPhase(ICliCooper.Phase.Labels);
        _abort(job);
        job = _toCommit();
        _expectWrongPhase(ICliCooper.Phase.Commit);
        _abort(job);
        job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        _abort(job);
        job = _toAborted();
        _expectWrongPhase(ICliCooper.Phase.Aborted);
        _abort(job);
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        _abort(1);
    }
}

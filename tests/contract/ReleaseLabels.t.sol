// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract ReleaseLabelsTest is Base {
    function _releaseKey(uint256 job, bytes32 key) private {
        vm.prank(owner);
        cooper.releaseLabels(job, key);
    }

    function _expectWrongKey(bytes32 key) private {
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLabelKey.selector, key));
    }

    function test_key_0_starts_round_0() public {
        uint256 job = _toLabels();

        vm.expectEmit(address(cooper));
        emit ICliCooper.LabelsReleased(job, 0, _key(0));
        _releaseKey(job, _key(0));

        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.labelKey, _key(0), "key");
        vm.assertEq(v.turn, 0, "first seat");
        vm.assertEq(v.head, cooper.genesisOf(job), "the head is the genesis still");
        _assertPhase(job, ICliCooper.Phase.Commit);
        _assertDeadline(job, START + TRAIN_WINDOW);
    }

    function test_next_key_after_a_silent_review() public {
        uint256 job = _toReview();
        _expire(job);
        uint256 from = _now();

        _expectWrongKey(_key(0));
        _releaseKey(job, _key(0));
        vm.expectEmit(address(cooper));
        emit ICliCooper.LabelsReleased(job, 1, _key(1));
        _releaseKey(job, _key(1));

        vm.assertEq(cooper.jobOf(job).round, 1, "round");
        _assertPhase(job, ICliCooper.Phase.Commit);
        _assertDeadline(job, from + TRAIN_WINDOW);
    }

    function test_last_key_after_a_silent_last_review_ends_the_job() public {
        uint256 job = _toLastReview();
        _expire(job);

        vm.expectEmit(address(cooper));
        emit ICliCooper.LabelsReleased(job, ROUNDS, _key(ROUNDS));
        _releaseKey(job, _key(ROUNDS));

        _assertPhase(job, ICliCooper.Phase.Done);
        uint256 due = uint256(STAKE) + PAY * ROUNDS;
        _assertSettlement(job, BOND, [due, due, due], 0);
    }

    function test_only_the_key_that_opens_the_anchor() public {
        uint256 job = _toLabels();
        bytes32[3] memory wrong = [_key(1), bytes32(0), _opens(_key(0))];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _expectWrongKey(wrong[i]);
            _releaseKey(job, wrong[i]);
        }
    }

    function test_both_sides_of_the_deadline() public {
        uint256 late = _toLabels();
        _expectTooLate(late);
        _releaseKey(late, _key(0));
        uint256 job = _toLabels();
        _toDeadline(job);
        _releaseKey(job, _key(0));
    }

    function test_only_the_owner() public {
        uint256 job = _toLabels();
        _expectNotOwner(trainers[0]);
        vm.prank(trainers[0]);
        cooper.releaseLabels(job, _key(0));
    }

    function test_refused_in_every_other_phase() public {
        uint256 job = _toOpen();
        _expectWrongPhase(ICliCooper.Phase.Open);
        _releaseKey(job, _key(0));
        job = _toCommit();
        _expectWrongPhase(ICliCooper.Phase.Commit);
        _releaseKey(job, _key(1));
        job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        _releaseKey(job, _key(1));
        job = _toDone();
        _expectWrongPhase(ICliCooper.Phase.Done);
        _releaseKey(job, _key(ROUNDS));
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        _releaseKey(1, _key(0));
    }
}

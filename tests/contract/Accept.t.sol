// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract AcceptTest is Base {
    function _acceptAs(address caller, uint256 job, bytes32 head, bytes32 key) private {
        vm.prank(caller);
        cooper.accept(job, head, key);
    }

    function test_pays_every_seat_and_starts_the_next_round() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;

        vm.expectEmit(address(cooper));
        emit ICliCooper.RoundAccepted(job, 0, _key(1));
        _acceptAs(owner, job, head, _key(1));

        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.round, 1, "round");
        vm.assertEq(v.turn, 0, "turn");
        vm.assertEq(v.head, head, "accepting leaves the head");
        vm.assertEq(v.labelKey, _key(1), "key");
        vm.assertEq(cooper.roundHead(job, 0), head, "round head");
        _assertPhase(job, ICliCooper.Phase.Commit);
        _assertDeadline(job, START + TRAIN_WINDOW);
        for (uint8 i = 0; i < SEATS; ++i) {
            _assertOwed(job, trainers[i], PAY);
            vm.assertEq(cooper.seatOf(job, i).owed, PAY, "earned");
        }
        _assertOwed(job, owner, 0);
    }

    function test_last_round_ends_the_job() public {
        uint256 job = _toLastReview();
        bytes32 head = cooper.jobOf(job).head;

        vm.expectEmit(address(cooper));
        emit ICliCooper.RoundAccepted(job, ROUNDS - 1, _key(ROUNDS));
        _acceptAs(owner, job, head, _key(ROUNDS));

        vm.assertEq(cooper.jobOf(job).round, ROUNDS, "round");
        vm.assertEq(cooper.jobOf(job).labelKey, _key(ROUNDS), "last key");
        vm.assertEq(cooper.roundHead(job, ROUNDS - 1), head, "round head");
        _assertPhase(job, ICliCooper.Phase.Done);
        _assertDeadline(job, 0);
        uint256 due = uint256(STAKE) + PAY * ROUNDS;
        _assertSettlement(job, BOND, [due, due, due], 0);
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        uint256 state = vm.snapshotState();
        _expectTooLate(job);
        _acceptAs(owner, job, head, _key(1));
        vm.revertToState(state);
        _toDeadline(job);
        _acceptAs(owner, job, head, _key(1));
    }

    function test_only_the_owner() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        _expectNotOwner(trainers[0]);
        _acceptAs(trainers[0], job, head, _key(1));
    }

    function test_refuses_a_stale_head() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        bytes32 stale = cooper.genesisOf(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, stale, head));
        _acceptAs(owner, job, stale, _key(1));
    }

    function test_refuses_any_other_key() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        bytes32[3] memory wrong = [_key(0), _key(2), bytes32(0)];
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLabelKey.selector, wrong[i]));
            _acceptAs(owner, job, head, wrong[i]);
        }
    }

    function test_refused_in_every_other_phase() public {
        uint256 job = _toOpen();
        _expectWrongPhase(ICliCooper.Phase.Open);
        _acceptAs(owner, job, bytes32(0), _key(1));
        job = _toLabels();
        _expectWrongPhase(ICliCooper.Phase.Labels);
        _acceptAs(owner, job, bytes32(0), _key(1));
        job = _toCommit();
        _expectWrongPhase(ICliCooper.Phase.Commit);
        _acceptAs(owner, job, bytes32(0), _key(1));
        job = _toDone();
        _expectWrongPhase(ICliCooper.Phase.Done);
        _acceptAs(owner, job, bytes32(0), _key(1));
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        _acceptAs(owner, 1, bytes32(0), _key(1));
    }
}

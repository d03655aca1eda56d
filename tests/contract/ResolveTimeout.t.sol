// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract ResolveTimeoutTest is Base {
    uint256 private constant SHARE = BOND / SEATS;
    uint256 private constant DUST = BOND % SEATS;

    /// @dev At the deadline the action is still allowed, so the time-out is not.
    function _expireAfterBoundary(uint256 job) private {
        uint256 deadline = cooper.jobOf(job).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.TooEarly.selector, deadline, deadline));
        cooper.resolveTimeout(job);
        vm.warp(deadline + 1);
        vm.prank(stranger);
        cooper.resolveTimeout(job);
    }

    function test_open_refunds_everybody() public {
        uint256 job = _toOpen();
        _join(job, 0);
        _join(job, 2);
        _expireAfterBoundary(job);
        _assertPhase(job, ICliCooper.Phase.Cancelled);
        _assertDeadline(job, 0);
        _assertSettlement(job, ESCROW, [uint256(STAKE), 0, STAKE], 0);
    }

    function test_owner_silent_before_key_0_loses_the_bond_to_the_seats() public {
        uint256 job = _toLabels();
        _expireAfterBoundary(job);
        _assertPhase(job, ICliCooper.Phase.Aborted);
        uint256 due = STAKE + SHARE;
        _assertSettlement(job, ESCROW - BOND + DUST, [due, due, due], 0);
    }

    function test_owner_silent_after_an_optimistic_accept_still_pays_that_round() public {
        uint256 job = _toReview();
        _expire(job);
        _expireAfterBoundary(job);
        uint256 due = STAKE + SHARE + PAY;
        _assertSettlement(job, uint256(PAY) * SEATS + DUST, [due, due, due], 0);
    }

    function test_owner_silent_with_the_last_key_loses_the_bond() public {
        uint256 job = _toLastReview();
        _expire(job);
        _assertPhase(job, ICliCooper.Phase.Labels);
        _expireAfterBoundary(job);
        _assertPhase(job, ICliCooper.Phase.Aborted);
        uint256 due = STAKE + SHARE + PAY * ROUNDS;
        _assertSettlement(job, DUST, [due, due, due], 0);
    }

    function test_silent_seat_is_vacated_and_its_penalty_burned() public {
        uint256 job = _toReview();
        _accept(job);
        _commit(job);
        uint256 late = uint256(cooper.jobOf(job).deadline) + 1;
        bytes32 head = cooper.jobOf(job).head;
        _expireAfterBoundary(job);

        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.turn, 1, "the vacant seat");
        vm.assertEq(v.filled, SEATS - 1, "filled");
        vm.assertEq(v.head, _restarted(head, job, 1, 1, trainers[1]), "the head moves on, it is never rewound");
        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertDeadline(job, late + JOIN_WINDOW);
        ICliCooper.SeatView memory s = cooper.seatOf(job, 1);
        vm.assertEq(s.trainer, address(0), "vacant");
        vm.assertEq(s.owed, 0, "moved to the trainer's own balance");
        vm.assertEq(s.keyRecordDigest, bytes32(0), "no keys");
        _assertOwed(job, trainers[1], STAKE - PENALTY + PAY);
        _assertOwed(job, DEAD, PENALTY);
        _assertOwed(job, trainers[0], PAY);
    }

    function test_silent_first_seat_gets_the_rest_of_its_stake_at_once() public {
        uint256 job = _toCommit();
        _expireAfterBoundary(job);
        vm.assertEq(cooper.jobOf(job).turn, 0, "the vacant seat");
        _assertPaid(job, trainers[0], STAKE - PENALTY);
    }

    function test_evicted_seat_keeps_only_what_it_had_not_withdrawn() public {
        uint256 job = _toReview();
        _accept(job);
        _assertPaid(job, trainers[0], PAY);
        _expire(job);
        _assertOwed(job, trainers[0], STAKE - PENALTY);
    }

    function test_silent_review_accepts_the_round() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        uint256 late = uint256(cooper.jobOf(job).deadline) + 1;
        _expireAfterBoundary(job);

        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.round, 1, "round");
        vm.assertEq(v.labelKey, _key(0), "the next key is due");
        vm.assertEq(cooper.roundHead(job, 0), head, "round head");
        _assertPhase(job, ICliCooper.Phase.Labels);
        _assertDeadline(job, late + LABEL_WINDOW);
        _assertOwed(job, trainers[2], PAY);
    }

    function test_unfilled_seat_aborts_the_job() public {
        uint256 job = _toRefill();
        _expireAfterBoundary(job);
        _assertPhase(job, ICliCooper.Phase.Aborted);
        uint256 stayed = uint256(STAKE) + PAY;
        _assertSettlement(job, BOND + uint256(PAY) * SEATS, [stayed, stayed - PENALTY, stayed], PENALTY);
    }

    function test_every_exit_is_recorded() public {
        uint256 job = _toOpen();
        vm.warp(_now() + JOIN_WINDOW + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.JobCancelled(job);
        cooper.resolveTimeout(job);

        job = _toLabels();
        vm.warp(_now() + LABEL_WINDOW + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.JobAborted(job, ICliCooper.Abort.OwnerSilent);
        cooper.resolveTimeout(job);

        job = _toReview();
        vm.warp(_now() + REVIEW_WINDOW + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.RoundAcceptedByTimeout(job, 0);
        cooper.resolveTimeout(job);

        job = _toCommit();
        vm.warp(_now() + TRAIN_WINDOW + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.SeatVacated(job, 0, trainers[0], ICliCooper.Vacancy.Silent);
        cooper.resolveTimeout(job);

        vm.warp(_now() + JOIN_WINDOW + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.JobAborted(job, ICliCooper.Abort.SeatUnfilled);
        cooper.resolveTimeout(job);
    }

    function test_terminal_phases_have_no_deadline() public {
        uint256 job = _toDone();
        _expectWrongPhase(ICliCooper.Phase.Done);
        cooper.resolveTimeout(job);
        job = _toCancelled();
        _expectWrongPhase(ICliCooper.Phase.Cancelled);
        cooper.resolveTimeout(job);
        job = _toAborted();
        _expectWrongPhase(ICliCooper.Phase.Aborted);
        cooper.resolveTimeout(job);
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        cooper.resolveTimeout(1);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract RuleTest is Base {
    uint8 private constant OWNER = 255;
    uint256 private constant REST = STAKE - CHALLENGE_BOND - ARBITER_FEE;
    uint256 private constant SHARE = REST / (SEATS - 1);

    function _ruleAs(address caller, uint256 job, bytes32 id, bool guilty) private {
        vm.prank(caller);
        cooper.rule(job, id, guilty);
    }

    function _assertOwedBoth(uint256 job, uint256 challengerDue, uint256 arbiterDue, uint256 burned) private view {
        _assertOwed(job, challenger, challengerDue);
        _assertOwed(job, arbiter, arbiterDue);
        _assertOwed(job, DEAD, burned);
    }

    /* GUILTY SEAT */

    function test_guilty_seat_loses_its_stake_and_keeps_its_pay() public {
        uint256 job = _toReview();
        _accept(job);
        _commitAll(job);
        bytes32 head = cooper.jobOf(job).head;
        bytes32 id = _challenge(job, 1);

        vm.expectEmit(address(cooper));
        emit ICliCooper.Ruled(job, id, true);
        vm.expectEmit(address(cooper));
        emit ICliCooper.SeatVacated(job, 1, trainers[1], ICliCooper.Vacancy.Guilty);
        _rule(job, true);

        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertDeadline(job, _now() + JOIN_WINDOW);
        vm.assertEq(cooper.jobOf(job).head, _restarted(head, job, 1, 1, trainers[1]), "head");
        _assertOwedBoth(job, 2 * CHALLENGE_BOND, ARBITER_FEE, 0);
        _assertOwed(job, trainers[1], PAY);
        _assertOwed(job, trainers[0], PAY + SHARE);
        _assertOwed(job, trainers[2], PAY + SHARE);
        _assertOwed(job, owner, REST - 2 * SHARE);
    }

    function test_dust_of_a_guilty_stake_is_the_owners() public {
        ICliCooper.Params memory p = _params();
        p.stake = STAKE + 1;
        uint256 job = _create(p);
        bytes32 genesis = cooper.genesisOf(job);
        for (uint8 i = 0; i < SEATS; ++i) {
            vm.prank(trainers[i]);
            cooper.join{value: p.stake}(job, genesis, i, "");
        }
        _release(job);
        _challenge(job, 0);
        _rule(job, true);
        _assertOwed(job, owner, (REST + 1) % 2);
        _assertOwed(job, trainers[2], (REST + 1) / 2);
    }

    function test_everything_is_paid_out_after_a_guilty_seat_and_an_empty_refill() public {
        uint256 job = _toArbitration();
        _rule(job, true);
        _expire(job);
        _assertPaid(job, challenger, 2 * CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        _assertSettlement(job, ESCROW, [STAKE + SHARE, 0, STAKE + SHARE], 0);
    }

    /* GUILTY OWNER */

    function test_guilty_owner_loses_the_bond_to_the_seats() public {
        uint256 job = _toReview();
        _accept(job);
        bytes32 id = _challenge(job, OWNER);

        vm.expectEmit(address(cooper));
        emit ICliCooper.Ruled(job, id, true);
        vm.expectEmit(address(cooper));
        emit ICliCooper.JobAborted(job, ICliCooper.Abort.OwnerGuilty);
        _rule(job, true);

        _assertPhase(job, ICliCooper.Phase.Aborted);
        _assertPaid(job, challenger, CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        uint256 share = (BOND - ARBITER_FEE) / SEATS;
        uint256 due = STAKE + PAY + share;
        _assertSettlement(job, PAY * SEATS + (BOND - ARBITER_FEE) % SEATS, [due, due, due], 0);
    }

    /* NOT GUILTY */

    function test_not_guilty_pays_the_arbiter_and_burns_the_rest() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        vm.expectEmit(address(cooper));
        emit ICliCooper.Ruled(job, id, false);
        _rule(job, false);
        _assertOwedBoth(job, 0, ARBITER_FEE, CHALLENGE_BOND - ARBITER_FEE);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    function test_resumes_with_the_time_that_was_left() public {
        uint256 job = _toReview();
        vm.warp(_now() + 100);
        _challenge(job, 0);
        vm.warp(_now() + ARBITRATION_WINDOW);
        _rule(job, false);
        _assertDeadline(job, _now() + REVIEW_WINDOW - 100);
    }

    function test_resumes_with_at_least_half_a_window_rounded_up() public {
        ICliCooper.Params memory p = _params();
        (p.reviewWindow, p.trainWindow, p.turnWindow) = (501, 301, 401);
        uint256 job = _create(p);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        _halfOf(job, 151);
        _commit(job);
        _halfOf(job, 201);
        _commit(job);
        _commit(job);
        _halfOf(job, 251);
    }

    function _halfOf(uint256 job, uint256 half) private {
        ICliCooper.Phase phase = cooper.jobOf(job).phase;
        _toDeadline(job);
        _challenge(job, 0);
        _rule(job, false);
        _assertPhase(job, phase);
        _assertDeadline(job, _now() + half);
    }

    function test_commit_goes_on_where_it_stood() public {
        uint256 job = _toCommit();
        _commit(job);
        bytes32 head = cooper.jobOf(job).head;
        _challenge(job, 0);
        _rule(job, false);
        vm.assertEq(cooper.jobOf(job).turn, 1, "turn");
        vm.assertEq(cooper.jobOf(job).head, head, "head");
        _commit(job);
        _commit(job);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    /* WHO, WHAT, WHEN */

    function test_only_the_arbiter_rules() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        address[4] memory callers = [owner, challenger, trainers[1], stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotArbiter.selector, callers[i]));
            _ruleAs(callers[i], job, id, true);
        }
    }

    function test_names_the_challenge() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongChallenge.selector, bytes32(0), id));
        _ruleAs(arbiter, job, bytes32(0), true);
    }

    function test_rules_once() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        _rule(job, false);
        _expectWrongPhase(ICliCooper.Phase.Review);
        _ruleAs(arbiter, job, id, true);
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        uint256 state = vm.snapshotState();
        _toDeadline(job);
        _ruleAs(arbiter, job, id, true);
        vm.revertToState(state);
        _expectTooLate(job);
        _ruleAs(arbiter, job, id, true);
    }

    function test_withheld_data_may_be_published_for_half_the_window() public {
        uint256 job = _toReview();
        uint256 cure = _now() + ARBITRATION_WINDOW / 2;
        bytes32 id = _challenge(job, 1, ICliCooper.Ground.Withheld);
        vm.warp(cure);
        for (uint256 guilty = 0; guilty < 2; ++guilty) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.TooEarly.selector, cure, cure));
            _ruleAs(arbiter, job, id, guilty == 1);
        }
        vm.warp(cure + 1);
        _ruleAs(arbiter, job, id, true);
        _assertPhase(job, ICliCooper.Phase.Refill);
    }

    function test_withheld_data_can_be_ruled_on_in_the_shortest_window() public {
        ICliCooper.Params memory p = _params();
        p.arbitrationWindow = 1;
        uint256 job = _create(p);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        _challenge(job, 1, ICliCooper.Ground.Withheld);
        vm.warp(_now() + 1);
        _rule(job, true);
        _assertPhase(job, ICliCooper.Phase.Refill);
    }

    function test_a_fault_may_be_ruled_on_at_once() public {
        _rule(_toArbitration(), true);
    }

    function test_unknown_job_and_other_phases() public {
        _expectNoSuchJob(9);
        _ruleAs(arbiter, 9, bytes32(0), true);
        uint256 job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        _ruleAs(arbiter, job, bytes32(0), true);
    }

    /* ARBITER SILENT */

    function test_silent_arbiter_returns_the_bond_and_accepts_a_round_in_review() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        bytes32 head = cooper.jobOf(job).head;
        uint256 deadline = cooper.jobOf(job).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.TooEarly.selector, deadline, deadline));
        cooper.resolveTimeout(job);
        vm.warp(deadline + 1);
        vm.expectEmit(address(cooper));
        emit ICliCooper.ChallengeLapsed(job, id);
        vm.expectEmit(address(cooper));
        emit ICliCooper.RoundAcceptedByTimeout(job, 0);
        cooper.resolveTimeout(job);
        _assertOwedBoth(job, CHALLENGE_BOND, 0, 0);
        _assertPhase(job, ICliCooper.Phase.Labels);
        vm.assertEq(cooper.roundHead(job, 0), head, "round head");
    }

    function test_silent_arbiter_lets_commit_resume_and_still_doubles_the_bond() public {
        uint256 job = _toCommit();
        vm.warp(_now() + 100);
        _challenge(job, 0);
        _expire(job);
        _assertPhase(job, ICliCooper.Phase.Commit);
        _assertDeadline(job, _now() + TRAIN_WINDOW - 100);
        vm.assertEq(cooper.bondDue(job), 2 * CHALLENGE_BOND, "the next one costs more");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract ProveEquivocationTest is Base {
    uint256 private constant BURNED = STAKE - CHALLENGE_BOND;

    struct Proof {
        uint256 job;
        uint32 round;
        uint8 seat;
        bytes32 head;
        ICliCooper.Contents[2] contents;
        bytes[2] signatures;
    }

    function _proof(uint256 job, uint8 seat) private view returns (Proof memory p) {
        (p.job, p.round, p.seat, p.head) = (job, cooper.jobOf(job).round, seat, keccak256("some head"));
        p.contents = [_contents(0, 0), _contents(7, 7)];
        _signBoth(p, secrets[seat]);
    }

    function _signBoth(Proof memory p, uint256 secret) private view {
        for (uint256 i = 0; i < 2; ++i) {
            p.signatures[i] = _sign(secret, _commitDigest(p.job, p.round, p.seat, p.head, p.contents[i]));
        }
    }

    function _send(Proof memory p) private {
        vm.prank(stranger);
        cooper.proveEquivocation(p.job, p.round, p.seat, p.head, p.contents, p.signatures);
    }

    function _refused(bytes memory reason, Proof memory p) private {
        vm.expectRevert(reason);
        _send(p);
    }

    function _assertExpelled(uint256 job, uint8 seat) private view {
        vm.assertEq(cooper.seatOf(job, seat).trainer, address(0), "vacant");
        _assertOwed(job, stranger, CHALLENGE_BOND);
        _assertOwed(job, DEAD, BURNED);
    }

    function test_rewards_the_reporter_burns_the_rest_and_opens_the_seat() public {
        uint256 job = _toReview();
        _accept(job);
        _commitAll(job);
        bytes32 head = cooper.jobOf(job).head;
        Proof memory p = _proof(job, 1);

        vm.expectEmit(address(cooper));
        emit ICliCooper.EquivocationProven(job, 1, stranger);
        vm.expectEmit(address(cooper));
        emit ICliCooper.SeatVacated(job, 1, trainers[1], ICliCooper.Vacancy.Equivocation);
        _send(p);

        _assertExpelled(job, 1);
        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertDeadline(job, _now() + JOIN_WINDOW);
        vm.assertEq(cooper.jobOf(job).head, _restarted(head, job, 1, 1, trainers[1]), "head");
        vm.assertEq(cooper.jobOf(job).turn, 1, "the vacant seat");
        _assertOwed(job, trainers[1], PAY);
        _expire(job);
        _assertPaid(job, stranger, CHALLENGE_BOND);
        _assertSettlement(job, BOND + PAY * SEATS, [uint256(STAKE) + PAY, PAY, STAKE + PAY], BURNED);
    }

    function test_one_differing_half_of_the_contents_is_enough() public {
        for (uint256 i = 0; i < 2; ++i) {
            Proof memory p = _proof(_toCommit(), 0);
            p.contents[1] = _contents(0, 0);
            if (i == 0) p.contents[1].manifestDigest = keccak256("other");
            else p.contents[1].markCommitment = keccak256("other");
            _signBoth(p, secrets[0]);
            _send(p);
        }
    }

    function test_the_same_contents_signed_twice_prove_nothing() public {
        Proof memory p = _proof(_toCommit(), 0);
        p.contents[1] = p.contents[0];
        _signBoth(p, secrets[0]);
        _refused(abi.encodeWithSelector(ICliCooper.SameContents.selector), p);
    }

    function test_both_signatures_must_be_the_holders_over_this_position() public {
        uint256 job = _toCommit();
        bytes memory reason = abi.encodeWithSelector(ICliCooper.BadSignature.selector, trainers[0]);
        for (uint256 i = 0; i < 2; ++i) {
            Proof memory p = _proof(job, 0);
            p.signatures[i] = _sign(secrets[1], _commitDigest(job, 0, 0, p.head, p.contents[i]));
            _refused(reason, p);
            p = _proof(job, 0);
            p.signatures[i] = _sign(secrets[0], _commitDigest(job, 0, 0, keccak256("elsewhere"), p.contents[i]));
            _refused(reason, p);
            p.signatures[i] = _sign(secrets[0], _commitDigest(job, 0, 1, p.head, p.contents[i]));
            _refused(reason, p);
            p.signatures[i] = _sign(secrets[0], _commitDigest(job, 1, 0, p.head, p.contents[i]));
            _refused(reason, p);
        }
    }

    function test_only_for_the_current_round_and_a_seat_that_is_held() public {
        uint256 job = _toRefill();
        Proof memory p = _proof(job, 0);
        p.round = 0;
        _refused(abi.encodeWithSelector(ICliCooper.WrongRound.selector, 0, 1), p);
        p = _proof(job, 0);
        p.seat = SEATS;
        _refused(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS), p);
        _refused(abi.encodeWithSelector(ICliCooper.SeatVacant.selector, 1), _proof(job, 1));
    }

    function test_until_the_round_is_settled() public {
        uint256[4] memory before = [_toOpen(), _toLabels(), _toDone(), _toAborted()];
        ICliCooper.Phase[4] memory phases =
            [ICliCooper.Phase.Open, ICliCooper.Phase.Labels, ICliCooper.Phase.Done, ICliCooper.Phase.Aborted];
        for (uint256 i = 0; i < before.length; ++i) {
            _refused(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, phases[i]), _proof(before[i], 0));
        }
        uint256[4] memory open = [_toCommit(), _toReview(), _toRefill(), _toArbitration()];
        for (uint256 i = 0; i < open.length; ++i) {
            uint256 burned = cooper.owedTo(open[i], DEAD);
            _send(_proof(open[i], 0));
            _assertOwed(open[i], DEAD, burned + BURNED);
        }
    }

    function test_unknown_job() public {
        Proof memory p;
        _expectNoSuchJob(0);
        _send(p);
    }

    function test_two_vacancies_are_filled_one_by_one() public {
        uint256 job = _toRefill();
        vm.warp(_now() + 50);
        _send(_proof(job, 2));
        _assertDeadline(job, _now() + JOIN_WINDOW);
        vm.assertEq(cooper.jobOf(job).filled, 1, "filled");
        _nameReplacement(job, 1, replacement);
        _joinAs(replacement, job, 1);
        _assertPhase(job, ICliCooper.Phase.Refill);
        _nameReplacement(job, 2, stranger);
        _joinAs(stranger, job, 2);
        _assertPhase(job, ICliCooper.Phase.Commit);
    }

    function test_of_the_accused_ends_the_challenge_and_rewards_the_challenger() public {
        uint256 job = _toArbitration();
        Proof memory p = _proof(job, 1);
        bytes32 id = cooper.challengeOf(job).id;
        vm.expectEmit(address(cooper));
        emit ICliCooper.ChallengeLapsed(job, id);
        vm.expectEmit(address(cooper));
        emit ICliCooper.EquivocationProven(job, 1, challenger);
        _send(p);
        _assertPhase(job, ICliCooper.Phase.Refill);
        vm.assertEq(cooper.seatOf(job, 1).trainer, address(0), "vacant");
        _assertOwed(job, stranger, 0);
        _assertOwed(job, DEAD, BURNED);
        _assertOwed(job, challenger, 2 * CHALLENGE_BOND);
        _expectWrongPhase(ICliCooper.Phase.Refill);
        vm.prank(arbiter);
        cooper.rule(job, id, true);
    }

    /* ANOTHER SEAT DURING ARBITRATION */

    function _toArbitrationWithVacancy() private returns (uint256 job) {
        job = _toArbitration();
        uint256 deadline = cooper.jobOf(job).deadline;
        _send(_proof(job, 2));
        _assertPhase(job, ICliCooper.Phase.Arbitration);
        _assertDeadline(job, deadline);
        _assertExpelled(job, 2);
    }

    function test_of_another_seat_leaves_the_challenge_open_and_then_needs_a_refill() public {
        uint256 job = _toArbitrationWithVacancy();
        vm.warp(_now() + 100);
        _rule(job, false);
        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertDeadline(job, _now() + JOIN_WINDOW);
    }

    function test_of_another_seat_keeps_a_silent_arbiter_from_accepting_the_round() public {
        uint256 job = _toArbitrationWithVacancy();
        _expire(job);
        _assertPhase(job, ICliCooper.Phase.Refill);
        vm.assertEq(cooper.jobOf(job).round, 0, "not accepted");
    }

    function test_then_a_guilty_seat_is_shared_among_those_who_are_left() public {
        uint256 job = _toArbitrationWithVacancy();
        _rule(job, true);
        vm.assertEq(cooper.jobOf(job).filled, 1, "filled");
        _assertOwed(job, trainers[0], STAKE - CHALLENGE_BOND - ARBITER_FEE);
        _assertOwed(job, owner, 0);
        _expire(job);
        _assertPaid(job, challenger, 2 * CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        _assertPaid(job, stranger, CHALLENGE_BOND);
        _assertSettlement(job, ESCROW, [2 * uint256(STAKE) - CHALLENGE_BOND - ARBITER_FEE, 0, 0], BURNED);
    }

    function test_then_a_guilty_owners_bond_is_shared_among_those_who_are_left() public {
        uint256 job = _toReview();
        _challenge(job, 255);
        _send(_proof(job, 2));
        _rule(job, true);
        uint256 share = (BOND - ARBITER_FEE) / 2;
        _assertPaid(job, challenger, CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        _assertPaid(job, stranger, CHALLENGE_BOND);
        uint256 ownerDue = ESCROW - ARBITER_FEE - 2 * share;
        _assertSettlement(job, ownerDue, [STAKE + share, STAKE + share, 0], BURNED);
    }

    function test_with_nobody_left_a_guilty_stake_goes_to_the_owner() public {
        uint256 job = _toArbitrationWithVacancy();
        _send(_proof(job, 0));
        _rule(job, true);
        _assertOwed(job, owner, STAKE - CHALLENGE_BOND - ARBITER_FEE);
        _expire(job);
        _assertPaid(job, challenger, 2 * CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        _assertPaid(job, stranger, 2 * CHALLENGE_BOND);
        _assertSettlement(job, ESCROW + STAKE - CHALLENGE_BOND - ARBITER_FEE, [uint256(0), 0, 0], 2 * BURNED);
    }

    function test_with_nobody_left_a_guilty_owner_keeps_the_rest_of_its_bond() public {
        uint256 job = _toReview();
        _challenge(job, 255);
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            _send(_proof(job, seat));
        }
        _rule(job, true);
        _assertPaid(job, challenger, CHALLENGE_BOND);
        _assertPaid(job, arbiter, ARBITER_FEE);
        _assertPaid(job, stranger, 3 * CHALLENGE_BOND);
        _assertSettlement(job, ESCROW - ARBITER_FEE, [uint256(0), 0, 0], 3 * BURNED);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice What mutation testing found untested: amounts that meet an older credit, and values off the beaten track.
/// @dev Amounts share bits, so that a credit that is replaced, or joined bit by bit, differs from one that is added to.
contract MutantsTest is Base {
    uint8 private constant ACCUSE_OWNER = 255;
    uint96 private constant FEE = 51;
    uint256 private constant REST = STAKE - CHALLENGE_BOND - FEE;
    uint256 private constant SHARE = REST / 2;
    uint256 private constant DUST = REST % 2;
    uint256 private constant WON = 2 * CHALLENGE_BOND;

    function _toRound(uint32 round) private returns (uint256 job) {
        ICliCooper.Params memory p = _params();
        p.arbiterFee = FEE;
        job = _create(p);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        for (uint256 i = 0; i < round; ++i) {
            _commitAll(job);
            _accept(job);
        }
    }

    function _convict(uint256 job, uint8 seat) private {
        _challenge(job, seat);
        _rule(job, true);
    }

    function _refill(uint256 job, uint8 seat, address trainer) private {
        _nameReplacement(job, seat, trainer);
        _joinAs(trainer, job, seat);
    }

    function _equivocate(uint256 job, uint8 seat, uint256 secret) private {
        bytes32 head = cooper.jobOf(job).head;
        uint32 round = cooper.jobOf(job).round;
        ICliCooper.Contents[2] memory c = [_contents(1, 1), _contents(2, 2)];
        bytes[2] memory signatures;
        for (uint256 i = 0; i < 2; ++i) {
            signatures[i] = _sign(secret, _commitDigest(job, round, seat, head, c[i]));
        }
        vm.prank(stranger);
        cooper.proveEquivocation(job, round, seat, head, c, signatures);
    }

    /* CREDITS ADD UP */

    function test_two_dismissals_add_up_for_arbiter_and_burned() public {
        uint256 job = _toRound(0);
        _challenge(job, 1);
        _rule(job, false);
        _challenge(job, 1);
        _rule(job, false);
        _assertOwed(job, arbiter, 2 * FEE);
        _assertOwed(job, DEAD, CHALLENGE_BOND - FEE + 2 * CHALLENGE_BOND - FEE);
    }

    function test_two_convictions_add_up_for_everybody() public {
        uint256 job = _toRound(0);
        _convict(job, 1);
        _refill(job, 1, replacement);
        _convict(job, 1);
        _assertOwed(job, challenger, 2 * WON);
        _assertOwed(job, arbiter, 2 * FEE);
        _assertOwed(job, trainers[0], 2 * SHARE);
        _assertOwed(job, trainers[2], 2 * SHARE);
        _assertOwed(job, owner, 2 * DUST);
        _assertOwed(job, address(0), 0);
    }

    function test_a_convicted_trainer_keeps_its_share_beside_its_pay() public {
        uint256 job = _toRound(1);
        _convict(job, 1);
        _refill(job, 1, replacement);
        _convict(job, 0);
        _assertOwed(job, trainers[0], SHARE + PAY);
    }

    function test_a_silent_trainer_keeps_its_share_beside_its_stake() public {
        uint256 job = _toRound(0);
        _convict(job, 1);
        _refill(job, 1, replacement);
        _expire(job);
        _assertOwed(job, trainers[0], SHARE + STAKE - PENALTY);
        _assertOwed(job, DEAD, PENALTY);
        _refill(job, 0, stranger);
        _expire(job);
        _assertOwed(job, DEAD, 2 * PENALTY);
    }

    function test_two_equivocations_add_up_for_the_reporter_and_burned() public {
        uint256 job = _toRound(0);
        _equivocate(job, 0, secrets[0]);
        _equivocate(job, 1, secrets[1]);
        _assertOwed(job, stranger, 2 * CHALLENGE_BOND);
        _assertOwed(job, DEAD, 2 * (STAKE - CHALLENGE_BOND));
    }

    function test_a_convicted_owner_adds_to_what_the_challenger_won() public {
        uint256 job = _toRound(0);
        _convict(job, 1);
        _refill(job, 1, replacement);
        _convict(job, ACCUSE_OWNER);
        _assertOwed(job, challenger, WON + CHALLENGE_BOND);
    }

    function test_a_returned_bond_adds_to_what_the_challenger_won() public {
        uint256 job = _toRound(0);
        _convict(job, 1);
        _refill(job, 1, replacement);
        _challenge(job, 0);
        _expire(job);
        _assertOwed(job, challenger, WON + CHALLENGE_BOND);
    }

    /* OFF THE BEATEN TRACK */

    function test_long_windows_resume_with_all_that_was_left() public {
        ICliCooper.Params memory p = _params();
        (p.trainWindow, p.arbitrationWindow) = (90 days, 90 days);
        uint256 job = _create(p);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        uint256 deadline = cooper.jobOf(job).deadline;
        _challenge(job, 1);
        vm.assertEq(cooper.challengeOf(job).remaining, 90 days, "remaining");
        _rule(job, false);
        _assertDeadline(job, deadline);
    }

    function test_deadlines_outlive_32_bits_of_time() public {
        vm.warp(uint256(type(uint32).max) + START);
        uint256 job = _toCommit();
        _assertDeadline(job, _now() + TRAIN_WINDOW);
        _commit(job);
        _assertDeadline(job, _now() + TURN_WINDOW);
    }

    function test_clocks_may_start_at_zero() public {
        vm.warp(1);
        uint256 job = _toRound(0);
        _challenge(job, 1);
        vm.assertEq(cooper.challengeOf(job).remaining, TRAIN_WINDOW, "remaining");
    }

    function test_equivocation_of_a_seat_beyond_the_next() public {
        uint256 job = _toRound(0);
        ICliCooper.Contents[2] memory c = [_contents(1, 1), _contents(2, 2)];
        bytes[2] memory none;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS + 1));
        cooper.proveEquivocation(job, 0, SEATS + 1, 0, c, none);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract ChallengeTest is Base {
    uint8 private constant OWNER = 255;

    function _refused(bytes memory reason, address caller, uint256 job, uint8 accused) private {
        bytes32 head = cooper.jobOf(job).head;
        uint256 bond = cooper.bondDue(job);
        vm.expectRevert(reason);
        _send(caller, job, head, accused, bond);
    }

    function _send(address caller, uint256 job, bytes32 head, uint8 accused, uint256 value) private {
        vm.deal(caller, value + FUNDS);
        vm.prank(caller);
        cooper.challenge{value: value}(job, head, accused, ICliCooper.Ground.Fault, keccak256("evidence"));
    }

    function _id(uint256 job, uint8 accused, ICliCooper.Ground ground) private view returns (bytes32) {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        return keccak256(
            abi.encode(
                block.chainid, address(cooper), job, v.round, v.head, accused, challenger, keccak256("evidence"), ground
            )
        );
    }

    function test_stops_the_clock_in_commit_and_locks_the_bond() public {
        uint256 job = _toCommit();
        vm.warp(_now() + 100);
        bytes32 id = _id(job, 2, ICliCooper.Ground.Withheld);

        vm.expectEmit(address(cooper));
        emit ICliCooper.Challenged(
            job, id, challenger, 2, ICliCooper.Ground.Withheld, CHALLENGE_BOND, keccak256("evidence")
        );
        vm.assertEq(_challenge(job, 2, ICliCooper.Ground.Withheld), id, "id");

        ICliCooper.ChallengeView memory c = cooper.challengeOf(job);
        vm.assertEq(c.id, id, "stored id");
        vm.assertEq(c.challenger, challenger, "challenger");
        vm.assertEq(c.bond, CHALLENGE_BOND, "bond");
        vm.assertEq(c.accused, 2, "accused");
        vm.assertEq(uint256(c.ground), uint256(ICliCooper.Ground.Withheld), "ground");
        vm.assertEq(uint256(c.interrupted), uint256(ICliCooper.Phase.Commit), "interrupted");
        vm.assertEq(c.remaining, TRAIN_WINDOW - 100, "remaining");
        vm.assertEq(address(cooper).balance, ESCROW + 3 * STAKE + CHALLENGE_BOND, "locked");
        _assertPhase(job, ICliCooper.Phase.Arbitration);
        _assertDeadline(job, START + 100 + ARBITRATION_WINDOW);
    }

    function test_of_the_owner_in_review() public {
        uint256 job = _toReview();
        bytes32 id = _id(job, OWNER, ICliCooper.Ground.Fault);
        vm.assertEq(_challenge(job, OWNER), id, "id");
        vm.assertEq(uint256(cooper.challengeOf(job).interrupted), uint256(ICliCooper.Phase.Review), "interrupted");
    }

    function test_anyone_but_the_arbiter_may_challenge() public {
        address[4] memory callers = [owner, trainers[0], trainers[1], stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            uint256 job = _toReview();
            _send(callers[i], job, cooper.jobOf(job).head, 0, CHALLENGE_BOND);
        }
        _refused(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, arbiter), arbiter, _toReview(), 0);
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toReview();
        uint256 state = vm.snapshotState();
        bytes32 head = cooper.jobOf(job).head;
        _toDeadline(job);
        _send(challenger, job, head, 0, CHALLENGE_BOND);
        vm.assertEq(cooper.challengeOf(job).remaining, 0, "the last second");
        vm.revertToState(state);
        _expectTooLate(job);
        _send(challenger, job, head, 0, CHALLENGE_BOND);
    }

    function test_names_the_head_that_it_was_decided_on() public {
        uint256 job = _toCommit();
        bytes32 stale = cooper.jobOf(job).head;
        _commit(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, stale, cooper.jobOf(job).head));
        _send(challenger, job, stale, 0, CHALLENGE_BOND);
    }

    function test_the_accused_is_a_seat_or_the_owner() public {
        uint256 job = _toReview();
        _refused(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS), stranger, job, SEATS);
        _refused(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, 254), stranger, job, 254);
    }

    function test_value_is_exactly_the_bond() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        for (uint256 sent = CHALLENGE_BOND - 1; sent <= CHALLENGE_BOND + 1; sent += 2) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, sent, CHALLENGE_BOND));
            _send(challenger, job, head, 0, sent);
        }
    }

    function test_one_at_a_time_and_only_in_commit_and_review() public {
        ICliCooper.Phase[6] memory phases = [
            ICliCooper.Phase.Open,
            ICliCooper.Phase.Labels,
            ICliCooper.Phase.Refill,
            ICliCooper.Phase.Arbitration,
            ICliCooper.Phase.Done,
            ICliCooper.Phase.Aborted
        ];
        uint256[6] memory jobs = [_toOpen(), _toLabels(), _toRefill(), _toArbitration(), _toDone(), _toAborted()];
        for (uint256 i = 0; i < jobs.length; ++i) {
            _refused(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, phases[i]), stranger, jobs[i], 0);
        }
    }

    function test_bond_doubles_with_every_failed_challenge_of_a_round() public {
        uint256 job = _toReview();
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(cooper.bondDue(job), uint256(CHALLENGE_BOND) << i, "bond");
            _challenge(job, 0);
            _rule(job, false);
        }
        _accept(job);
        vm.assertEq(cooper.bondDue(job), CHALLENGE_BOND, "a new round starts over");
        _challenge(job, 0);
        _rule(job, false);
        vm.assertEq(cooper.bondDue(job), 2 * CHALLENGE_BOND, "and doubles again");
    }

    function test_a_guilty_ruling_leaves_the_price() public {
        uint256 job = _toReview();
        _challenge(job, 0);
        _rule(job, false);
        _challenge(job, 1);
        _rule(job, true);
        vm.assertEq(cooper.bondDue(job), 2 * CHALLENGE_BOND, "one failed");
    }

    function test_bond_stops_at_the_limit_of_its_type() public {
        uint256 job = _toReview();
        for (uint256 i = 0; i < 300; ++i) {
            uint256 bond = cooper.bondDue(job);
            vm.deal(challenger, bond);
            _challenge(job, 0);
            _rule(job, false);
        }
        vm.assertEq(cooper.bondDue(job), type(uint96).max, "never free, never out of range");
    }

    function test_unknown_job() public {
        _expectNoSuchJob(9);
        _send(challenger, 9, bytes32(0), 0, 0);
    }

    function test_view_is_for_arbitration_alone() public {
        uint256 job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        cooper.challengeOf(job);
        _expectNoSuchJob(9);
        cooper.bondDue(9);
    }
}

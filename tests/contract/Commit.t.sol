// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract CommitTest is Base {
    function _commitAs(address trainer, uint256 job, bytes32 head) private {
        vm.prank(trainer);
        cooper.commit(job, head, _manifest(0, 0), _mark(0, 0));
    }

    function _next(bytes32 head, uint256 job, uint32 round, uint8 seat) private view returns (bytes32) {
        return keccak256(abi.encode(head, job, round, seat, trainers[seat], _manifest(round, seat), _mark(round, seat)));
    }

    function test_seats_commit_in_order_and_the_head_grows() public {
        uint256 job = _toCommit();
        bytes32 head = cooper.genesisOf(job);
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            vm.assertEq(cooper.jobOf(job).turn, seat, "turn");
            vm.warp(_now() + 5);

            vm.expectEmit(address(cooper));
            emit ICliCooper.Committed(job, 0, seat, _manifest(0, seat), _mark(0, seat));
            _commit(job);

            head = _next(head, job, 0, seat);
            vm.assertEq(cooper.jobOf(job).head, head, "head");
            bool last = seat == SEATS - 1;
            _assertPhase(job, last ? ICliCooper.Phase.Review : ICliCooper.Phase.Commit);
            _assertDeadline(job, START + 5 * (seat + 1) + (last ? REVIEW_WINDOW : TURN_WINDOW));
        }
        vm.assertEq(cooper.roundHead(job, 0), bytes32(0), "not accepted yet");
    }

    function test_next_round_continues_the_head() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        _accept(job);
        _commit(job);
        vm.assertEq(cooper.jobOf(job).head, _next(head, job, 1, 0), "head");
    }

    function test_both_sides_of_each_deadline() public {
        uint256 job = _toCommit();
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            bytes32 head = cooper.jobOf(job).head;
            uint256 state = vm.snapshotState();
            _expectTooLate(job);
            _commitAs(trainers[seat], job, head);
            vm.revertToState(state);
            _toDeadline(job);
            _commit(job);
        }
    }

    function test_only_the_seat_whose_turn_it_is() public {
        uint256 job = _toCommit();
        bytes32 head = cooper.jobOf(job).head;
        address[4] memory refused = [trainers[1], trainers[2], owner, stranger];
        for (uint256 i = 0; i < refused.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotYourTurn.selector, refused[i], 0));
            _commitAs(refused[i], job, head);
        }
        _commit(job);
        head = cooper.jobOf(job).head;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotYourTurn.selector, trainers[0], 1));
        _commitAs(trainers[0], job, head);
    }

    function test_refuses_a_stale_head() public {
        uint256 job = _toCommit();
        bytes32 stale = cooper.jobOf(job).head;
        _commit(job);
        bytes32 current = cooper.jobOf(job).head;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, stale, current));
        _commitAs(trainers[1], job, stale);
    }

    function test_refused_in_every_other_phase() public {
        uint256 job = _toOpen();
        _expectWrongPhase(ICliCooper.Phase.Open);
        _commitAs(trainers[0], job, bytes32(0));
        job = _toLabels();
        _expectWrongPhase(ICliCooper.Phase.Labels);
        _commitAs(trainers[0], job, bytes32(0));
        job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        _commitAs(trainers[0], job, bytes32(0));
        job = _toRefill();
        _expectWrongPhase(ICliCooper.Phase.Refill);
        _commitAs(trainers[1], job, bytes32(0));
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        _commitAs(trainers[0], 1, bytes32(0));
    }

    function testFuzz_every_input_changes_the_head(bytes32 manifest, bytes32 mark) public {
        vm.assume(manifest != _manifest(0, 0) || mark != _mark(0, 0));
        uint256 job = _toCommit();
        bytes32 head = cooper.jobOf(job).head;
        uint256 state = vm.snapshotState();
        _commit(job);
        bytes32 expected = cooper.jobOf(job).head;
        vm.revertToState(state);
        vm.prank(trainers[0]);
        cooper.commit(job, head, manifest, mark);
        vm.assertTrue(cooper.jobOf(job).head != expected, "two contents, one head");
    }
}

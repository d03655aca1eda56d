// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract OpenMarkTest is Base {
    bytes32 private constant PROGRESS_HASH = keccak256("hash of k_progress");
    bytes32 private constant OWNERSHIP_KEY = keccak256("k_ownership");
    bytes32 private constant SUSPECT = keccak256("suspect");
    bytes32 private mark = keccak256(abi.encode(PROGRESS_HASH, keccak256(abi.encodePacked(OWNERSHIP_KEY))));

    struct Opening {
        uint256 job;
        uint32 round;
        uint8 seat;
        bytes32 head;
        ICliCooper.OpenedCommit[] commits;
        bytes32 progressHash;
        bytes32 ownershipKey;
    }

    /// @dev Every seat commits `mark` in round 0, which is accepted; the opening is that of seat 1.
    function _accepted() private returns (Opening memory o) {
        o = Opening(_toCommit(), 0, 1, 0, new ICliCooper.OpenedCommit[](2), PROGRESS_HASH, OWNERSHIP_KEY);
        for (uint256 i = 0; i < SEATS; ++i) {
            bytes32 head = cooper.jobOf(o.job).head;
            if (i == 1) o.head = head;
            if (i > 0) o.commits[i - 1] = ICliCooper.OpenedCommit(trainers[i], _manifest(0, i), mark);
            vm.prank(trainers[i]);
            cooper.commit(o.job, head, _manifest(0, i), mark);
        }
        _accept(o.job);
    }

    function _send(address caller, Opening memory o) private {
        vm.prank(caller);
        cooper.openMark(o.job, o.round, o.seat, o.head, o.commits, o.progressHash, o.ownershipKey, SUSPECT);
    }

    /// @dev What is hashed from these falls on either side of the right hash.
    function test_other_contents_keys_and_callers_are_refused() public {
        Opening memory o = _accepted();
        bytes32 right = o.commits[1].manifestDigest;
        for (uint256 i = 1; i <= 8; ++i) {
            o.commits[1].manifestDigest = bytes32(i);
            _refused(ICliCooper.StaleHead.selector, o);
        }
        o.commits[1].manifestDigest = right;
        for (uint256 i = 1; i <= 8; ++i) {
            o.progressHash = bytes32(i);
            _refused(ICliCooper.WrongMarkKeys.selector, o);
        }
        o.progressHash = PROGRESS_HASH;
        address[2] memory near = [address(uint160(trainers[1]) - 1), address(uint160(trainers[1]) + 1)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotCommitted.selector, near[i]));
            _send(near[i], o);
        }
    }

    function _refused(bytes4 reason, Opening memory o) private {
        vm.expectPartialRevert(reason);
        _send(trainers[1], o);
    }

    function test_records_key_and_suspect() public {
        Opening memory o = _accepted();
        vm.expectEmit(address(cooper));
        emit ICliCooper.MarkOpened(o.job, 0, 1, trainers[1], PROGRESS_HASH, OWNERSHIP_KEY, SUSPECT);
        _send(trainers[1], o);
    }

    function test_only_the_first_suspect_counts() public {
        Opening memory o = _accepted();
        _send(trainers[1], o);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.MarkAlreadyOpened.selector, 0, 1));
        _send(trainers[1], o);
    }

    function test_every_seat_opens_its_own() public {
        Opening memory o = _accepted();
        _send(trainers[1], o);
        ICliCooper.OpenedCommit[] memory last = new ICliCooper.OpenedCommit[](1);
        last[0] = o.commits[1];
        Opening memory first = Opening(o.job, 0, 1, o.head, o.commits, PROGRESS_HASH, OWNERSHIP_KEY);
        o.head = _nextHead(o.head, o.job, 0, 1, trainers[1], ICliCooper.Contents(_manifest(0, 1), mark));
        (o.seat, o.commits) = (2, last);
        _send(trainers[2], o);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.MarkAlreadyOpened.selector, 0, 1));
        _send(trainers[1], first);
    }

    function test_only_the_trainer_who_committed() public {
        Opening memory o = _accepted();
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotCommitted.selector, trainers[0]));
        _send(trainers[0], o);
        o.commits[0].trainer = trainers[0];
        vm.expectPartialRevert(ICliCooper.StaleHead.selector);
        _send(trainers[0], o);
    }

    function test_an_evicted_trainer_may_still_open_an_accepted_round() public {
        Opening memory o = _accepted();
        _commit(o.job);
        _expire(o.job);
        _send(trainers[1], o);
    }

    function test_commits_must_chain_to_the_round_head() public {
        Opening memory o = _accepted();
        o.commits[1].manifestDigest ^= bytes32(uint256(1));
        _refused(ICliCooper.StaleHead.selector, o);
        o.commits[1].manifestDigest ^= bytes32(uint256(1));
        o.head ^= bytes32(uint256(1));
        _refused(ICliCooper.StaleHead.selector, o);
    }

    function test_every_later_seat_is_shown() public {
        Opening memory o = _accepted();
        o.commits = new ICliCooper.OpenedCommit[](1);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, 1));
        _send(trainers[1], o);
        o.commits = new ICliCooper.OpenedCommit[](3);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, 3));
        _send(trainers[1], o);
    }

    function test_both_keys_must_open_the_commitment() public {
        Opening memory o = _accepted();
        o.progressHash ^= bytes32(uint256(1));
        _refused(ICliCooper.WrongMarkKeys.selector, o);
        o.progressHash ^= bytes32(uint256(1));
        o.ownershipKey ^= bytes32(uint256(1));
        _refused(ICliCooper.WrongMarkKeys.selector, o);
    }

    function test_of_an_accepted_round_and_an_existing_seat() public {
        Opening memory o = _accepted();
        o.round = 1;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.RoundNotAccepted.selector, 1));
        _send(trainers[1], o);
        o.round = 0;
        for (o.seat = SEATS; o.seat < SEATS + 2; ++o.seat) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, o.seat));
            _send(trainers[1], o);
        }
        _expectNoSuchJob(9);
        o.job = 9;
        _send(trainers[1], o);
    }

    function test_after_the_job_has_ended_too() public {
        Opening memory o = _accepted();
        _commitAll(o.job);
        _accept(o.job);
        _assertPhase(o.job, ICliCooper.Phase.Done);
        _send(trainers[1], o);
    }
}

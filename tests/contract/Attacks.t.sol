// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Attacker} from "./Attacker.sol";

/// @notice The attacks that the contract is built against, by name. Those on money and time are in
/// `AttacksOnMoney.t.sol`, those through tokens in `Tokens.t.sol`, those through a receiving wallet in
/// `Reentrancy.t.sol`, those on a committee's votes in `Committee.t.sol`.
contract AttacksTest is Attacker {
    /* 1 FRONT-RUN OR COPIED DIGEST */

    function test_attack_front_run_commit_needs_the_seat() public {
        uint256 job = _toCommit();
        bytes memory data = abi.encodeCall(cooper.commit, (job, cooper.jobOf(job).head, _manifest(0, 0), _mark(0, 0)));
        vm.assertTrue(!_try(stranger, 0, data), "a stranger");
        vm.assertTrue(!_try(trainers[1], 0, data), "the next seat");
        vm.assertTrue(_try(trainers[0], 0, data), "the seat itself");
    }

    function test_attack_copied_digest_is_bound_to_its_copier() public {
        uint256 job = _toCommit();
        bytes32 head = cooper.jobOf(job).head;
        ICliCooper.Contents memory c = _contents(0, 0);
        vm.assertTrue(
            _nextHead(head, job, 0, 0, trainers[0], c) != _nextHead(head, job, 0, 0, trainers[1], c),
            "the head names the trainer"
        );
    }

    /// @dev The keys become public in the pool; a copier with the same mark commitment in a job of its own gains
    /// nothing, since every position has an opening of its own.
    function test_attack_front_run_opening_from_a_junk_job() public {
        bytes32 key = keccak256("ownership key");
        bytes32 mark = keccak256(abi.encode(bytes32(0), keccak256(abi.encode(key))));
        uint256[2] memory jobs = [_toCommit(), _toCommit()];
        bytes[2] memory openings;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 start = cooper.jobOf(jobs[i]).head;
            ICliCooper.OpenedCommit[] memory commits = new ICliCooper.OpenedCommit[](SEATS);
            for (uint256 seat = 0; seat < SEATS; ++seat) {
                bytes32 head = cooper.jobOf(jobs[i]).head;
                vm.prank(trainers[seat]);
                cooper.commit(jobs[i], head, _manifest(0, seat), mark);
                commits[seat] = ICliCooper.OpenedCommit(trainers[seat], _manifest(0, seat), mark);
            }
            _accept(jobs[i]);
            openings[i] = abi.encodeCall(cooper.openMark, (jobs[i], 0, 0, start, commits, 0, key, bytes32(i)));
        }
        vm.assertTrue(_try(trainers[0], 0, openings[1]), "the copy");
        vm.assertTrue(_try(trainers[0], 0, openings[0]), "the original");
    }

    function test_attack_copied_challenge_has_another_id() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        uint256 state = vm.snapshotState();
        bytes32 id = _challenge(job, 1);
        vm.revertToState(state);
        vm.prank(stranger);
        bytes32 copy =
            cooper.challenge{value: CHALLENGE_BOND}(job, head, 1, ICliCooper.Ground.Fault, keccak256("evidence"));
        vm.assertTrue(copy != id, "evidence that names its challenger does not fit the copy");
    }

    /* 2 REPLAY */

    function test_attack_replayed_signatures_across_round_seat_job_contract_and_chain() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, SEATS);
        bytes32 head = cooper.jobOf(job).head;
        bytes memory data = abi.encodeCall(cooper.commitRound, (job, head, commits, signatures));
        vm.assertTrue(_try(stranger, 0, data), "once");
        vm.assertTrue(!_try(stranger, 0, data), "again");
        _accept(job);
        bytes32 later = cooper.jobOf(job).head;
        vm.assertTrue(
            !_try(stranger, 0, abi.encodeCall(cooper.commitRound, (job, later, commits, signatures))), "round"
        );

        uint256 other = _toCommit();
        bytes32 start = cooper.jobOf(other).head;
        data = abi.encodeCall(cooper.commitRound, (other, start, commits, signatures));
        vm.assertTrue(!_try(stranger, 0, data), "another job");

        (commits, signatures,) = _signedRun(other, SEATS);
        (commits[0], commits[1]) = (commits[1], commits[0]);
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        data = abi.encodeCall(cooper.commitRound, (other, start, commits, signatures));
        vm.assertTrue(!_try(stranger, 0, data), "another seat");

        (commits, signatures,) = _signedRun(other, SEATS);
        data = abi.encodeCall(cooper.commitRound, (other, start, commits, signatures));
        vm.chainId(1);
        vm.assertTrue(!_try(stranger, 0, data), "another chain");
        vm.chainId(31337);
        vm.assertTrue(_try(stranger, 0, data), "where it belongs");
    }

    /// @dev The same owner, terms and job number in a second contract.
    function test_attack_replay_in_another_contract() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, SEATS);
        bytes32 genesis = cooper.genesisOf(job);
        cooper = _deploy();
        vm.assertEq(_toCommit(), job, "the same number");
        bytes32 head = cooper.jobOf(job).head;
        vm.assertTrue(head != genesis, "the genesis names the contract");
        vm.assertTrue(
            !_try(stranger, 0, abi.encodeCall(cooper.commitRound, (job, head, commits, signatures))), "replay"
        );
    }

    /* 3 MALLEABILITY */

    function test_attack_second_signature_of_the_same_contents_proves_nothing() public {
        uint256 job = _toCommit();
        (bytes32 head, ICliCooper.Contents[2] memory contents, bytes[2] memory signatures) = _equivocation(job, 0);
        (contents[1], signatures[1]) = (contents[0], _flipped(signatures[0]));
        bytes memory data = abi.encodeCall(cooper.proveEquivocation, (job, 0, 0, head, contents, signatures));
        vm.assertTrue(!_try(stranger, 0, data), "the same contents");
        (head, contents, signatures) = _equivocation(job, 0);
        signatures[1] = _flipped(signatures[1]);
        data = abi.encodeCall(cooper.proveEquivocation, (job, 0, 0, head, contents, signatures));
        vm.assertTrue(!_try(stranger, 0, data), "a flipped signature is none");
    }

    function _flipped(bytes memory signature) private pure returns (bytes memory) {
        bytes32 r;
        uint256 s;
        uint8 v;
        assembly {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        return abi.encodePacked(r, order - s, v == 27 ? uint8(28) : uint8(27));
    }

    /* 4 OUT OF ORDER AND STALE */

    function test_attack_out_of_order_and_stale_commits() public {
        uint256 job = _toCommit();
        bytes32 first = cooper.jobOf(job).head;
        for (uint256 seat = 1; seat < SEATS; ++seat) {
            vm.assertTrue(!_try(trainers[seat], 0, abi.encodeCall(cooper.commit, (job, first, 0, 0))), "too soon");
        }
        _commit(job);
        vm.assertTrue(!_try(trainers[0], 0, abi.encodeCall(cooper.commit, (job, first, 0, 0))), "twice");
        vm.assertTrue(!_try(trainers[1], 0, abi.encodeCall(cooper.commit, (job, first, 0, 0))), "on a stale head");
        bytes32 guess = keccak256("a head to come");
        vm.assertTrue(!_try(trainers[1], 0, abi.encodeCall(cooper.commit, (job, guess, 0, 0))), "on a future head");
    }

    /* 5 EQUIVOCATION */

    function test_attack_two_versions_for_one_position_cost_the_stake() public {
        uint256 job = _toReview();
        vm.assertTrue(_prove(job, 0), "proven");
        _assertOwed(job, trainers[0], 0);
        vm.assertTrue(!_prove(job, 0), "not twice");
        _assertOwed(job, stranger, CHALLENGE_BOND);
    }

    /// @dev Whoever stands accused gains nothing by reporting itself: the reward stays its challenger's.
    function test_attack_accused_trainer_reports_its_own_equivocation_to_rob_its_challenger() public {
        uint256 job = _toReview();
        _challenge(job, 1);
        (bytes32 head, ICliCooper.Contents[2] memory contents, bytes[2] memory signatures) = _equivocation(job, 1);
        bytes memory data = abi.encodeCall(cooper.proveEquivocation, (job, 0, 1, head, contents, signatures));
        vm.assertTrue(_try(trainers[1], 0, data), "proven");
        _assertOwed(job, trainers[1], 0);
        _assertOwed(job, challenger, 2 * CHALLENGE_BOND);
        _assertOwed(job, DEAD, STAKE - CHALLENGE_BOND);
    }
}

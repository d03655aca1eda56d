// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

import {Wallet} from "./Wallets.sol";

contract CommitRoundTest is Base {
    uint256 private constant WALLET_SECRET = 0x1271;

    function _send(uint256 job, bytes32 head, ICliCooper.Contents[] memory commits, bytes[] memory signatures) private {
        vm.prank(stranger);
        cooper.commitRound(job, head, commits, signatures);
    }

    function _head(uint256 job) private view returns (bytes32) {
        return cooper.jobOf(job).head;
    }

    function _refusedSignature(uint256 job, uint256 secret, bytes32 digest) private {
        ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](1);
        bytes[] memory signatures = new bytes[](1);
        (commits[0], signatures[0]) = (_contents(0, 0), _sign(secret, digest));
        bytes32 head = _head(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.BadSignature.selector, trainers[0]));
        _send(job, head, commits, signatures);
    }

    function test_a_whole_round_in_one_transaction() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures, bytes32 end) = _signedRun(job, SEATS);
        bytes32 head = _head(job);
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            vm.expectEmit(address(cooper));
            emit ICliCooper.Committed(job, 0, seat, _manifest(0, seat), _mark(0, seat));
        }
        _send(job, head, commits, signatures);
        vm.assertEq(_head(job), end, "head");
        vm.assertEq(cooper.jobOf(job).turn, 0, "turn");
        _assertPhase(job, ICliCooper.Phase.Review);
        _assertDeadline(job, _now() + REVIEW_WINDOW);
    }

    function test_has_the_effect_of_single_commits() public {
        uint256 job = _toCommit();
        uint256 state = vm.snapshotState();
        _commitAll(job);
        bytes32 single = _head(job);
        vm.revertToState(state);
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, SEATS);
        _send(job, _head(job), commits, signatures);
        vm.assertEq(_head(job), single, "the same head");
    }

    function test_a_run_starts_at_the_current_turn_and_may_stop_early() public {
        uint256 job = _toCommit();
        _commit(job);
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures, bytes32 end) = _signedRun(job, 1);
        _send(job, _head(job), commits, signatures);
        vm.assertEq(_head(job), end, "head");
        vm.assertEq(cooper.jobOf(job).turn, 2, "turn");
        _assertDeadline(job, _now() + TURN_WINDOW);
        _commit(job);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    function test_lengths_must_match_the_seats_that_are_left() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, SEATS);
        bytes32 head = _head(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, 0));
        _send(job, head, new ICliCooper.Contents[](0), new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, SEATS - 1));
        _send(job, head, commits, new bytes[](SEATS - 1));
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, SEATS + 1));
        _send(job, head, commits, new bytes[](SEATS + 1));
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, SEATS + 1));
        _send(job, head, new ICliCooper.Contents[](SEATS + 1), new bytes[](SEATS + 1));
        _commit(job);
        head = _head(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLength.selector, SEATS));
        _send(job, head, commits, signatures);
    }

    function test_refuses_another_head() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, 1);
        bytes32 head = _head(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, keccak256("other"), head));
        _send(job, keccak256("other"), commits, signatures);
    }

    function test_refuses_a_signature_for_any_other_position_or_signer() public {
        uint256 job = _toCommit();
        bytes32 head = _head(job);
        ICliCooper.Contents memory c = _contents(0, 0);
        _refusedSignature(job, secrets[1], _commitDigest(job, 0, 0, head, c));
        _refusedSignature(job, secrets[0], _commitDigest(job + 1, 0, 0, head, c));
        _refusedSignature(job, secrets[0], _commitDigest(job, 1, 0, head, c));
        _refusedSignature(job, secrets[0], _commitDigest(job, 0, 1, head, c));
        _refusedSignature(job, secrets[0], _commitDigest(job, 0, 0, keccak256("head"), c));
        _refusedSignature(job, secrets[0], _commitDigest(job, 0, 0, head, _contents(1, 0)));
        bytes32 digest = _commitDigest(job, 0, 0, head, c);
        vm.chainId(block.chainid + 1);
        _refusedSignature(job, secrets[0], digest);
    }

    function test_refuses_malformed_signatures() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, 1);
        bytes32 head = _head(job);
        bytes memory good = signatures[0];
        bytes[4] memory bad = [bytes(""), new bytes(65), abi.encodePacked(good, hex"00"), _highS(good)];
        for (uint256 i = 0; i < bad.length; ++i) {
            signatures[0] = bad[i];
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.BadSignature.selector, trainers[0]));
            _send(job, head, commits, signatures);
        }
    }

    /// @dev The other valid point for the same message.
    function _highS(bytes memory signature) private pure returns (bytes memory) {
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        return abi.encodePacked(r, order - uint256(s), v == 27 ? uint8(28) : uint8(27));
    }

    function _toCommitWithWallet() private returns (uint256 job, Wallet wallet) {
        wallet = new Wallet(WALLET_SECRET);
        vm.deal(address(wallet), STAKE);
        job = _toOpen();
        wallet.join(cooper, job, 0, STAKE);
        _join(job, 1);
        _join(job, 2);
        _release(job);
        (trainers[0], secrets[0]) = (address(wallet), WALLET_SECRET);
    }

    function test_wallets_sign_by_eip_1271() public {
        (uint256 job,) = _toCommitWithWallet();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures, bytes32 end) = _signedRun(job, SEATS);
        _send(job, _head(job), commits, signatures);
        vm.assertEq(_head(job), end, "head");
    }

    function test_a_wallet_that_does_not_answer_with_the_magic_word_has_not_signed() public {
        (uint256 job, Wallet wallet) = _toCommitWithWallet();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, 1);
        bytes32 head = _head(job);
        for (uint256 mood = 1; mood <= uint256(Wallet.Mood.Reverting); ++mood) {
            wallet.setMood(Wallet.Mood(mood));
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.BadSignature.selector, trainers[0]));
            _send(job, head, commits, signatures);
        }
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures,) = _signedRun(job, SEATS);
        bytes32 head = _head(job);
        uint256 state = vm.snapshotState();
        _toDeadline(job);
        _send(job, head, commits, signatures);
        vm.revertToState(state);
        _expectTooLate(job);
        _send(job, head, commits, signatures);
    }

    function test_only_in_commit() public {
        uint256 job = _toReview();
        _expectWrongPhase(ICliCooper.Phase.Review);
        _send(job, bytes32(0), new ICliCooper.Contents[](0), new bytes[](0));
        _expectNoSuchJob(9);
        _send(9, bytes32(0), new ICliCooper.Contents[](0), new bytes[](0));
    }
}

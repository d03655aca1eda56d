// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CliCooperLens} from "../../contracts/CliCooperLens.sol";
import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice Every guard for one right value refuses the one just below it and the one just above.
contract NearMissesTest is Base {
    function _near(bytes32 right) private pure returns (bytes32[2] memory) {
        return [bytes32(uint256(right) - 1), bytes32(uint256(right) + 1)];
    }

    function _near(address right) private pure returns (address[2] memory) {
        return [address(uint160(right) - 1), address(uint160(right) + 1)];
    }

    function test_head() public {
        uint256 job = _toCommit();
        bytes32 head = cooper.jobOf(job).head;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 other = _near(head)[i];
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, other, head));
            vm.prank(trainers[0]);
            cooper.commit(job, other, _manifest(0, 0), _mark(0, 0));
        }
    }

    function test_genesis() public {
        uint256 job = _toOpen();
        bytes32 genesis = cooper.genesisOf(job);
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 other = _near(genesis)[i];
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongGenesis.selector, other, genesis));
            vm.prank(trainers[0]);
            cooper.join{value: STAKE}(job, other, 0, "");
        }
    }

    function test_owner() public {
        uint256 job = _toOpen();
        for (uint256 i = 0; i < 2; ++i) {
            _expectNotOwner(_near(owner)[i]);
            vm.prank(_near(owner)[i]);
            cooper.cancel(job);
        }
    }

    function test_trainer_whose_turn_it_is() public {
        uint256 job = _toCommit();
        bytes32 head = cooper.jobOf(job).head;
        for (uint256 i = 0; i < 2; ++i) {
            address other = _near(trainers[0])[i];
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotYourTurn.selector, other, 0));
            vm.prank(other);
            cooper.commit(job, head, _manifest(0, 0), _mark(0, 0));
        }
    }

    function test_arbiter_and_challenge() public {
        uint256 job = _toArbitration();
        bytes32 id = cooper.challengeOf(job).id;
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotArbiter.selector, _near(arbiter)[i]));
            vm.prank(_near(arbiter)[i]);
            cooper.rule(job, id, true);
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongChallenge.selector, _near(id)[i], id));
            vm.prank(arbiter);
            cooper.rule(job, _near(id)[i], true);
        }
    }

    /// @dev Hashes of wrong keys fall on either side of the right one's.
    function test_label_key() public {
        uint256 job = _toLabels();
        for (uint256 i = 1; i <= 8; ++i) {
            bytes32 other = keccak256(abi.encode("wrong key", i));
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongLabelKey.selector, other));
            vm.prank(owner);
            cooper.releaseLabels(job, other);
        }
    }

    function test_round_of_an_equivocation() public {
        uint256 job = _toReview();
        _accept(job);
        ICliCooper.Contents[2] memory c = [_contents(1, 1), _contents(2, 2)];
        bytes[2] memory none;
        for (uint32 round = 0; round <= 2; round += 2) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongRound.selector, round, 1));
            cooper.proveEquivocation(job, round, 0, 0, c, none);
        }
    }

    /// @dev Keys, and so their addresses, on either side of the right one.
    function test_signer() public {
        uint256 job = _toCommit();
        (ICliCooper.Contents[] memory commits, bytes[] memory signatures, bytes32 head) = _signedRun(job, 1);
        head = cooper.jobOf(job).head;
        bytes32 digest = _commitDigest(job, 0, 0, head, commits[0]);
        for (uint256 i = 1; i <= 8; ++i) {
            signatures[0] = _sign(secrets[0] + i, digest);
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.BadSignature.selector, trainers[0]));
            cooper.commitRound(job, head, commits, signatures);
        }
    }

    function test_replacement() public {
        uint256 job = _toRefill();
        _nameReplacement(job, 1, replacement);
        bytes32 genesis = cooper.genesisOf(job);
        for (uint256 i = 0; i < 2; ++i) {
            address other = _near(replacement)[i];
            vm.deal(other, FUNDS);
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, other));
            vm.prank(other);
            cooper.join{value: STAKE}(job, genesis, 1, "");
        }
    }

    /// @dev Right next to those that hold no seat, and far from them.
    function test_neighbours_of_owner_and_arbiter_may_join() public {
        address[6] memory admitted = [
            _near(owner)[0],
            _near(owner)[1],
            _near(arbiter)[0],
            _near(arbiter)[1],
            address(0x1000),
            address(type(uint160).max)
        ];
        for (uint256 i = 0; i < admitted.length; ++i) {
            uint256 job = _toOpen();
            vm.deal(admitted[i], FUNDS);
            _joinAs(admitted[i], job, 0);
            vm.assertEq(cooper.seatOf(job, 0).trainer, admitted[i], "joined");
        }
    }

    /// @dev Not the first second that is too early, and not the last.
    function test_cure_of_withheld_data() public {
        uint256 job = _toReview();
        uint256 cure = _now() + ARBITRATION_WINDOW / 2;
        bytes32 id = _challenge(job, 1, ICliCooper.Ground.Withheld);
        for (uint256 early = 1; early < 3; ++early) {
            vm.warp(cure - early);
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.TooEarly.selector, cure - early, cure));
            vm.prank(arbiter);
            cooper.rule(job, id, true);
        }
    }

    function test_seat_that_does_not_exist() public {
        uint256 job = _toOpen();
        for (uint8 seat = SEATS; seat < SEATS + 3; ++seat) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, seat));
            cooper.seatOf(job, seat);
        }
    }

    function test_page_of_heads_that_asks_for_too_many() public {
        CliCooperLens lens = CliCooperLens(_create(vm.getCode("CliCooperLens.sol:CliCooperLens")));
        uint256 job = _toReview();
        _accept(job);
        _commitAll(job);
        _accept(job);
        vm.assertEq(lens.roundHeads(cooper, job, 1, 5).length, 1, "one is left");
    }

    /// @dev The bit of the seat above is no bit of this one.
    function test_mark_below_one_that_is_open() public {
        (uint256 job, bytes32 progress, bytes32 key) = (_toCommit(), keccak256("progress"), keccak256("ownership"));
        bytes32 mark = keccak256(abi.encode(progress, keccak256(abi.encodePacked(key))));
        ICliCooper.OpenedCommit[] memory lower = new ICliCooper.OpenedCommit[](2);
        ICliCooper.OpenedCommit[] memory upper = new ICliCooper.OpenedCommit[](1);
        bytes32[] memory heads = new bytes32[](SEATS);
        for (uint256 i = 0; i < SEATS; ++i) {
            heads[i] = cooper.jobOf(job).head;
            vm.prank(trainers[i]);
            cooper.commit(job, heads[i], _manifest(0, i), mark);
        }
        _accept(job);
        lower[0] = ICliCooper.OpenedCommit(trainers[1], _manifest(0, 1), mark);
        lower[1] = upper[0] = ICliCooper.OpenedCommit(trainers[2], _manifest(0, 2), mark);
        vm.prank(trainers[2]);
        cooper.openMark(job, 0, 2, heads[2], upper, progress, key, "");
        vm.expectEmit(address(cooper));
        emit ICliCooper.MarkOpened(job, 0, 1, trainers[1], progress, key, "");
        vm.prank(trainers[1]);
        cooper.openMark(job, 0, 1, heads[1], lower, progress, key, "");
    }
}

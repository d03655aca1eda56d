// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice `join` and `nameReplacement` in Refill; seat 1 of round 1 is vacant.
contract RefillTest is Base {
    function _name(address caller, uint256 job, bytes32 head, uint8 seat, address trainer) private {
        vm.prank(caller);
        cooper.nameReplacement(job, head, seat, trainer);
    }

    function _refuseJoin(bytes memory reason, address trainer, uint256 job, uint8 seat) private {
        bytes32 genesis = cooper.genesisOf(job);
        vm.deal(trainer, FUNDS);
        vm.expectRevert(reason);
        vm.prank(trainer);
        cooper.join{value: STAKE}(job, genesis, seat, "");
    }

    function test_replacement_joins_and_the_round_starts_again() public {
        uint256 job = _toRefill();
        bytes32 head = cooper.jobOf(job).head;
        vm.expectEmit(address(cooper));
        emit ICliCooper.ReplacementNamed(job, 1, replacement);
        _name(owner, job, head, 1, replacement);
        _joinAs(replacement, job, 1);

        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.round, 1, "the same round");
        vm.assertEq(v.turn, 0, "every seat commits again");
        vm.assertEq(v.filled, SEATS, "filled");
        vm.assertEq(v.head, head, "from the head of the vacancy");
        _assertPhase(job, ICliCooper.Phase.Commit);
        _assertDeadline(job, _now() + TRAIN_WINDOW);
        vm.assertEq(cooper.seatOf(job, 1).fromRound, 1, "paid from this round");
        _assertOwed(job, replacement, 0);
    }

    function test_replacement_earns_from_its_first_round() public {
        uint256 job = _toRefill();
        _nameReplacement(job, 1, replacement);
        _joinAs(replacement, job, 1);
        address evicted = trainers[1];
        trainers[1] = replacement;
        _commitAll(job);
        _accept(job);
        _assertPaid(job, evicted, STAKE - PENALTY + PAY);
        _assertSettlement(job, BOND, [STAKE + 2 * PAY, uint256(STAKE) + PAY, STAKE + 2 * PAY], PENALTY);
    }

    function test_an_evicted_address_cannot_return() public {
        uint256 job = _toRefill();
        bytes32 head = cooper.jobOf(job).head;
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, trainers[1]));
        _name(owner, job, head, 1, trainers[1]);
        _refuseJoin(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, trainers[1]), trainers[1], job, 1);
    }

    function test_an_evicted_address_cannot_return_by_the_allow_list() public {
        ICliCooper.Params memory p = _params();
        p.allowList = new address[](SEATS);
        for (uint256 i = 0; i < SEATS; ++i) {
            p.allowList[i] = trainers[i];
        }
        uint256 job = _create(p);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        _expire(job);
        _refuseJoin(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, trainers[0]), trainers[0], job, 0);
        _nameReplacement(job, 0, replacement);
        _joinAs(replacement, job, 0);
    }

    function test_only_the_named_replacement_joins() public {
        uint256 job = _toRefill();
        bytes memory reason = abi.encodeWithSelector(ICliCooper.NotAllowed.selector, stranger);
        _refuseJoin(reason, stranger, job, 1);
        _nameReplacement(job, 1, replacement);
        _refuseJoin(reason, stranger, job, 1);
        _nameReplacement(job, 1, stranger);
        _refuseJoin(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, replacement), replacement, job, 1);
        _joinAs(stranger, job, 1);
    }

    function test_neither_party_nor_holder_nor_nobody_is_named() public {
        uint256 job = _toRefill();
        bytes32 head = cooper.jobOf(job).head;
        address[4] memory refused = [address(0), owner, arbiter, trainers[0]];
        for (uint256 i = 0; i < refused.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, refused[i]));
            _name(owner, job, head, 1, refused[i]);
        }
    }

    function test_naming_is_the_owners_on_this_head_for_a_vacant_seat() public {
        uint256 job = _toRefill();
        bytes32 head = cooper.jobOf(job).head;
        _expectNotOwner(stranger);
        _name(stranger, job, head, 1, replacement);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.StaleHead.selector, bytes32(0), head));
        _name(owner, job, bytes32(0), 1, replacement);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.SeatTaken.selector, 0));
        _name(owner, job, head, 0, replacement);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS));
        _name(owner, job, head, SEATS, replacement);
    }

    function test_naming_is_for_refill_alone() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        _expectWrongPhase(ICliCooper.Phase.Review);
        _name(owner, job, head, 1, replacement);
        _expectNoSuchJob(9);
        _name(owner, 9, head, 1, replacement);
    }

    function test_both_sides_of_the_deadline_of_naming() public {
        uint256 job = _toRefill();
        bytes32 head = cooper.jobOf(job).head;
        _toDeadline(job);
        _name(owner, job, head, 1, replacement);
        _expectTooLate(job);
        _name(owner, job, head, 1, replacement);
    }

    function test_both_sides_of_the_deadline_of_joining() public {
        uint256 job = _toRefill();
        _nameReplacement(job, 1, replacement);
        bytes32 genesis = cooper.genesisOf(job);
        uint256 state = vm.snapshotState();
        _toDeadline(job);
        _joinAs(replacement, job, 1);
        vm.revertToState(state);
        _expectTooLate(job);
        vm.prank(replacement);
        cooper.join{value: STAKE}(job, genesis, 1, "");
    }

    function test_occupied_seats_cannot_be_joined() public {
        uint256 job = _toRefill();
        _refuseJoin(abi.encodeWithSelector(ICliCooper.SeatTaken.selector, 0), stranger, job, 0);
    }
}

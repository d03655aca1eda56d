// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract JoinTest is Base {
    function _joinAs(address trainer, uint256 job, uint8 seat, uint256 value, bytes memory record) private {
        bytes32 genesis = cooper.genesisOf(job);
        vm.deal(trainer, FUNDS);
        _joinWith(genesis, trainer, job, seat, value, record);
    }

    function _joinWith(bytes32 genesis, address trainer, uint256 job, uint8 seat, uint256 value, bytes memory record)
        private
    {
        vm.prank(trainer);
        cooper.join{value: value}(job, genesis, seat, record);
    }

    function _refused(bytes memory reason, address trainer, uint256 job, uint8 seat) private {
        bytes32 genesis = cooper.genesisOf(job);
        vm.deal(trainer, FUNDS);
        vm.expectRevert(reason);
        _joinWith(genesis, trainer, job, seat, STAKE, "");
    }

    function test_takes_the_seat_and_the_stake() public {
        uint256 job = _toOpen();
        bytes memory record = "sealing key, transport key, endpoint";

        vm.expectEmit(address(cooper));
        emit ICliCooper.SeatJoined(job, 1, trainers[1], record);
        _joinWith(cooper.genesisOf(job), trainers[1], job, 1, STAKE, record);

        ICliCooper.SeatView memory s = cooper.seatOf(job, 1);
        vm.assertEq(s.trainer, trainers[1], "trainer");
        vm.assertEq(s.keyRecordDigest, sha256(record), "key record");
        vm.assertEq(s.fromRound, 0, "first round");
        vm.assertEq(s.owed, 0, "nothing earned yet");
        vm.assertEq(cooper.jobOf(job).filled, 1, "filled");
        vm.assertEq(address(cooper).balance, ESCROW + STAKE, "stake");
        _assertPhase(job, ICliCooper.Phase.Open);
    }

    function test_last_seat_makes_labels_due() public {
        uint256 job = _toOpen();
        _join(job, 2);
        _join(job, 0);
        vm.warp(START + 10);
        _join(job, 1);
        _assertPhase(job, ICliCooper.Phase.Labels);
        _assertDeadline(job, START + 10 + LABEL_WINDOW);
        vm.assertEq(cooper.jobOf(job).filled, SEATS, "filled");
    }

    function test_both_sides_of_the_deadline() public {
        uint256 job = _toOpen();
        _toDeadline(job);
        _join(job, 0);
        bytes32 genesis = cooper.genesisOf(job);
        _expectTooLate(job);
        _joinWith(genesis, trainers[1], job, 1, STAKE, "");
    }

    function test_refuses_another_genesis() public {
        uint256 job = _toOpen();
        bytes32 genesis = cooper.genesisOf(job);
        bytes32 other = keccak256("the job before the reorg");
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongGenesis.selector, other, genesis));
        _joinWith(other, trainers[0], job, 0, STAKE, "");
    }

    function test_seat_must_exist_and_be_free() public {
        uint256 job = _toOpen();
        _refused(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS), trainers[0], job, SEATS);
        _refused(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, 255), trainers[0], job, 255);
        _join(job, 0);
        _refused(abi.encodeWithSelector(ICliCooper.SeatTaken.selector, 0), trainers[1], job, 0);
    }

    function test_neither_owner_nor_arbiter_nor_twice() public {
        uint256 job = _toOpen();
        _join(job, 0);
        address[3] memory refused = [owner, arbiter, trainers[0]];
        for (uint256 i = 0; i < refused.length; ++i) {
            _refused(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, refused[i]), refused[i], job, 1);
        }
    }

    function test_one_address_may_sit_in_two_jobs() public {
        _join(_toOpen(), 0);
        _join(_toOpen(), 0);
    }

    function test_allow_list_binds_each_seat() public {
        ICliCooper.Params memory p = _params();
        p.allowList = new address[](SEATS);
        (p.allowList[0], p.allowList[1]) = (trainers[0], trainers[1]);
        uint256 job = _create(p);

        _refused(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, trainers[1]), trainers[1], job, 0);
        _refused(abi.encodeWithSelector(ICliCooper.NotAllowed.selector, stranger), stranger, job, 1);
        _join(job, 0);
        _join(job, 1);
        _joinAs(stranger, job, 2, STAKE, "");
        _assertPhase(job, ICliCooper.Phase.Labels);
    }

    function test_key_record_is_at_most_512_bytes() public {
        uint256 job = _toOpen();
        bytes32 genesis = cooper.genesisOf(job);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.KeyRecordTooLong.selector, 513));
        _joinWith(genesis, trainers[0], job, 0, STAKE, new bytes(513));
        _joinWith(genesis, trainers[0], job, 0, STAKE, new bytes(512));
    }

    function test_value_is_exactly_the_stake() public {
        uint256 job = _toOpen();
        bytes32 genesis = cooper.genesisOf(job);
        for (uint256 sent = STAKE - 1; sent <= STAKE + 1; sent += 2) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, sent, STAKE));
            _joinWith(genesis, trainers[0], job, 0, sent, "");
        }
    }

    function test_refused_in_every_other_phase() public {
        uint256 job = _toLabels();
        _refused(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, ICliCooper.Phase.Labels), stranger, job, 0);
        job = _toArbitration();
        _refused(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, ICliCooper.Phase.Arbitration), stranger, job, 1);
        job = _toCancelled();
        _refused(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, ICliCooper.Phase.Cancelled), stranger, job, 0);
    }

    function test_unknown_job() public {
        _expectNoSuchJob(7);
        _joinWith(bytes32(0), trainers[0], 7, 0, STAKE, "");
    }
}

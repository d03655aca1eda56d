// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract ViewsTest is Base {
    function test_every_view_refuses_unknown_jobs() public {
        _toOpen();
        for (uint256 job = 0; job <= 2; job += 2) {
            _expectNoSuchJob(job);
            cooper.jobOf(job);
            _expectNoSuchJob(job);
            cooper.seatOf(job, 0);
            _expectNoSuchJob(job);
            cooper.genesisOf(job);
            _expectNoSuchJob(job);
            cooper.roundHead(job, 0);
            _expectNoSuchJob(job);
            cooper.owedTo(job, owner);
        }
    }

    function test_seat_must_exist() public {
        uint256 job = _toOpen();
        cooper.seatOf(job, SEATS - 1);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchSeat.selector, SEATS));
        cooper.seatOf(job, SEATS);
    }

    function test_genesis_outlives_the_head() public {
        uint256 job = _toOpen();
        bytes32 genesis = cooper.genesisOf(job);
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
        _release(job);
        _commitAll(job);
        vm.assertEq(cooper.genesisOf(job), genesis, "genesis");
        vm.assertTrue(cooper.jobOf(job).head != genesis, "the head has grown");
    }

    function test_round_heads_are_those_of_accepted_rounds() public {
        uint256 job = _toReview();
        bytes32 first = cooper.jobOf(job).head;
        _accept(job);
        _commitAll(job);
        bytes32 second = cooper.jobOf(job).head;
        vm.assertEq(cooper.roundHead(job, 1), bytes32(0), "not accepted");
        _accept(job);
        vm.assertEq(cooper.roundHead(job, 0), first, "round 0");
        vm.assertEq(cooper.roundHead(job, 1), second, "round 1");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CliCooperLens} from "../../contracts/CliCooperLens.sol";
import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract LensTest is Base {
    CliCooperLens private lens;

    function setUp() public override {
        super.setUp();
        lens = CliCooperLens(_create(vm.getCode("CliCooperLens.sol:CliCooperLens")));
    }

    function test_jobs_by_the_page() public {
        vm.assertEq(lens.jobs(cooper, 1, 10).length, 0, "no jobs");
        _toOpen();
        _toReview();
        _toLabels();
        vm.assertEq(lens.jobs(cooper, 0, 10).length, 0, "jobs count from 1");
        vm.assertEq(lens.jobs(cooper, 4, 10).length, 0, "past the last");
        vm.assertEq(lens.jobs(cooper, 1, 2).length, 2, "a page");
        ICliCooper.JobView[] memory page = lens.jobs(cooper, 2, type(uint256).max);
        vm.assertEq(page.length, 2, "the rest");
        vm.assertEq(lens.jobs(cooper, 3, 10).length, 1, "the last");
        vm.assertEq(uint256(page[0].phase), uint256(ICliCooper.Phase.Review), "job 2");
        vm.assertEq(uint256(page[1].phase), uint256(ICliCooper.Phase.Labels), "job 3");
    }

    function test_seats_of_a_job() public {
        ICliCooper.SeatView[] memory page = lens.seats(cooper, _toRefill());
        vm.assertEq(page.length, SEATS, "all");
        vm.assertEq(page[0].trainer, trainers[0], "held");
        vm.assertEq(page[1].trainer, address(0), "vacant");
    }

    function test_heads_of_accepted_rounds() public {
        uint256 job = _toReview();
        vm.assertEq(lens.roundHeads(cooper, job, 0, 5).length, 0, "none yet");
        _accept(job);
        _commitAll(job);
        _accept(job);
        vm.assertEq(lens.roundHeads(cooper, job, 3, 1).length, 0, "beyond the next");
        bytes32[] memory page = lens.roundHeads(cooper, job, 0, type(uint32).max);
        vm.assertEq(page.length, 2, "both");
        vm.assertEq(page[1], cooper.roundHead(job, 1), "head of round 1");
        vm.assertEq(lens.roundHeads(cooper, job, 0, 1).length, 1, "a page");
        vm.assertEq(lens.roundHeads(cooper, job, 1, 1)[0], page[1], "from round 1");
    }

    function test_what_accounts_are_owed() public {
        uint256 job = _toReview();
        _accept(job);
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (trainers[2], stranger);
        CliCooperLens.Account[] memory page = lens.owed(cooper, job, accounts);
        vm.assertEq(page[0].account, trainers[2], "account");
        vm.assertEq(page[0].owed, PAY, "earned");
        vm.assertEq(page[1].owed, 0, "nothing");
    }
}

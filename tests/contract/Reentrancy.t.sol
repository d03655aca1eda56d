// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @dev A trainer that withdraws again, from this and from another job, while it is being paid.
contract GreedyTrainer {
    ICliCooper private immutable cooper;
    uint256[] private jobs;
    uint256 public refusals;
    bool public swallow = true;

    constructor(ICliCooper cooper_) payable {
        cooper = cooper_;
    }

    function setSwallow(bool value) external {
        swallow = value;
    }

    function join(uint256 job, uint96 stake) external {
        jobs.push(job);
        cooper.join{value: stake}(job, cooper.genesisOf(job), 0, "");
    }

    function withdraw(uint256 job) external {
        cooper.withdraw(job);
    }

    receive() external payable {
        for (uint256 i = 0; i < jobs.length; ++i) {
            try cooper.withdraw(jobs[i]) {}
            catch (bytes memory reason) {
                if (!swallow || bytes4(reason) != ReentrancyGuard.ReentrancyGuardReentrantCall.selector) {
                    revert("refused");
                }
                ++refusals;
            }
        }
    }
}

contract ReentrancyTest is Base {
    GreedyTrainer private greedy;
    uint256[2] private jobs;

    function setUp() public override {
        super.setUp();
        greedy = new GreedyTrainer(cooper);
        vm.deal(address(greedy), FUNDS);
        for (uint256 i = 0; i < jobs.length; ++i) {
            jobs[i] = _toOpen();
            greedy.join(jobs[i], STAKE);
            vm.prank(owner);
            cooper.cancel(jobs[i]);
        }
    }

    function test_withdrawing_while_being_paid_gains_nothing() public {
        uint256 before = address(greedy).balance;
        greedy.withdraw(jobs[0]);
        vm.assertEq(greedy.refusals(), jobs.length, "every inner call is refused");
        vm.assertEq(address(greedy).balance - before, STAKE, "paid once");
        vm.assertEq(cooper.owedTo(jobs[1], address(greedy)), STAKE, "the other job is untouched");
        vm.assertEq(address(cooper).balance, 2 * ESCROW + STAKE, "everyone else's money");
    }

    function test_insisting_on_reentry_forfeits_only_the_call() public {
        greedy.setSwallow(false);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.TransferFailed.selector, address(greedy), STAKE));
        greedy.withdraw(jobs[0]);
        vm.assertEq(cooper.owedTo(jobs[0], address(greedy)), STAKE, "the claim stays");
    }
}

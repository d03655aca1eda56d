// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract WithdrawTest is Base {
    function test_pays_once_and_is_recorded() public {
        uint256 job = _toReview();
        _accept(job);

        vm.expectEmit(address(cooper));
        emit ICliCooper.Withdrawn(job, trainers[1], PAY);
        vm.prank(trainers[1]);
        uint256 amount = cooper.withdraw(job);

        vm.assertEq(amount, PAY, "amount");
        vm.assertEq(cooper.seatOf(job, 1).owed, 0, "nothing is left");
        _assertPaid(job, trainers[1], 0);
    }

    function test_pay_is_available_at_once_and_the_stake_at_the_end() public {
        uint256 job = _toReview();
        _assertPaid(job, trainers[0], 0);
        _accept(job);
        _assertPaid(job, trainers[0], PAY);
        _commitAll(job);
        _accept(job);
        _assertPaid(job, trainers[0], uint256(PAY) + STAKE);
        uint256 other = uint256(PAY) * ROUNDS + STAKE;
        _assertSettlement(job, BOND, [0, other, other], 0);
    }

    function test_owner_gets_nothing_before_the_end() public {
        uint256 job = _toReview();
        _assertPaid(job, owner, 0);
        _accept(job);
        _assertPaid(job, owner, 0);
    }

    function test_evicted_trainer_is_paid_in_refill_and_never_again() public {
        uint256 job = _toRefill();
        _assertPaid(job, trainers[1], uint256(STAKE) - PENALTY + PAY);
        _expire(job);
        _assertPaid(job, trainers[1], 0);
    }

    function test_jobs_do_not_share_money() public {
        uint256 done = _toDone();
        _toLabels();
        uint256 due = uint256(STAKE) + PAY * ROUNDS;
        for (uint256 i = 0; i < SEATS; ++i) {
            _assertPaid(done, trainers[i], due);
        }
        _assertPaid(done, owner, BOND);
        vm.assertEq(address(cooper).balance, ESCROW + SEATS * uint256(STAKE), "the other job's money");
    }

    function test_strangers_and_the_arbiter_are_owed_nothing() public {
        uint256 job = _toDone();
        _assertPaid(job, stranger, 0);
        _assertPaid(job, arbiter, 0);
    }

    function test_account_that_cannot_be_paid_keeps_its_claim() public {
        uint256 job = _toReview();
        _accept(job);
        vm.etch(trainers[0], hex"5f5ffd");
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.TransferFailed.selector, trainers[0], PAY));
        vm.prank(trainers[0]);
        cooper.withdraw(job);
        _assertOwed(job, trainers[0], PAY);
        _assertPaid(job, trainers[1], PAY);
    }

    function test_unknown_job() public {
        _expectNoSuchJob(1);
        cooper.withdraw(1);
    }
}

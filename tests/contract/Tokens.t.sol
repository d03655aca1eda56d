// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";
import {ZooToken} from "./TokenZoo.sol";

/// @notice Payment in an ERC-20: `createJob`, `join`, `challenge` and `withdraw` with good and bad tokens.
contract TokensTest is Base {
    ZooToken private zoo;

    function setUp() public override {
        super.setUp();
        zoo = new ZooToken();
        address[7] memory rich = [owner, trainers[0], trainers[1], trainers[2], challenger, replacement, stranger];
        for (uint256 i = 0; i < rich.length; ++i) {
            zoo.mint(rich[i], FUNDS);
            vm.prank(rich[i]);
            zoo.approve(address(cooper), type(uint256).max);
        }
    }

    function _tokenParams() private view returns (ICliCooper.Params memory p) {
        p = _params();
        p.token = address(zoo);
    }

    function _createIn() private returns (uint256) {
        vm.prank(owner);
        return cooper.createJob(_tokenParams());
    }

    function _joinIn(uint256 job, uint8 seat) private {
        bytes32 genesis = cooper.genesisOf(job);
        vm.prank(trainers[seat]);
        cooper.join(job, genesis, seat, "");
    }

    function _challengeIn(uint256 job, uint8 accused) private returns (bytes32) {
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(challenger);
        return cooper.challenge(job, head, accused, ICliCooper.Ground.Fault, keccak256("evidence"));
    }

    function _toReviewIn() private returns (uint256 job) {
        job = _createIn();
        for (uint8 i = 0; i < SEATS; ++i) {
            _joinIn(job, i);
        }
        _release(job);
        _commitAll(job);
    }

    function _withdrawn(uint256 job, address account) private returns (uint256) {
        uint256 before = zoo.balanceOf(account);
        vm.prank(account);
        cooper.withdraw(job);
        return zoo.balanceOf(account) - before;
    }

    function test_a_whole_job_in_a_token_with_a_dispute() public {
        uint256 job = _toReviewIn();
        vm.assertEq(cooper.jobOf(job).token, address(zoo), "token");
        vm.assertEq(zoo.balanceOf(address(cooper)), ESCROW + 3 * STAKE, "locked");
        _challengeIn(job, 0);
        _rule(job, false);
        _accept(job);
        _commitAll(job);
        _accept(job);
        vm.assertEq(_withdrawn(job, owner), BOND, "owner");
        for (uint256 i = 0; i < SEATS; ++i) {
            vm.assertEq(_withdrawn(job, trainers[i]), STAKE + 2 * PAY, "trainer");
        }
        vm.assertEq(_withdrawn(job, arbiter), ARBITER_FEE, "arbiter");
        vm.assertEq(zoo.balanceOf(address(cooper)), CHALLENGE_BOND - ARBITER_FEE, "burned");
        vm.assertEq(address(cooper).balance, 0, "no native coin moved");
    }

    function test_native_coin_is_refused_where_a_token_is_due() public {
        ICliCooper.Params memory p = _tokenParams();
        for (uint256 coin = 1; coin <= 2; ++coin) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, coin, 0));
            vm.prank(owner);
            cooper.createJob{value: coin}(p);
        }
    }

    function test_tokens_that_return_nothing_are_fine() public {
        zoo.setMood(ZooToken.Mood.ReturnsNothing);
        uint256 job = _createIn();
        vm.prank(owner);
        cooper.cancel(job);
        vm.assertEq(_withdrawn(job, owner), ESCROW, "refund");
    }

    function test_attack_fee_on_transfer_is_refused_by_the_balance() public {
        zoo.setMood(ZooToken.Mood.KeepsFee);
        ICliCooper.Params memory p = _tokenParams();
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, ESCROW - 1, ESCROW));
        vm.prank(owner);
        cooper.createJob(p);
        zoo.setMood(ZooToken.Mood.GivesBonus);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, ESCROW + 1, ESCROW));
        vm.prank(owner);
        cooper.createJob(p);
    }

    function test_attack_token_that_shrinks_our_balance_is_refused() public {
        uint256 job = _createIn();
        zoo.setMood(ZooToken.Mood.ShrinksBalance);
        bytes32 genesis = cooper.genesisOf(job);
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        vm.prank(trainers[0]);
        cooper.join(job, genesis, 0, "");
    }

    function test_attack_token_that_returns_false_or_reverts_pays_nothing_in() public {
        uint256 job = _createIn();
        bytes32 genesis = cooper.genesisOf(job);
        zoo.setMood(ZooToken.Mood.ReturnsFalse);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(zoo)));
        vm.prank(trainers[0]);
        cooper.join(job, genesis, 0, "");
        zoo.setMood(ZooToken.Mood.Reverts);
        vm.expectRevert(bytes("zoo"));
        vm.prank(trainers[0]);
        cooper.join(job, genesis, 0, "");
        vm.assertEq(cooper.jobOf(job).filled, 0, "nobody joined");
    }

    function test_attack_bad_token_freezes_only_jobs_in_that_token() public {
        uint256 bad = _toReviewIn();
        uint256 good = _toReview();
        _accept(bad);
        _accept(good);
        ZooToken.Mood[2] memory moods = [ZooToken.Mood.ReturnsFalse, ZooToken.Mood.Reverts];
        for (uint256 i = 0; i < moods.length; ++i) {
            zoo.setMood(moods[i]);
            vm.expectPartialRevert(
                i == 0 ? SafeERC20.SafeERC20FailedOperation.selector : bytes4(keccak256("Error(string)"))
            );
            vm.prank(trainers[0]);
            cooper.withdraw(bad);
        }
        _assertOwed(bad, trainers[0], PAY);
        _assertPaid(good, trainers[0], PAY);
        _commitAll(bad);
        _accept(bad);
        _assertPhase(bad, ICliCooper.Phase.Done);
        zoo.setMood(ZooToken.Mood.Honest);
        vm.assertEq(_withdrawn(bad, trainers[0]), STAKE + 2 * PAY, "the claim survived");
    }

    function test_attack_blacklisted_party_stops_nobody_else() public {
        uint256 job = _toReviewIn();
        zoo.setBlacklisted(trainers[1], true);
        _accept(job);
        _commitAll(job);
        _accept(job);
        vm.expectRevert(bytes("blacklisted"));
        vm.prank(trainers[1]);
        cooper.withdraw(job);
        vm.assertEq(_withdrawn(job, trainers[0]), STAKE + 2 * PAY, "its neighbour");
        vm.assertEq(_withdrawn(job, owner), BOND, "the owner");
        _assertOwed(job, trainers[1], STAKE + 2 * PAY);
    }

    function test_attack_blacklisted_challenger_cannot_block_a_ruling() public {
        uint256 job = _toReviewIn();
        _challengeIn(job, 0);
        zoo.setBlacklisted(challenger, true);
        _rule(job, true);
        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertOwed(job, challenger, 2 * CHALLENGE_BOND);
    }

    function _assertRefusedCallback(string memory reason) private view {
        vm.assertTrue(zoo.callbackRefused(), reason);
        vm.assertEq(
            zoo.refusal(), abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector), reason
        );
    }

    function test_attack_reentrancy_through_a_token_that_calls_back() public {
        uint256 other = _createIn();
        uint256 job = _toReviewIn();
        ICliCooper.Params memory p = _tokenParams();
        bytes32 genesis = cooper.genesisOf(other);
        bytes32 head = cooper.jobOf(job).head;
        bytes[4] memory calls = [
            abi.encodeCall(cooper.withdraw, (job)),
            abi.encodeCall(cooper.createJob, (p)),
            abi.encodeCall(cooper.join, (other, genesis, 0, "")),
            abi.encodeCall(cooper.challenge, (job, head, 0, ICliCooper.Ground.Fault, 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            zoo.setCallback(address(cooper), calls[i]);
            uint256 created = _createIn();
            _assertRefusedCallback("while a job is created");
            _joinIn(created, 0);
            _assertRefusedCallback("while a seat is taken");
            vm.prank(owner);
            cooper.cancel(created);
            vm.assertEq(_withdrawn(created, owner), ESCROW, "paid once");
            _assertRefusedCallback("while money is paid out");
        }
        _challengeIn(job, 0);
        _assertRefusedCallback("while a bond is posted");
    }
}

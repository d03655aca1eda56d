// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {ICommittee} from "../../contracts/interfaces/ICommittee.sol";
import {Base} from "./Base.sol";
import {ZooToken} from "./TokenZoo.sol";
import {Wallet} from "./Wallets.sol";

contract CommitteeTest is Base {
    uint256 private constant WALLET_SECRET = 0x1271;
    uint256[3] private memberSecrets = [0xc01, 0xc02, WALLET_SECRET];
    address[] private members;
    ICommittee private committee;
    uint256 private job;
    bytes32 private id;

    /// @dev Two of three, the third one a wallet; seat 1 stands accused.
    function setUp() public override {
        super.setUp();
        members = [vm.addr(0xc01), vm.addr(0xc02), address(new Wallet(WALLET_SECRET))];
        committee = _deploy(members, 2);
        arbiter = address(committee);
        job = _toReview();
        id = _challenge(job, 1);
    }

    function _vote(uint256 member, bool guilty) private {
        vm.prank(members[member]);
        committee.vote(job, id, guilty);
    }

    function _ballot(uint256[] memory voters, bool guilty)
        private
        view
        returns (address[] memory names, bytes[] memory signatures)
    {
        bytes32 typehash = keccak256("Ruling(uint256 job,bytes32 challengeId,bool guilty)");
        bytes32 digest = keccak256(
            abi.encodePacked(
                hex"1901",
                _domain("CliCooperCommittee", address(committee)),
                keccak256(abi.encode(typehash, job, id, guilty))
            )
        );
        (names, signatures) = (new address[](voters.length), new bytes[](voters.length));
        for (uint256 i = 0; i < voters.length; ++i) {
            (names[i], signatures[i]) = (members[voters[i]], _sign(memberSecrets[voters[i]], digest));
        }
    }

    function _list(uint256 a) private pure returns (uint256[] memory l) {
        l = new uint256[](1);
        l[0] = a;
    }

    function _list(uint256 a, uint256 b) private pure returns (uint256[] memory l) {
        l = new uint256[](2);
        (l[0], l[1]) = (a, b);
    }

    function _send(uint256[] memory voters, bool guilty) private {
        (address[] memory names, bytes[] memory signatures) = _ballot(voters, guilty);
        vm.prank(stranger);
        committee.ruleBySignatures(job, id, guilty, names, signatures);
    }

    function _deploy(address[] memory names, uint256 threshold) private returns (ICommittee) {
        return ICommittee(_create(_committeeCode(names, threshold)));
    }

    /* DEPLOYMENT */

    function test_members_and_threshold_are_fixed() public view {
        vm.assertEq(committee.threshold(), 2, "threshold");
        vm.assertEq(address(committee.cooper()), address(cooper), "contract");
        vm.assertEq(committee.members().length, 3, "members");
        vm.assertEq(committee.members()[2], members[2], "member");
    }

    function test_refuses_impossible_committees() public {
        bytes memory reason = abi.encodeWithSelector(ICommittee.InvalidCommittee.selector);
        address[] memory names = members;
        vm.expectRevert(reason);
        _deploy(names, 0);
        vm.expectRevert(reason);
        _deploy(names, 4);
        names[1] = names[0];
        vm.expectRevert(reason);
        _deploy(names, 2);
        names[1] = address(0);
        vm.expectRevert(reason);
        _deploy(names, 2);
        vm.expectRevert(reason);
        _deploy(_crowd(33), 2);
        _deploy(_crowd(32), 32);
    }

    function _crowd(uint256 count) private pure returns (address[] memory names) {
        names = new address[](count);
        for (uint160 i = 0; i < count; ++i) {
            names[i] = address(i + 1);
        }
    }

    /* VOTES */

    function test_the_last_vote_needed_rules() public {
        vm.expectEmit(address(committee));
        emit ICommittee.Voted(job, id, members[0], true);
        _vote(0, true);
        vm.assertEq(committee.votesFor(job, id, true), 1, "votes");
        _assertPhase(job, ICliCooper.Phase.Arbitration);
        _vote(2, true);
        _assertPhase(job, ICliCooper.Phase.Refill);
        _assertOwed(job, address(committee), ARBITER_FEE);
    }

    function test_a_vote_after_the_ruling_only_counts() public {
        _vote(0, true);
        _vote(2, true);
        _vote(1, true);
        vm.assertEq(committee.votesFor(job, id, true), 3, "votes");
        _assertOwed(job, address(committee), ARBITER_FEE);
    }

    function test_only_equal_votes_add_up() public {
        _vote(0, true);
        _vote(1, false);
        _assertPhase(job, ICliCooper.Phase.Arbitration);
        _vote(2, false);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    function test_a_vote_is_final_and_the_members_alone() public {
        _vote(0, true);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.AlreadyVoted.selector, members[0]));
        _vote(0, false);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.NotMember.selector, stranger));
        vm.prank(stranger);
        committee.vote(job, id, true);
    }

    function test_a_vote_that_cannot_take_effect_is_not_spent() public {
        _vote(0, true);
        id = keccak256("no such challenge");
        _vote(0, true);
        vm.expectPartialRevert(ICliCooper.WrongChallenge.selector);
        _vote(1, true);
        vm.assertEq(committee.votesFor(job, id, true), 1, "votes");
    }

    function test_signed_votes_rule_at_once() public {
        _send(_list(0, 2), true);
        _assertPhase(job, ICliCooper.Phase.Refill);
    }

    function test_more_signed_votes_than_needed_rule_too() public {
        _vote(1, true);
        _send(_list(0, 2), true);
        vm.assertEq(committee.votesFor(job, id, true), 3, "votes");
        _assertPhase(job, ICliCooper.Phase.Refill);
    }

    function test_signed_votes_add_to_those_cast() public {
        _vote(0, false);
        _send(_list(1), false);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    function test_enough_earlier_votes_need_no_signature() public {
        _vote(0, false);
        _vote(1, false);
        vm.assertEq(_challenge(job, 1), id, "the same accusation again");
        _send(new uint256[](0), false);
        _assertPhase(job, ICliCooper.Phase.Review);
    }

    function test_too_few_signed_votes_change_nothing() public {
        (address[] memory names, bytes[] memory signatures) = _ballot(_list(0), true);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.TooFewVotes.selector, 1, 2));
        committee.ruleBySignatures(job, id, true, names, signatures);
        vm.assertEq(committee.votesFor(job, id, true), 0, "votes");
    }

    function test_attack_one_member_counted_twice() public {
        (address[] memory names, bytes[] memory signatures) = _ballot(_list(0, 0), true);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.AlreadyVoted.selector, members[0]));
        committee.ruleBySignatures(job, id, true, names, signatures);
    }

    function test_attack_signed_vote_turned_into_its_opposite() public {
        (address[] memory names, bytes[] memory signatures) = _ballot(_list(0, 1), true);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.BadSignature.selector, names[0]));
        committee.ruleBySignatures(job, id, false, names, signatures);
    }

    function test_attack_signed_votes_for_another_challenge() public {
        (address[] memory names, bytes[] memory signatures) = _ballot(_list(0, 1), true);
        vm.expectRevert(abi.encodeWithSelector(ICommittee.BadSignature.selector, names[0]));
        committee.ruleBySignatures(job, keccak256("other"), true, names, signatures);
    }

    function test_signers_are_members_and_each_has_a_signature() public {
        (address[] memory names, bytes[] memory signatures) = _ballot(_list(0, 1), true);
        names[1] = stranger;
        vm.expectRevert(abi.encodeWithSelector(ICommittee.NotMember.selector, stranger));
        committee.ruleBySignatures(job, id, true, names, signatures);
        for (uint256 count = 1; count <= 3; count += 2) {
            vm.expectRevert(abi.encodeWithSelector(ICommittee.WrongLength.selector, count));
            committee.ruleBySignatures(job, id, true, names, new bytes[](count));
        }
    }

    /* FEES */

    function test_fees_are_shared_equally() public {
        _send(_list(0, 1), true);
        vm.prank(stranger);
        vm.assertEq(committee.collect(job), ARBITER_FEE, "collected");
        for (uint256 i = 0; i < 3; ++i) {
            uint256 before = members[i].balance;
            vm.assertEq(committee.owedTo(address(0), members[i]), ARBITER_FEE / 3, "owed");
            vm.expectEmit(address(committee));
            emit ICommittee.Paid(address(0), members[i], ARBITER_FEE / 3);
            vm.prank(members[i]);
            committee.withdraw(address(0));
            vm.assertEq(members[i].balance - before, ARBITER_FEE / 3, "paid");
        }
        vm.assertEq(address(committee).balance, ARBITER_FEE % 3, "dust waits for the next fee");
    }

    function test_nobody_is_paid_twice_or_without_a_seat() public {
        vm.deal(address(committee), 10);
        vm.prank(members[0]);
        committee.withdraw(address(0));
        address[2] memory refused = [members[0], stranger];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICommittee.NothingOwed.selector, refused[i]));
            vm.prank(refused[i]);
            committee.withdraw(address(0));
        }
    }

    function test_shares_do_not_depend_on_the_order_of_payments(uint96[4] memory fees, uint256 order) public {
        uint256 sum;
        for (uint256 i = 0; i < 4; ++i) {
            vm.deal(address(committee), address(committee).balance + fees[i]);
            sum += fees[i];
            address member = members[(order >> i) % 3];
            if (committee.owedTo(address(0), member) == 0) continue;
            vm.prank(member);
            committee.withdraw(address(0));
        }
        for (uint256 i = 0; i < 3; ++i) {
            uint256 due = committee.owedTo(address(0), members[i]);
            if (due == 0) continue;
            vm.prank(members[i]);
            committee.withdraw(address(0));
        }
        vm.assertEq(address(committee).balance, sum % 3, "only dust is left");
    }

    function test_fees_in_a_token() public {
        ZooToken zoo = new ZooToken();
        zoo.mint(address(committee), 10);
        vm.prank(members[1]);
        vm.assertEq(committee.withdraw(address(zoo)), 3, "share");
        vm.assertEq(zoo.balanceOf(members[1]), 3, "paid");
        vm.assertEq(committee.owedTo(address(zoo), members[0]), 3, "the others' is untouched");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Attacker} from "./Attacker.sol";

/// @notice The attacks of `Attacks.t.sol` by which somebody would pay less, take more, or hold up what is owed.
contract AttacksOnMoneyTest is Attacker {
    uint8 private constant OWNER = 255;
    uint256 private constant REST = STAKE - CHALLENGE_BOND - ARBITER_FEE;

    /* 8 FORCED ETHER */

    function test_attack_forced_ether_changes_nobodys_account() public {
        uint256 job = _toReview();
        vm.deal(address(cooper), address(cooper).balance + 5 ether);
        _accept(job);
        _commitAll(job);
        _accept(job);
        uint256 before = address(cooper).balance;
        _assertPaid(job, owner, BOND);
        for (uint256 i = 0; i < SEATS; ++i) {
            _assertPaid(job, trainers[i], STAKE + 2 * PAY);
        }
        vm.assertEq(before - address(cooper).balance, BOND + 3 * STAKE + 6 * PAY, "paid out");
        vm.assertEq(address(cooper).balance, 5 ether, "the gift stays");
    }

    /* 9 ROUNDING AND OVERFLOW */

    function test_attack_amounts_at_the_limits_of_their_types() public {
        ICliCooper.Params memory p = _params();
        uint96 max = type(uint96).max;
        (p.seats, p.rounds, p.pay, p.ownerBond) = (32, type(uint32).max, max / 32, max);
        (p.stake, p.challengeBond, p.arbiterFee, p.silencePenalty) = (max, max / 2 - 40, 31, max);
        uint256 escrow = uint256(p.pay) * p.seats * p.rounds + p.ownerBond;
        vm.deal(owner, escrow);
        uint256 job = _create(p);
        bytes32 genesis = cooper.genesisOf(job);
        for (uint8 seat = 0; seat < 32; ++seat) {
            vm.deal(address(uint160(0x9000) + seat), max);
            vm.prank(address(uint160(0x9000) + seat));
            cooper.join{value: max}(job, genesis, seat, "");
        }
        _release(job);
        vm.deal(challenger, max);
        _challenge(job, 31);
        _rule(job, true);
        uint256 rest = uint256(max) - p.challengeBond - p.arbiterFee;
        _assertOwed(job, address(0x9000), rest / 31);
        _assertOwed(job, owner, rest % 31);
        _assertOwed(job, challenger, 2 * uint256(p.challengeBond));
        _expire(job);
        _assertOwed(job, owner, escrow + rest % 31);
        _assertOwed(job, address(0x9000), max + rest / 31);
    }

    function test_attack_rounding_never_creates_or_loses_a_coin(uint96 stake, uint96 bond, uint96 fee, uint8 seats)
        public
    {
        ICliCooper.Params memory p = _params();
        p.seats = 2 + seats % 31;
        p.arbiterFee = fee % (type(uint96).max / 8);
        p.challengeBond = p.arbiterFee + 1 + bond % (type(uint96).max / 8);
        p.stake = 2 * p.challengeBond + p.arbiterFee + stake % (type(uint96).max / 8);
        (p.pay, p.ownerBond, p.silencePenalty) = (0, p.arbiterFee, 0);
        vm.deal(owner, p.ownerBond);
        uint256 job = _create(p);
        bytes32 genesis = cooper.genesisOf(job);
        for (uint8 seat = 0; seat < p.seats; ++seat) {
            vm.deal(address(uint160(0x9000) + seat), p.stake);
            vm.prank(address(uint160(0x9000) + seat));
            cooper.join{value: p.stake}(job, genesis, seat, "");
        }
        _release(job);
        vm.deal(challenger, p.challengeBond);
        _challenge(job, 0);
        _rule(job, true);
        _expire(job);
        uint256 sum = cooper.owedTo(job, owner) + cooper.owedTo(job, challenger) + cooper.owedTo(job, arbiter);
        for (uint8 seat = 1; seat < p.seats; ++seat) {
            sum += cooper.owedTo(job, address(uint160(0x9000) + seat));
        }
        vm.assertEq(sum, address(cooper).balance, "every coin has one owner");
    }

    /* 10 DEADLINES */

    /// @dev At the deadline the time-out is refused, one second later it is due; the actions' own tests show the
    /// other half.
    function test_attack_timeout_one_second_early_in_every_phase() public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256 job = _inPhase(i);
            _toDeadline(job);
            vm.assertTrue(!_try(stranger, 0, abi.encodeCall(cooper.resolveTimeout, (job))), "at the deadline");
            vm.warp(_now() + 1);
            vm.assertTrue(_try(stranger, 0, abi.encodeCall(cooper.resolveTimeout, (job))), "after it");
        }
    }

    function _inPhase(uint256 i) private returns (uint256) {
        if (i == 0) return _toOpen();
        if (i == 1) return _toLabels();
        if (i == 2) return _toCommit();
        if (i == 3) return _toReview();
        if (i == 4) return _toRefill();
        return _toArbitration();
    }

    /* 11 LATE ACTIONS */

    function test_attack_late_actions_revert_and_forfeit_nothing() public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256 job = _inPhase(i);
            bytes32 head = cooper.jobOf(job).head;
            bytes32 genesis = cooper.genesisOf(job);
            bytes32 id = i == 5 ? cooper.challengeOf(job).id : bytes32(0);
            bytes32 key = _key(cooper.jobOf(job).round);
            bytes[6] memory late = [
                abi.encodeCall(cooper.join, (job, genesis, 0, "")),
                abi.encodeCall(cooper.releaseLabels, (job, key)),
                abi.encodeCall(cooper.commit, (job, head, 0, 0)),
                abi.encodeCall(cooper.accept, (job, head, _key(1))),
                abi.encodeCall(cooper.nameReplacement, (job, head, 1, replacement)),
                abi.encodeCall(cooper.rule, (job, id, true))
            ];
            address[6] memory callers = [trainers[0], owner, trainers[0], owner, owner, arbiter];
            uint256 balance = address(cooper).balance;
            vm.warp(uint256(cooper.jobOf(job).deadline) + 1);
            vm.assertTrue(!_try(callers[i], i == 0 ? STAKE : 0, late[i]), "late");
            vm.assertEq(address(cooper).balance, balance, "nothing was taken");
            vm.assertEq(cooper.jobOf(job).head, head, "nothing has happened");
        }
    }

    /* 12 STAKE ESCAPE AND DOUBLE SLASH */

    function test_attack_stake_escape_before_a_challenge_closes() public {
        uint256 job = _toLastReview();
        _challenge(job, 0);
        bytes32 head = cooper.jobOf(job).head;
        vm.assertTrue(!_try(owner, 0, abi.encodeCall(cooper.accept, (job, head, _key(2)))), "no accept meanwhile");
        vm.assertTrue(!_try(trainers[0], 0, abi.encodeCall(cooper.commit, (job, head, 0, 0))), "no commit");
        vm.assertTrue(!_try(stranger, 0, abi.encodeCall(cooper.resolveTimeout, (job))), "no time-out");
        _assertPaid(job, trainers[0], PAY);
        _rule(job, true);
        _assertOwed(job, trainers[0], 0);
    }

    function test_attack_double_slash_of_one_stake() public {
        uint256 job = _toArbitration();
        _rule(job, true);
        uint256 balance = cooper.owedTo(job, DEAD) + cooper.owedTo(job, stranger);
        vm.assertTrue(!_prove(job, 1), "the seat is vacant");
        vm.assertEq(cooper.owedTo(job, DEAD) + cooper.owedTo(job, stranger), balance, "no second penalty");
        _nameReplacement(job, 1, replacement);
        _joinAs(replacement, job, 1);
        vm.assertTrue(!_prove(job, 1), "the successor signed nothing");
    }

    /* 13 OWNER GRIEFING */

    function test_attack_owner_never_accepts_never_releases_or_gives_a_wrong_key() public {
        uint256 job = _toReview();
        bytes32 head = cooper.jobOf(job).head;
        vm.assertTrue(!_try(owner, 0, abi.encodeCall(cooper.accept, (job, head, keccak256("wrong")))), "wrong key");
        _expire(job);
        _assertOwed(job, trainers[0], PAY);
        vm.assertTrue(!_try(owner, 0, abi.encodeCall(cooper.releaseLabels, (job, _key(2)))), "a later key");
        _expire(job);
        uint256 due = STAKE + PAY + BOND / SEATS;
        _assertSettlement(job, uint256(PAY) * SEATS + BOND % SEATS, [due, due, due], 0);
    }

    /* 14 TRAINER GRIEFING */

    function test_attack_trainer_joins_and_stalls_for_its_penalty() public {
        uint256 job = _toCommit();
        _expire(job);
        _assertOwed(job, trainers[0], STAKE - PENALTY);
        _nameReplacement(job, 0, replacement);
        _joinAs(replacement, job, 0);
        vm.warp(uint256(cooper.jobOf(job).deadline) + 1);
        cooper.resolveTimeout(job);
        _assertOwed(job, replacement, STAKE - PENALTY);
        _assertOwed(job, DEAD, 2 * PENALTY);
    }

    function test_attack_replacement_that_never_comes_ends_the_job_and_not_the_money() public {
        uint256 job = _toRefill();
        _nameReplacement(job, 1, replacement);
        _expire(job);
        uint256 stayed = uint256(STAKE) + PAY;
        _assertSettlement(job, BOND + uint256(PAY) * SEATS, [stayed, stayed - PENALTY, stayed], PENALTY);
    }

    /* 15 THE ARBITER */

    function test_attack_arbiter_and_challenger_collude_for_one_stake_and_nothing_else() public {
        uint256 job = _toReview();
        _accept(job);
        _commitAll(job);
        _challenge(job, 0);
        _rule(job, true);
        uint256 gain = cooper.owedTo(job, challenger) - CHALLENGE_BOND + cooper.owedTo(job, arbiter);
        vm.assertEq(gain, CHALLENGE_BOND + ARBITER_FEE, "the gain of both");
        _assertOwed(job, trainers[0], PAY);
        _assertOwed(job, trainers[1], PAY + REST / 2);
        bytes[3] memory more = [
            abi.encodeCall(cooper.accept, (job, cooper.jobOf(job).head, _key(2))),
            abi.encodeCall(cooper.abort, (job)),
            abi.encodeCall(cooper.join, (job, cooper.genesisOf(job), 0, ""))
        ];
        for (uint256 i = 0; i < more.length; ++i) {
            vm.assertTrue(!_try(arbiter, i == 2 ? STAKE : 0, more[i]), "no other power");
        }
    }

    function test_attack_arbiter_silent_for_ever_cannot_hold_the_job() public {
        uint256 job = _toReview();
        for (uint256 i = 0; cooper.jobOf(job).deadline != 0; ++i) {
            vm.assertLe(i, 3, "bounded");
            if (cooper.jobOf(job).phase == ICliCooper.Phase.Review) _challenge(job, OWNER);
            _expire(job);
        }
        _assertPaid(job, challenger, CHALLENGE_BOND);
        uint256 due = STAKE + PAY + BOND / SEATS;
        _assertSettlement(job, uint256(PAY) * SEATS + BOND % SEATS, [due, due, due], 0);
    }

    /// @dev Endless challenges would need endless money: each one that fails, ruled or not, doubles the next.
    function test_attack_endless_challenges_outgrow_every_purse() public {
        uint256 job = _toCommit();
        for (uint256 i = 0; i < 30; ++i) {
            vm.deal(challenger, uint256(CHALLENGE_BOND) << i);
            _challenge(job, 0);
            if (i % 2 == 0) _rule(job, false);
            else _expire(job);
        }
        vm.assertEq(cooper.bondDue(job), uint256(CHALLENGE_BOND) << 30, "the next one");
        vm.assertTrue(cooper.jobOf(job).phase == ICliCooper.Phase.Commit, "it is still seat 0's turn");
        _commit(job);
    }

    /* 16 UNBOUNDED DATA */

    function test_attack_bricking_by_unbounded_data() public {
        ICliCooper.Params memory p = _params();
        (p.seats, p.allowList, p.ownerBond) = (32, new address[](33), 32 * PAY + ARBITER_FEE);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.InvalidParams.selector, "allowList"));
        _create(p);
        p.allowList = new address[](32);
        uint256 job = _create(p);
        bytes32 genesis = cooper.genesisOf(job);
        bytes memory long = new bytes(513);
        vm.assertTrue(!_try(stranger, STAKE, abi.encodeCall(cooper.join, (job, genesis, 0, long))), "key record");
        for (uint8 seat = 0; seat < 32; ++seat) {
            address trainer = address(uint160(0x9000) + seat);
            bytes memory data = abi.encodeCall(cooper.join, (job, genesis, seat, new bytes(512)));
            vm.assertTrue(_try(trainer, STAKE, data), "join");
        }
        _release(job);
        _challenge(job, 17);
        uint256 gas = gasleft();
        _rule(job, true);
        vm.assertLe(gas - gasleft(), 1_500_000, "the longest loop fits a block twenty times over");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";
import {Player} from "./Player.sol";
import {Shadow} from "./Shadow.sol";

contract InvariantsTest is Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Player private player;

    function setUp() public override {
        super.setUp();
        player = new Player(cooper);
    }

    /// @dev Read by forge: what the random play consists of. `advance` twice as often, or few jobs get far.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory actions = new bytes4[](12);
        (actions[0], actions[1], actions[2]) =
        (Player.create.selector, Player.advance.selector, Player.advance.selector);
        (actions[3], actions[4], actions[5]) = (Player.challenge.selector, Player.rule.selector, Player.expire.selector);
        (actions[6], actions[7], actions[8]) =
        (Player.equivocate.selector, Player.giveUp.selector, Player.pass.selector);
        (actions[9], actions[10], actions[11]) =
        (Player.withdraw.selector, Player.force.selector, Player.meddle.selector);
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(player), actions);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(player);
    }

    /* READING */

    function _ended(ICliCooper.JobView memory v) private pure returns (bool) {
        return v.phase >= ICliCooper.Phase.Done;
    }

    function _owedToAll(uint256 job, Shadow.Model memory m) private view returns (uint256 sum) {
        for (uint256 i = 0; i < m.people.length; ++i) {
            sum += cooper.owedTo(job, m.people[i]);
        }
    }

    /// @dev Unearned pay, owner's bond, stakes and an open challenge's bond of a job that still runs.
    function _locked(uint256 job, Shadow.Model memory m) private view returns (uint256 sum) {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        if (_ended(v)) return 0;
        sum = uint256(m.terms.pay) * v.seats * (v.rounds - v.round);
        sum += m.terms.ownerBond + uint256(m.terms.stake) * v.filled;
        if (v.phase == ICliCooper.Phase.Arbitration) sum += m.bond;
    }

    function _liabilitiesIn(address token) private view returns (uint256 sum) {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            if (m.terms.token == token) sum += _owedToAll(job, m) + _locked(job, m);
        }
    }

    /* MONEY */

    function invariant_native_balance_equals_liabilities_but_for_forced_ether() public view {
        vm.assertEq(address(cooper).balance, _liabilitiesIn(address(0)) + player.donated(), "native");
    }

    function invariant_balance_of_the_first_token_equals_its_liabilities() public view {
        vm.assertEq(
            player.tokens(0).balanceOf(address(cooper)), _liabilitiesIn(address(player.tokens(0))), "first token"
        );
    }

    function invariant_balance_of_the_second_token_equals_its_liabilities() public view {
        vm.assertEq(
            player.tokens(1).balanceOf(address(cooper)), _liabilitiesIn(address(player.tokens(1))), "second token"
        );
    }

    function invariant_every_job_keeps_its_own_books() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            vm.assertEq(m.paidIn - m.paidOut, _owedToAll(job, m) + _locked(job, m), "books");
        }
    }

    function invariant_everybody_is_owed_exactly_what_the_rules_say() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            for (uint256 i = 0; i < m.people.length; ++i) {
                vm.assertEq(cooper.owedTo(job, m.people[i]), player.owed(job, m.people[i]), "owed");
            }
        }
    }

    function invariant_withdraw_pays_what_was_owed() public view {
        vm.assertTrue(!player.paidOtherThanOwed(), "paid");
    }

    function invariant_no_job_pays_out_more_than_it_took_in() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertLe(player.model(job).paidOut, player.model(job).paidIn, "paid out");
        }
    }

    function invariant_earned_pay_is_never_forfeit() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            for (uint256 i = 0; i < m.people.length; ++i) {
                uint256 had = player.received(job, m.people[i]) + cooper.owedTo(job, m.people[i]);
                vm.assertGe(had, player.earned(job, m.people[i]), "earned pay");
            }
        }
    }

    function invariant_stakes_do_not_leave_a_running_job_with_their_holder() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            if (_ended(cooper.jobOf(job))) continue;
            uint256 held = m.paidIn - m.paidOut - _owedToAll(job, m);
            vm.assertGe(held, uint256(m.terms.stake) * m.filled, "stakes");
        }
    }

    function invariant_the_arbiter_earns_one_fee_a_ruling() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            uint256 had = player.received(job, m.terms.arbiter) + cooper.owedTo(job, m.terms.arbiter);
            vm.assertEq(had, m.rulings * m.terms.arbiterFee, "fees");
        }
    }

    function invariant_burned_money_stays_burned() public view {
        vm.assertTrue(!player.burnedMoneyCameBack(), "burned");
    }

    function invariant_the_unearned_pay_is_there_to_be_earned() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            ICliCooper.JobView memory v = cooper.jobOf(job);
            if (_ended(v)) continue;
            uint256 held = m.paidIn - m.paidOut - _owedToAll(job, m);
            vm.assertGe(held, uint256(v.pay) * v.seats * (v.rounds - v.round) + m.terms.ownerBond, "escrow");
        }
    }

    function invariant_the_next_bond_doubles_with_each_failed_challenge() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            uint256 bond = uint256(m.terms.challengeBond) << m.failed;
            vm.assertEq(cooper.bondDue(job), bond < type(uint96).max ? bond : type(uint96).max, "bond");
        }
    }

    /* HEADS AND KEYS */

    function invariant_no_head_occurs_twice() public view {
        vm.assertTrue(!player.headRepeated(), "a head was repeated");
    }

    function invariant_the_head_follows_from_the_record() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertEq(cooper.jobOf(job).head, player.model(job).head, "head");
        }
    }

    function invariant_genesis_never_changes() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertEq(cooper.genesisOf(job), player.model(job).genesis, "genesis");
        }
    }

    function invariant_accepted_round_heads_never_change() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            for (uint32 round = 0; round < 4; ++round) {
                vm.assertEq(cooper.roundHead(job, round), player.roundHead(job, round), "round head");
            }
        }
    }

    function invariant_only_accepted_rounds_have_a_head() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            uint256 accepted = cooper.jobOf(job).round;
            for (uint32 round = 0; round < 4; ++round) {
                vm.assertTrue((cooper.roundHead(job, round) != 0) == (round < accepted), "round head");
            }
        }
    }

    function invariant_the_label_key_is_the_last_one_released() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            Shadow.Model memory m = player.model(job);
            bytes32 last = m.keys == 0 ? m.terms.labelAnchor : player.key(m.keys - 1, m.terms.rounds);
            vm.assertEq(cooper.jobOf(job).labelKey, last, "label key");
        }
    }

    /* SEATS */

    function invariant_filled_counts_the_seats_that_are_held() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            uint256 held;
            for (uint8 seat = 0; seat < v.seats; ++seat) {
                if (cooper.seatOf(job, seat).trainer != address(0)) ++held;
            }
            vm.assertEq(v.filled, held, "filled");
        }
    }

    function invariant_every_seat_is_held_while_a_round_runs() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            bool running = v.phase >= ICliCooper.Phase.Labels && v.phase <= ICliCooper.Phase.Review;
            if (running || v.phase == ICliCooper.Phase.Done) vm.assertEq(v.filled, v.seats, "filled");
            if (v.phase == ICliCooper.Phase.Refill) vm.assertLt(v.filled, v.seats, "a seat is vacant");
        }
    }

    function invariant_nobody_holds_two_seats_and_no_party_holds_one() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            for (uint8 a = 0; a < v.seats; ++a) {
                address trainer = cooper.seatOf(job, a).trainer;
                vm.assertTrue(trainer != v.owner && trainer != v.arbiter, "a party");
                for (uint8 b = a + 1; b < v.seats; ++b) {
                    vm.assertTrue(trainer == address(0) || trainer != cooper.seatOf(job, b).trainer, "two seats");
                }
            }
        }
    }

    function invariant_an_evicted_trainer_never_returns() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            for (uint8 seat = 0; seat < cooper.jobOf(job).seats; ++seat) {
                vm.assertTrue(!player.evicted(job, cooper.seatOf(job, seat).trainer), "evicted");
            }
        }
    }

    /* CLOCK AND PHASES */

    function invariant_phases_follow_the_drawing() public view {
        vm.assertTrue(!player.wrongEdge(), "edge");
    }

    function invariant_rounds_only_go_forward() public view {
        vm.assertTrue(!player.roundWentBack(), "round");
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertEq(cooper.jobOf(job).round, player.model(job).round, "round");
        }
    }

    function invariant_a_job_is_done_when_and_only_when_its_last_key_is_out() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            vm.assertTrue(
                (v.phase == ICliCooper.Phase.Done) == (player.model(job).keys == uint256(v.rounds) + 1), "done"
            );
        }
    }

    function invariant_only_an_ended_job_has_no_deadline() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            vm.assertTrue(_ended(v) == (v.deadline == 0), "deadline");
        }
    }

    function invariant_no_deadline_is_further_than_the_longest_window() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertLe(cooper.jobOf(job).deadline, _now() + 600, "deadline");
        }
    }

    function invariant_the_turn_is_a_seat() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            vm.assertLt(cooper.jobOf(job).turn, cooper.jobOf(job).seats, "turn");
        }
    }

    function invariant_a_challenge_is_open_in_arbitration_and_knows_its_way_back() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            if (cooper.jobOf(job).phase != ICliCooper.Phase.Arbitration) continue;
            ICliCooper.ChallengeView memory c = cooper.challengeOf(job);
            vm.assertTrue(c.id != 0 && c.challenger == player.CHALLENGER(), "challenge");
            vm.assertEq(c.bond, player.model(job).bond, "bond");
            vm.assertTrue(
                c.interrupted >= ICliCooper.Phase.Commit && c.interrupted <= ICliCooper.Phase.Refill, "interrupted"
            );
            vm.assertTrue(c.accused == 255 || cooper.seatOf(job, c.accused).trainer != address(0), "accused");
        }
    }

    function invariant_a_challenge_with_a_vacancy_leads_to_a_refill() public view {
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            ICliCooper.JobView memory v = cooper.jobOf(job);
            if (v.phase != ICliCooper.Phase.Arbitration) continue;
            bool refill = cooper.challengeOf(job).interrupted == ICliCooper.Phase.Refill;
            vm.assertTrue(refill == (v.filled < v.seats), "vacancy");
        }
    }

    /* WHAT MUST FAIL */

    function invariant_late_actions_revert() public view {
        vm.assertTrue(!player.lateActionTaken(), "late");
    }

    function invariant_early_timeouts_revert() public view {
        vm.assertTrue(!player.earlyTimeoutTaken(), "early");
    }

    function invariant_a_stranger_decides_nothing() public view {
        vm.assertTrue(!player.strangerObeyed(), "stranger");
    }

    function invariant_calls_decided_on_another_head_revert() public view {
        vm.assertTrue(!player.staleCallTaken(), "stale");
    }

    function invariant_a_settled_round_cannot_be_reopened() public view {
        vm.assertTrue(!player.settledRoundReopened(), "settled");
    }

    /* EXIT */

    /// @dev From wherever play stopped, time-outs alone end every job, and withdrawals then empty it.
    function invariant_time_alone_ends_every_job_and_frees_its_money() public {
        uint256 state = vm.snapshotState();
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            for (uint256 steps = 0; cooper.jobOf(job).deadline != 0; ++steps) {
                vm.assertLe(steps, 4, "a job ends within four deadlines");
                player.timeOut(job);
            }
            Shadow.Model memory m = player.model(job);
            for (uint256 i = 0; i < m.people.length; ++i) {
                player.take(job, m.people[i]);
            }
            m = player.model(job);
            vm.assertEq(m.paidIn - m.paidOut, cooper.owedTo(job, DEAD), "only burned money remains");
        }
        vm.assertTrue(!player.paidOtherThanOwed(), "paid");
        vm.revertToState(state);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract CreateJobTest is Base {
    function _expectInvalid(string memory field, ICliCooper.Params memory p) private {
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.InvalidParams.selector, field));
        _create(p);
    }

    function test_stores_the_terms_and_opens() public {
        ICliCooper.Params memory p = _params();
        bytes32 genesis = keccak256(
            abi.encode(keccak256("CliCooper/1"), block.chainid, address(cooper), 1, owner, keccak256(abi.encode(p)))
        );

        vm.expectEmit(address(cooper));
        emit ICliCooper.JobCreated(1, owner, p);
        uint256 job = _create(p);

        vm.assertEq(job, 1, "jobs count from 1");
        vm.assertEq(cooper.jobCount(), 1, "count");
        vm.assertEq(cooper.genesisOf(job), genesis, "genesis");
        vm.assertEq(address(cooper).balance, ESCROW, "escrow");
        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.assertEq(v.head, genesis, "the first head");
        vm.assertEq(v.owner, owner, "owner");
        vm.assertEq(v.arbiter, arbiter, "arbiter");
        vm.assertEq(v.token, address(0), "token");
        vm.assertEq(v.labelKey, p.labelAnchor, "anchor");
        vm.assertEq(v.seats, SEATS, "seats");
        vm.assertEq(v.rounds, ROUNDS, "rounds");
        vm.assertEq(v.pay, PAY, "pay");
        vm.assertEq(v.filled + v.round + v.turn, 0, "nothing has happened");
        _assertPhase(job, ICliCooper.Phase.Open);
        _assertDeadline(job, START + JOIN_WINDOW);
    }

    function test_equal_terms_give_different_heads() public {
        uint256 first = _create(_params());
        uint256 second = _create(_params());
        vm.assertTrue(cooper.genesisOf(first) != cooper.genesisOf(second), "the job id is bound");
    }

    function test_a_token_is_a_contract() public {
        ICliCooper.Params memory p = _params();
        p.token = address(0x70);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.UnsupportedToken.selector, p.token));
        _create(p);
    }

    function test_value_is_exactly_the_escrow() public {
        ICliCooper.Params memory p = _params();
        for (uint256 sent = ESCROW - 1; sent <= ESCROW + 1; sent += 2) {
            vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongValue.selector, sent, ESCROW));
            vm.prank(owner);
            cooper.createJob{value: sent}(p);
        }
    }

    function test_seats_from_2_to_32() public {
        ICliCooper.Params memory p = _params();
        p.ownerBond = PAY * 32 + ARBITER_FEE;
        p.seats = 1;
        _expectInvalid("seats", p);
        p.seats = 33;
        _expectInvalid("seats", p);
        p.seats = 2;
        _create(p);
        p.seats = 32;
        _create(p);
    }

    function test_rounds_from_1() public {
        ICliCooper.Params memory p = _params();
        p.rounds = 0;
        _expectInvalid("rounds", p);
        p.rounds = 1;
        _create(p);
        (p.rounds, p.pay) = (type(uint32).max, 0);
        _create(p);
    }

    function test_windows_from_1_second_to_90_days() public {
        string[6] memory names =
            ["joinWindow", "labelWindow", "trainWindow", "turnWindow", "reviewWindow", "arbitrationWindow"];
        for (uint256 i = 0; i < names.length; ++i) {
            _expectInvalid(names[i], _withWindow(i, 0));
            _expectInvalid(names[i], _withWindow(i, 90 days + 1));
            _create(_withWindow(i, 1));
            _create(_withWindow(i, 90 days));
        }
    }

    function _withWindow(uint256 which, uint32 window) private view returns (ICliCooper.Params memory p) {
        p = _params();
        if (which == 0) p.joinWindow = window;
        if (which == 1) p.labelWindow = window;
        if (which == 2) p.trainWindow = window;
        if (which == 3) p.turnWindow = window;
        if (which == 4) p.reviewWindow = window;
        if (which == 5) p.arbitrationWindow = window;
    }

    function test_bond_covers_one_round_and_one_ruling() public {
        ICliCooper.Params memory p = _params();
        p.ownerBond = PAY * SEATS + ARBITER_FEE - 1;
        _expectInvalid("ownerBond", p);
        p.ownerBond += 1;
        _create(p);
    }

    function test_challenge_bond_covers_one_ruling_and_is_never_free() public {
        ICliCooper.Params memory p = _params();
        p.challengeBond = ARBITER_FEE - 1;
        _expectInvalid("challengeBond", p);
        p.challengeBond = ARBITER_FEE;
        _create(p);
        (p.challengeBond, p.arbiterFee) = (0, 0);
        _expectInvalid("challengeBond", p);
        p.challengeBond = 1;
        _create(p);
    }

    function test_stake_covers_two_challenges_and_one_ruling() public {
        ICliCooper.Params memory p = _params();
        p.stake = 2 * CHALLENGE_BOND + ARBITER_FEE - 1;
        _expectInvalid("stake", p);
        p.stake += 1;
        _create(p);
    }

    function test_penalty_is_at_most_the_stake() public {
        ICliCooper.Params memory p = _params();
        p.silencePenalty = STAKE + 1;
        _expectInvalid("silencePenalty", p);
        p.silencePenalty = STAKE;
        _create(p);
    }

    function test_limits_do_not_overflow() public {
        ICliCooper.Params memory p = _params();
        (p.pay, p.seats, p.ownerBond) = (type(uint96).max, 32, type(uint96).max);
        vm.deal(owner, type(uint256).max);
        _expectInvalid("ownerBond", p);
        (p.pay, p.seats, p.ownerBond) = (PAY, SEATS, BOND);
        (p.challengeBond, p.stake) = (type(uint96).max, type(uint96).max);
        _expectInvalid("stake", p);
    }

    function test_arbiter_is_someone_else() public {
        ICliCooper.Params memory p = _params();
        p.arbiter = address(0);
        _expectInvalid("arbiter", p);
        p.arbiter = owner;
        _expectInvalid("arbiter", p);
    }

    function test_allow_list_is_empty_or_names_every_seat() public {
        ICliCooper.Params memory p = _params();
        p.allowList = new address[](SEATS - 1);
        _expectInvalid("allowList", p);
        p.allowList = new address[](SEATS + 1);
        _expectInvalid("allowList", p);
        p.allowList = new address[](SEATS);
        _create(p);
    }
}

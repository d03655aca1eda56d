// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../../contracts/interfaces/ICliCooper.sol";
import {Vm} from "../Vm.sol";

/// @notice The cheat code of halmos that these proofs use.
interface Svm {
    function createUint(uint256 bits, string calldata name) external pure returns (uint256 value);
}

/// @notice A job of two seats and two rounds, any amounts, brought to each phase; for proofs, which halmos runs.
/// @dev Symbolic are the terms and whatever a proof takes as an argument. The contract compares addresses with each other
/// only, so a fixed cast with one stranger stands for all callers.
abstract contract Stage {
    struct Terms {
        uint96 pay;
        uint96 stake;
        uint96 ownerBond;
        uint96 challengeBond;
        uint96 arbiterFee;
        uint96 silencePenalty;
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Svm private constant SVM = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    uint8 internal constant SEATS = 2;
    uint32 internal constant ROUNDS = 2;
    uint8 internal constant ACCUSE_OWNER = 255;
    uint32 internal constant JOIN_WINDOW = 100;
    uint32 internal constant LABEL_WINDOW = 200;
    uint32 internal constant TRAIN_WINDOW = 300;
    uint32 internal constant TURN_WINDOW = 400;
    uint32 internal constant REVIEW_WINDOW = 500;
    uint32 internal constant ARBITRATION_WINDOW = 600;
    uint256 internal constant START = 1_700_000_000;

    address internal constant OWNER = address(0x1001);
    address internal constant ARBITER = address(0x1002);
    address internal constant FIRST = address(0x1003);
    address internal constant SECOND = address(0x1004);
    address internal constant REPLACEMENT = address(0x1005);
    address internal constant CHALLENGER = address(0x1006);
    address internal constant STRANGER = address(0x1007);
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant CAST = 8;

    /// @dev The code of a wallet that calls every signature valid.
    bytes private constant ANY_SIGNATURE = hex"631626ba7e60e01b5f5260205ff3";

    ICliCooper internal cooper;

    function setUp() public virtual {
        vm.warp(START);
        bytes memory code = vm.getCode("build/proven/CliCooper.json");
        address place;
        assembly {
            place := create(0, add(code, 32), mload(code))
        }
        cooper = ICliCooper(place);
        for (uint256 who = 0; who < CAST; ++who) {
            vm.deal(_actor(who), type(uint128).max);
        }
    }

    function _actor(uint256 who) internal pure returns (address) {
        if (who == 0) return OWNER;
        if (who == 1) return ARBITER;
        if (who == 2) return FIRST;
        if (who == 3) return SECOND;
        if (who == 4) return REPLACEMENT;
        if (who == 5) return CHALLENGER;
        if (who == 6) return STRANGER;
        return DEAD;
    }

    /* STEPS */

    function _anyTerms() internal pure returns (Terms memory t) {
        t.pay = uint96(SVM.createUint(96, "pay"));
        t.stake = uint96(SVM.createUint(96, "stake"));
        t.ownerBond = uint96(SVM.createUint(96, "ownerBond"));
        t.challengeBond = uint96(SVM.createUint(96, "challengeBond"));
        t.arbiterFee = uint96(SVM.createUint(96, "arbiterFee"));
        t.silencePenalty = uint96(SVM.createUint(96, "silencePenalty"));
    }

    function _key(uint256 round) internal pure returns (bytes32 key) {
        key = keccak256("last label key");
        for (uint256 i = ROUNDS; i > round; --i) {
            key = keccak256(abi.encode(key));
        }
    }

    function _params(Terms memory t) internal pure returns (ICliCooper.Params memory p) {
        (p.pay, p.stake, p.ownerBond) = (t.pay, t.stake, t.ownerBond);
        (p.challengeBond, p.arbiterFee, p.silencePenalty) = (t.challengeBond, t.arbiterFee, t.silencePenalty);
        (p.seats, p.rounds) = (SEATS, ROUNDS);
        (p.joinWindow, p.labelWindow, p.trainWindow) = (JOIN_WINDOW, LABEL_WINDOW, TRAIN_WINDOW);
        (p.turnWindow, p.reviewWindow, p.arbitrationWindow) = (TURN_WINDOW, REVIEW_WINDOW, ARBITRATION_WINDOW);
        (p.arbiter, p.labelAnchor) = (ARBITER, keccak256(abi.encode(_key(0))));
    }

    function _escrow(Terms memory t) internal pure returns (uint256) {
        return uint256(t.pay) * SEATS * ROUNDS + t.ownerBond;
    }

    function _join(Terms memory t, uint256 job, uint8 seat, address trainer) internal {
        bytes32 genesis = cooper.genesisOf(job);
        vm.prank(trainer);
        cooper.join{value: t.stake}(job, genesis, seat, hex"01");
    }

    function _commit(uint256 job, address trainer) internal {
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(trainer);
        cooper.commit(job, head, bytes32(uint256(1)), bytes32(uint256(2)));
    }

    function _challenge(uint256 job, uint8 accused, ICliCooper.Ground ground) internal returns (uint256 bond) {
        bytes32 head = cooper.jobOf(job).head;
        bond = cooper.bondDue(job);
        vm.prank(CHALLENGER);
        cooper.challenge{value: bond}(job, head, accused, ground, 0);
    }

    function _rule(uint256 job, bool guilty) internal {
        bytes32 id = cooper.challengeOf(job).id;
        vm.prank(ARBITER);
        cooper.rule(job, id, guilty);
    }

    function _expire(uint256 job) internal {
        vm.warp(uint256(cooper.jobOf(job).deadline) + 1);
        cooper.resolveTimeout(job);
    }

    function _name(uint256 job, uint8 seat) internal {
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(OWNER);
        cooper.nameReplacement(job, head, seat, REPLACEMENT);
    }

    /// @dev Both contents count as signed, since for this call the trainer is a wallet that anybody fools.
    function _equivocate(uint256 job, uint8 seat, address trainer) internal {
        ICliCooper.Contents[2] memory contents;
        contents[0].manifestDigest = bytes32(uint256(1));
        bytes[2] memory none;
        uint32 round = cooper.jobOf(job).round;
        vm.etch(trainer, ANY_SIGNATURE);
        vm.prank(STRANGER);
        cooper.proveEquivocation(job, round, seat, 0, contents, none);
        vm.etch(trainer, "");
    }

    /* PHASES */

    function _toOpen(Terms memory t) internal returns (uint256 job) {
        vm.prank(OWNER);
        job = cooper.createJob{value: _escrow(t)}(_params(t));
        _join(t, job, 0, FIRST);
    }

    function _toLabels(Terms memory t) internal returns (uint256 job) {
        job = _toOpen(t);
        _join(t, job, 1, SECOND);
    }

    function _toCommit(Terms memory t) internal returns (uint256 job) {
        job = _toLabels(t);
        vm.prank(OWNER);
        cooper.releaseLabels(job, _key(0));
    }

    function _toSecondTurn(Terms memory t) internal returns (uint256 job) {
        job = _toCommit(t);
        _commit(job, FIRST);
    }

    function _toReview(Terms memory t) internal returns (uint256 job) {
        job = _toSecondTurn(t);
        _commit(job, SECOND);
    }

    /// @dev Round 0 is accepted, so pay is owed in every phase from here on.
    function _toSecondRound(Terms memory t) internal returns (uint256 job) {
        job = _toReview(t);
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(OWNER);
        cooper.accept(job, head, _key(1));
    }

    function _toLastReview(Terms memory t) internal returns (uint256 job) {
        job = _toSecondRound(t);
        _commit(job, FIRST);
        _commit(job, SECOND);
    }

    function _toLastLabels(Terms memory t) internal returns (uint256 job) {
        job = _toLastReview(t);
        _expire(job);
    }

    function _toRefill(Terms memory t) internal returns (uint256 job) {
        job = _toSecondRound(t);
        _commit(job, FIRST);
        _expire(job);
        _name(job, 1);
    }

    function _toArbitration(Terms memory t, uint8 accused, ICliCooper.Ground ground) internal returns (uint256 job) {
        job = _toLastReview(t);
        _challenge(job, accused, ground);
    }

    /// @dev No seat is held any more.
    function _toEmptyRefill(Terms memory t) internal returns (uint256 job) {
        job = _toSecondRound(t);
        _equivocate(job, 0, FIRST);
        _equivocate(job, 1, SECOND);
        _name(job, 1);
    }

    /// @dev Seat 1 is accused before it has committed.
    function _toArbitrationInCommit(Terms memory t) internal returns (uint256 job) {
        job = _toSecondRound(t);
        _commit(job, FIRST);
        _challenge(job, 1, ICliCooper.Ground.Withheld);
    }

    /// @dev Seat 0 has been expelled since seat 1 was accused, so what is interrupted is a refill.
    function _toArbitrationWithVacancy(Terms memory t) internal returns (uint256 job) {
        job = _toArbitration(t, 1, ICliCooper.Ground.Fault);
        _equivocate(job, 0, FIRST);
    }

    function _toDone(Terms memory t) internal returns (uint256 job) {
        job = _toLastReview(t);
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(OWNER);
        cooper.accept(job, head, _key(2));
    }

    function _toForfeit(Terms memory t) internal returns (uint256 job) {
        job = _toArbitration(t, ACCUSE_OWNER, ICliCooper.Ground.Fault);
        _rule(job, true);
    }
}

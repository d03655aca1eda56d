// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Vm} from "./Vm.sol";

/// @notice Named actors, one small job, and a helper that brings it to each phase.
/// @dev Amounts are small and pairwise different, and the bond is not divisible by the seats, so that an amount
/// taken from the wrong place or a lost remainder shows.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint8 internal constant SEATS = 3;
    uint32 internal constant ROUNDS = 2;
    uint96 internal constant PAY = 7;
    uint96 internal constant STAKE = 1000;
    uint96 internal constant BOND = 101;
    uint96 internal constant CHALLENGE_BOND = 400;
    uint96 internal constant ARBITER_FEE = 50;
    uint96 internal constant PENALTY = 300;
    uint256 internal constant ESCROW = uint256(PAY) * SEATS * ROUNDS + BOND;
    uint256 internal constant FUNDS = 1 ether;

    uint32 internal constant JOIN_WINDOW = 100;
    uint32 internal constant LABEL_WINDOW = 200;
    uint32 internal constant TRAIN_WINDOW = 300;
    uint32 internal constant TURN_WINDOW = 400;
    uint32 internal constant REVIEW_WINDOW = 500;
    uint32 internal constant ARBITRATION_WINDOW = 600;

    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 internal constant START = 1_700_000_000;

    address internal owner = address(0x0a11ce);
    address internal arbiter = address(0xa4b);
    address internal stranger = address(0x57a);
    uint256[SEATS] internal secrets = [0x701, 0x702, 0x703];
    address[SEATS] internal trainers = [vm.addr(0x701), vm.addr(0x702), vm.addr(0x703)];
    uint256 internal constant REPLACEMENT_SECRET = 0x704;
    address internal replacement = vm.addr(REPLACEMENT_SECRET);
    address internal challenger = address(0xc4a);

    ICliCooper internal cooper;

    function setUp() public virtual {
        vm.warp(START);
        cooper = _deploy();
        vm.deal(owner, FUNDS);
        vm.deal(stranger, FUNDS);
        vm.deal(arbiter, FUNDS);
        vm.deal(challenger, FUNDS);
        vm.deal(replacement, FUNDS);
        for (uint256 i = 0; i < SEATS; ++i) {
            vm.deal(trainers[i], FUNDS);
        }
    }

    /// @dev From its compiled code: with `new`, the compiler would optimise the contract again in every test.
    function _deploy() internal returns (ICliCooper) {
        return ICliCooper(_create(vm.getCode("CliCooper.sol:CliCooper")));
    }

    function _committeeCode(address[] memory members, uint256 threshold) internal view returns (bytes memory) {
        return abi.encodePacked(vm.getCode("Committee.sol:Committee"), abi.encode(cooper, members, threshold));
    }

    function _create(bytes memory code) internal returns (address place) {
        assembly {
            place := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(place != address(0), "deployed");
    }

    /* TERMS */

    function _params() internal view returns (ICliCooper.Params memory p) {
        p.pay = PAY;
        p.stake = STAKE;
        p.ownerBond = BOND;
        p.challengeBond = CHALLENGE_BOND;
        p.arbiterFee = ARBITER_FEE;
        p.silencePenalty = PENALTY;
        p.seats = SEATS;
        p.rounds = ROUNDS;
        p.joinWindow = JOIN_WINDOW;
        p.labelWindow = LABEL_WINDOW;
        p.trainWindow = TRAIN_WINDOW;
        p.turnWindow = TURN_WINDOW;
        p.reviewWindow = REVIEW_WINDOW;
        p.arbitrationWindow = ARBITRATION_WINDOW;
        p.arbiter = arbiter;
        p.specDigest = keccak256("spec");
        p.labelAnchor = _opens(_key(0));
    }

    function _opens(bytes32 key) internal pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }

    /// @dev Keys 0 to ROUNDS; each opens the one before.
    function _key(uint256 round) internal pure returns (bytes32 key) {
        key = keccak256("last label key");
        for (uint256 i = ROUNDS; i > round; --i) {
            key = _opens(key);
        }
    }

    function _manifest(uint256 round, uint256 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode("manifest", round, seat));
    }

    function _mark(uint256 round, uint256 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode("mark", round, seat));
    }

    /* STEPS */

    function _create(ICliCooper.Params memory p) internal returns (uint256) {
        vm.prank(owner);
        return cooper.createJob{value: uint256(p.pay) * p.seats * p.rounds + p.ownerBond}(p);
    }

    function _join(uint256 job, uint8 seat) internal {
        bytes32 genesis = cooper.genesisOf(job);
        vm.prank(trainers[seat]);
        cooper.join{value: STAKE}(job, genesis, seat, abi.encode("keys", seat));
    }

    function _release(uint256 job) internal {
        bytes32 key = _key(cooper.jobOf(job).round);
        vm.prank(owner);
        cooper.releaseLabels(job, key);
    }

    function _commit(uint256 job) internal {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.prank(trainers[v.turn]);
        cooper.commit(job, v.head, _manifest(v.round, v.turn), _mark(v.round, v.turn));
    }

    /// @dev One seat's contents for round and seat as `_commit` uses them.
    function _contents(uint256 round, uint256 seat) internal pure returns (ICliCooper.Contents memory) {
        return ICliCooper.Contents(_manifest(round, seat), _mark(round, seat));
    }

    function _commitAll(uint256 job) internal {
        for (uint256 i = 0; i < SEATS; ++i) {
            _commit(job);
        }
    }

    function _accept(uint256 job) internal {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        vm.prank(owner);
        cooper.accept(job, v.head, _key(v.round + 1));
    }

    function _expire(uint256 job) internal {
        vm.warp(uint256(cooper.jobOf(job).deadline) + 1);
        cooper.resolveTimeout(job);
    }

    function _challenge(uint256 job, uint8 accused, ICliCooper.Ground ground) internal returns (bytes32) {
        bytes32 head = cooper.jobOf(job).head;
        uint256 bond = cooper.bondDue(job);
        vm.prank(challenger);
        return cooper.challenge{value: bond}(job, head, accused, ground, keccak256("evidence"));
    }

    function _challenge(uint256 job, uint8 accused) internal returns (bytes32) {
        return _challenge(job, accused, ICliCooper.Ground.Fault);
    }

    function _rule(uint256 job, bool guilty) internal {
        bytes32 id = cooper.challengeOf(job).id;
        vm.prank(arbiter);
        cooper.rule(job, id, guilty);
    }

    function _nameReplacement(uint256 job, uint8 seat, address trainer) internal {
        bytes32 head = cooper.jobOf(job).head;
        vm.prank(owner);
        cooper.nameReplacement(job, head, seat, trainer);
    }

    function _joinAs(address trainer, uint256 job, uint8 seat) internal {
        bytes32 genesis = cooper.genesisOf(job);
        vm.prank(trainer);
        cooper.join{value: STAKE}(job, genesis, seat, "");
    }

    /* SIGNATURES */

    bytes32 internal constant COMMIT_TYPEHASH = keccak256(
        "Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32 manifestDigest,bytes32 markCommitment)"
    );

    function _domain(string memory name, address verifier) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", _domain("CliCooper", address(cooper)), structHash));
    }

    function _commitDigest(uint256 job, uint32 round, uint8 seat, bytes32 head, ICliCooper.Contents memory c)
        internal
        view
        returns (bytes32)
    {
        return _digest(
            keccak256(abi.encode(COMMIT_TYPEHASH, job, round, seat, head, c.manifestDigest, c.markCommitment))
        );
    }

    function _sign(uint256 secret, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, s, v);
    }

    function _nextHead(
        bytes32 head,
        uint256 job,
        uint32 round,
        uint8 seat,
        address trainer,
        ICliCooper.Contents memory c
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(head, job, round, seat, trainer, c.manifestDigest, c.markCommitment));
    }

    function _restarted(bytes32 head, uint256 job, uint32 round, uint8 seat, address evicted)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(head, keccak256("CliCooper/1/restart"), job, round, seat, evicted));
    }

    /// @dev `count` signed commitments from the seat whose turn it is, and the head after them.
    function _signedRun(uint256 job, uint256 count)
        internal
        view
        returns (ICliCooper.Contents[] memory commits, bytes[] memory signatures, bytes32 head)
    {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        (commits, signatures, head) = (new ICliCooper.Contents[](count), new bytes[](count), v.head);
        for (uint8 i = 0; i < count; ++i) {
            uint8 seat = v.turn + i;
            commits[i] = _contents(v.round, seat);
            signatures[i] = _sign(secrets[seat], _commitDigest(job, v.round, seat, head, commits[i]));
            head = _nextHead(head, job, v.round, seat, trainers[seat], commits[i]);
        }
    }

    /* PHASES */

    function _toOpen() internal returns (uint256) {
        return _create(_params());
    }

    function _toLabels() internal returns (uint256 job) {
        job = _toOpen();
        for (uint8 i = 0; i < SEATS; ++i) {
            _join(job, i);
        }
    }

    function _toCommit() internal returns (uint256 job) {
        job = _toLabels();
        _release(job);
    }

    function _toReview() internal returns (uint256 job) {
        job = _toCommit();
        _commitAll(job);
    }

    function _toLastReview() internal returns (uint256 job) {
        job = _toReview();
        _accept(job);
        _commitAll(job);
    }

    /// @dev Round 0 is accepted, seat 1 kept silent in round 1.
    function _toRefill() internal returns (uint256 job) {
        job = _toReview();
        _accept(job);
        _commit(job);
        _expire(job);
    }

    /// @dev Seat 1 is accused in review of round 0.
    function _toArbitration() internal returns (uint256 job) {
        job = _toReview();
        _challenge(job, 1);
    }

    function _toDone() internal returns (uint256 job) {
        job = _toLastReview();
        _accept(job);
    }

    function _toCancelled() internal returns (uint256 job) {
        job = _toOpen();
        vm.prank(owner);
        cooper.cancel(job);
    }

    function _toAborted() internal returns (uint256 job) {
        job = _toLabels();
        _expire(job);
    }

    /* EXPECTATIONS */

    function _expectWrongPhase(ICliCooper.Phase phase) internal {
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.WrongPhase.selector, phase));
    }

    function _expectNoSuchJob(uint256 job) internal {
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NoSuchJob.selector, job));
    }

    function _expectNotOwner(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.NotOwner.selector, caller));
    }

    /// @dev Moves to one second past the deadline and expects the late action to be refused.
    function _expectTooLate(uint256 job) internal {
        uint256 deadline = cooper.jobOf(job).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(ICliCooper.TooLate.selector, deadline + 1, deadline));
    }

    /// @dev The compiler takes a transaction's `block.timestamp` for constant, and a test is one transaction.
    function _now() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function _toDeadline(uint256 job) internal {
        vm.warp(cooper.jobOf(job).deadline);
    }

    function _assertPhase(uint256 job, ICliCooper.Phase expected) internal view {
        vm.assertEq(uint256(cooper.jobOf(job).phase), uint256(expected), "phase");
    }

    function _assertDeadline(uint256 job, uint256 expected) internal view {
        vm.assertEq(cooper.jobOf(job).deadline, expected, "deadline");
    }

    function _assertOwed(uint256 job, address account, uint256 expected) internal view {
        vm.assertEq(cooper.owedTo(job, account), expected, "owed");
    }

    /// @dev What every party takes out, checked against what it expects; nothing else may remain.
    function _assertSettlement(uint256 job, uint256 ownerDue, uint256[SEATS] memory seatDue, uint256 burned) internal {
        _assertPaid(job, owner, ownerDue);
        for (uint256 i = 0; i < SEATS; ++i) {
            _assertPaid(job, trainers[i], seatDue[i]);
        }
        _assertOwed(job, DEAD, burned);
        vm.assertEq(address(cooper).balance, burned, "nothing is left behind");
    }

    function _assertPaid(uint256 job, address account, uint256 due) internal {
        _assertOwed(job, account, due);
        uint256 before = account.balance;
        if (due == 0) vm.expectRevert(abi.encodeWithSelector(ICliCooper.NothingOwed.selector, account));
        vm.prank(account);
        cooper.withdraw(job);
        vm.assertEq(account.balance - before, due, "paid");
        _assertOwed(job, account, 0);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Shadow} from "./Shadow.sol";
import {ZooToken} from "./TokenZoo.sol";
import {Vm} from "./Vm.sol";

/// @notice Plays owner, trainers, challenger, reporter, arbiter, meddler and time, at random, in up to three jobs paid
/// in the native coin and two tokens. Every call that the rules allow must succeed, every other one must fail.
contract Player is Shadow {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 public constant MAX_JOBS = 3;
    address private constant STRANGER = address(0x57a);
    bytes32 private constant COMMIT_TYPEHASH = keccak256(
        "Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32 manifestDigest,bytes32 markCommitment)"
    );

    ICliCooper public immutable cooper;
    ZooToken[2] public tokens;
    uint256 public donated;
    uint256 private trainers;
    mapping(address trainer => uint256) private secretOf;
    mapping(uint256 job => ICliCooper.Phase) private phaseBefore;
    mapping(uint256 job => uint256) private roundBefore;
    mapping(uint256 job => uint256) private burnedBefore;

    bool public wrongEdge;
    bool public roundWentBack;
    bool public burnedMoneyCameBack;
    bool public paidOtherThanOwed;
    bool public lateActionTaken;
    bool public earlyTimeoutTaken;
    bool public strangerObeyed;
    bool public staleCallTaken;
    bool public settledRoundReopened;

    constructor(ICliCooper cooper_) {
        cooper = cooper_;
        tokens = [new ZooToken(), new ZooToken()];
    }

    /* SETTING UP */

    function create(uint96 pay, uint96 extra, uint8 seats, uint8 rounds) external {
        if (cooper.jobCount() == MAX_JOBS) return;
        ICliCooper.Params memory p;
        (p.seats, p.rounds) = (2 + seats % 3, 1 + rounds % 3);
        (p.pay, p.challengeBond, p.arbiterFee) = (pay % 1e18, 1e9 + extra % 1e17, extra % 1e9);
        p.stake = 2 * p.challengeBond + p.arbiterFee + extra % 1e18;
        p.ownerBond = p.pay * p.seats + p.arbiterFee + extra % 1e12;
        p.silencePenalty = p.stake / 3;
        (p.joinWindow, p.labelWindow, p.trainWindow) = (100, 200, 300);
        (p.turnWindow, p.reviewWindow, p.arbitrationWindow) = (400, 500, 600);
        (p.arbiter, p.labelAnchor) = (ARBITER, _opens(key(0, p.rounds)));
        uint256 asset = cooper.jobCount() % 3;
        p.token = asset == 0 ? address(0) : address(tokens[asset - 1]);
        uint256 escrow = uint256(p.pay) * p.seats * p.rounds + p.ownerBond;
        uint256 value = _fund(p.token, OWNER, escrow);
        vm.prank(OWNER);
        uint256 job = cooper.createJob{value: value}(p);
        _opened(job, p, cooper.genesisOf(job));
        _observe(job);
    }

    /* THE NEXT STEP */

    /// @notice Takes one to four of the steps that are due.
    function advance(uint256 pick, uint256 seed) external {
        for (uint256 i = 0; i <= seed % 4; ++i) {
            (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
            if (job == 0 || vm.getBlockTimestamp() > v.deadline) return;
            if (v.phase == ICliCooper.Phase.Open) _join(job, v.filled);
            else if (v.phase == ICliCooper.Phase.Labels) _release(job, v);
            else if (v.phase == ICliCooper.Phase.Commit) _commit(job, v, seed);
            else if (v.phase == ICliCooper.Phase.Review) _accept(job, v);
            else if (v.phase == ICliCooper.Phase.Refill) _refill(job, v);
            else return;
            _observe(job);
        }
    }

    function _join(uint256 job, uint8 seat) private {
        _joinAs(job, seat, _newTrainer());
    }

    function _joinAs(uint256 job, uint8 seat, address trainer) private {
        bytes32 genesis = cooper.genesisOf(job);
        uint256 value = _fund(_models[job].terms.token, trainer, _models[job].terms.stake);
        vm.prank(trainer);
        cooper.join{value: value}(job, genesis, seat, "keys");
        _joined(job, seat, trainer);
    }

    function _refill(uint256 job, ICliCooper.JobView memory v) private {
        uint8 seat;
        while (_models[job].holder[seat] != address(0)) ++seat;
        address trainer = _newTrainer();
        vm.prank(OWNER);
        cooper.nameReplacement(job, v.head, seat, trainer);
        _joinAs(job, seat, trainer);
    }

    function _release(uint256 job, ICliCooper.JobView memory v) private {
        vm.prank(OWNER);
        cooper.releaseLabels(job, key(v.round, v.rounds));
        _keyOut(job);
    }

    function _accept(uint256 job, ICliCooper.JobView memory v) private {
        vm.prank(OWNER);
        cooper.accept(job, v.head, key(v.round + 1, v.rounds));
        _accepted(job);
        _keyOut(job);
    }

    function _keyOut(uint256 job) private {
        Model storage m = _models[job];
        ++m.keys;
        if (m.round == m.terms.rounds) _ended(job, false);
    }

    /// @dev By the seat itself, or a run of signed commitments sent by a stranger.
    function _commit(uint256 job, ICliCooper.JobView memory v, uint256 seed) private {
        (bytes32 manifest, bytes32 mark) = (bytes32(seed), keccak256(abi.encode(seed)));
        if (seed % 2 == 0) {
            vm.prank(_models[job].holder[v.turn]);
            cooper.commit(job, v.head, manifest, mark);
            _committed(job, v.turn, manifest, mark);
            return;
        }
        uint256 count = 1 + seed / 2 % (v.seats - v.turn);
        ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](count);
        bytes[] memory signatures = new bytes[](count);
        for (uint8 i = 0; i < count; ++i) {
            commits[i] = ICliCooper.Contents(manifest, mark);
            signatures[i] = _sign(job, v.turn + i, _models[job].head, commits[i]);
            _committed(job, v.turn + i, manifest, mark);
        }
        vm.prank(STRANGER);
        cooper.commitRound(job, v.head, commits, signatures);
    }

    /* DISPUTES */

    function challenge(uint256 pick, uint256 seed) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || vm.getBlockTimestamp() > v.deadline) return;
        if (v.phase != ICliCooper.Phase.Commit && v.phase != ICliCooper.Phase.Review) return;
        uint8 accused = seed % 4 == 0 ? 255 : uint8(seed % v.seats);
        uint256 bond = cooper.bondDue(job);
        uint256 value = _fund(v.token, CHALLENGER, bond);
        vm.prank(CHALLENGER);
        cooper.challenge{value: value}(job, v.head, accused, ICliCooper.Ground(seed / 8 % 2), bytes32(seed));
        _challenged(job, accused, bond);
        _observe(job);
    }

    function rule(uint256 pick, uint256 seed) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || v.phase != ICliCooper.Phase.Arbitration || vm.getBlockTimestamp() > v.deadline) return;
        ICliCooper.ChallengeView memory c = cooper.challengeOf(job);
        if (c.ground == ICliCooper.Ground.Withheld && vm.getBlockTimestamp() <= v.deadline - 300) {
            vm.warp(v.deadline - 299);
        }
        vm.prank(ARBITER);
        cooper.rule(job, c.id, seed % 2 == 0);
        _ruled(job, seed % 2 == 0);
        _observe(job);
    }

    function equivocate(uint256 pick, uint256 seed) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        uint8 seat = uint8(seed % 4);
        if (job == 0 || seed / 4 % 2 != 0 || _models[job].holder[seat] == address(0)) return;
        bool possible = v.phase >= ICliCooper.Phase.Commit && v.phase <= ICliCooper.Phase.Arbitration;
        ICliCooper.Contents[2] memory contents =
            [ICliCooper.Contents(bytes32(seed), 0), ICliCooper.Contents(bytes32(seed), bytes32(uint256(1)))];
        bytes[2] memory signatures = [_sign(job, seat, v.head, contents[0]), _sign(job, seat, v.head, contents[1])];
        bool accused = v.phase == ICliCooper.Phase.Arbitration && _models[job].accused == seat;
        vm.prank(seed / 8 % 2 == 0 ? REPORTER : _models[job].holder[seat]);
        if (!possible) {
            (bool done,) = address(cooper)
                .call(abi.encodeCall(cooper.proveEquivocation, (job, v.round, seat, v.head, contents, signatures)));
            settledRoundReopened = settledRoundReopened || done;
            return;
        }
        cooper.proveEquivocation(job, v.round, seat, v.head, contents, signatures);
        if (accused) _lapsed(job, false);
        _equivocated(job, seat, accused ? CHALLENGER : seed / 8 % 2 == 0 ? REPORTER : _models[job].holder[seat]);
        _observe(job);
    }

    /* ENDS */

    /// @notice The owner ends the job where it may; rarely, or few jobs would get far.
    function giveUp(uint256 pick, uint8 mood) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || mood % 16 != 0 || vm.getBlockTimestamp() > v.deadline) return;
        bool early = v.phase == ICliCooper.Phase.Open || (v.phase == ICliCooper.Phase.Labels && v.round == 0);
        if (!early && v.phase != ICliCooper.Phase.Refill) return;
        vm.prank(OWNER);
        if (early) cooper.cancel(job);
        else cooper.abort(job);
        _ended(job, false);
        _observe(job);
    }

    /// @notice Whoever is due keeps silent.
    function expire(uint256 pick, uint8 mood) external {
        (uint256 job,) = _pick(pick);
        if (job != 0 && mood % 4 == 0) timeOut(job);
    }

    function timeOut(uint256 job) public {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        if (v.deadline == 0) return;
        bool reviewed =
            v.phase == ICliCooper.Phase.Arbitration && cooper.challengeOf(job).interrupted == ICliCooper.Phase.Review;
        if (vm.getBlockTimestamp() <= v.deadline) vm.warp(v.deadline + 1);
        vm.prank(STRANGER);
        cooper.resolveTimeout(job);
        if (v.phase == ICliCooper.Phase.Commit) _silent(job, v.turn);
        else if (v.phase == ICliCooper.Phase.Review) _accepted(job);
        else if (v.phase == ICliCooper.Phase.Labels) _ended(job, true);
        else if (v.phase != ICliCooper.Phase.Arbitration) _ended(job, false);
        else _lapsed(job, true);
        if (reviewed) _accepted(job);
        _observe(job);
    }

    function withdraw(uint256 pick, uint256 who) external {
        (uint256 job,) = _pick(pick);
        if (job != 0) take(job, _models[job].people[who % _models[job].people.length]);
    }

    function take(uint256 job, address account) public {
        uint256 due = cooper.owedTo(job, account);
        if (due == 0 || account == BURNED) return;
        address token = _models[job].terms.token;
        uint256 before = _balance(token, account);
        vm.prank(account);
        cooper.withdraw(job);
        uint256 amount = _balance(token, account) - before;
        paidOtherThanOwed = paidOtherThanOwed || amount != due || amount != owed[job][account];
        _withdrew(job, account, amount);
        _observe(job);
    }

    function pass(uint16 time) external {
        vm.warp(vm.getBlockTimestamp() + time % 90);
    }

    /// @notice Ether that no rule accounts for, as a self-destructing contract would leave it.
    function force(uint64 amount) external {
        donated += amount;
        vm.deal(address(cooper), address(cooper).balance + amount);
    }

    /* WHAT MUST FAIL */

    /// @notice Everything that is somebody else's business, tried by a stranger and, where it is late, by all.
    function meddle(uint256 pick, uint256 seed) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0) return;
        bytes32 next = key(v.round, v.rounds);
        bytes[7] memory calls = [
            abi.encodeCall(cooper.cancel, (job)),
            abi.encodeCall(cooper.abort, (job)),
            abi.encodeCall(cooper.releaseLabels, (job, next)),
            abi.encodeCall(cooper.accept, (job, v.head, key(v.round + 1, v.rounds))),
            abi.encodeCall(cooper.commit, (job, v.head, 0, 0)),
            abi.encodeCall(cooper.nameReplacement, (job, v.head, v.turn, STRANGER)),
            abi.encodeCall(cooper.rule, (job, _openChallenge(job, v), true))
        ];
        bytes memory data = calls[seed % 7];
        strangerObeyed =
            strangerObeyed || _try(STRANGER, data) || _try(STRANGER, abi.encodeCall(cooper.withdraw, (job)));
        if (vm.getBlockTimestamp() > v.deadline) {
            address rightful = seed % 7 == 6 ? ARBITER : seed % 7 == 4 ? _models[job].holder[v.turn] : OWNER;
            lateActionTaken = lateActionTaken || _try(rightful, data);
        } else {
            earlyTimeoutTaken = earlyTimeoutTaken || _try(STRANGER, abi.encodeCall(cooper.resolveTimeout, (job)));
        }
        _meddleStale(job, v);
    }

    function _meddleStale(uint256 job, ICliCooper.JobView memory v) private {
        bytes32 stale = keccak256(abi.encode(v.head));
        bytes[4] memory calls = [
            abi.encodeCall(cooper.commit, (job, stale, 0, 0)),
            abi.encodeCall(cooper.accept, (job, stale, key(v.round + 1, v.rounds))),
            abi.encodeCall(cooper.challenge, (job, stale, 0, ICliCooper.Ground.Fault, 0)),
            abi.encodeCall(cooper.rule, (job, stale, true))
        ];
        address[4] memory callers = [_models[job].holder[v.turn], OWNER, CHALLENGER, ARBITER];
        for (uint256 i = 0; i < 4; ++i) {
            staleCallTaken = staleCallTaken || _try(callers[i], calls[i]);
        }
    }

    function _try(address from, bytes memory data) private returns (bool done) {
        vm.prank(from);
        (done,) = address(cooper).call(data);
    }

    function _openChallenge(uint256 job, ICliCooper.JobView memory v) private view returns (bytes32) {
        return v.phase == ICliCooper.Phase.Arbitration ? cooper.challengeOf(job).id : bytes32(0);
    }

    /* WATCHING */

    function _observe(uint256 job) private {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        wrongEdge = wrongEdge || !_edge(phaseBefore[job], v.phase);
        roundWentBack = roundWentBack || v.round < roundBefore[job] || v.round > v.rounds;
        uint256 burned = cooper.owedTo(job, BURNED);
        burnedMoneyCameBack = burnedMoneyCameBack || burned < burnedBefore[job];
        (phaseBefore[job], roundBefore[job], burnedBefore[job]) = (v.phase, v.round, burned);
    }

    /// @dev The drawing of the state machine: from each phase the set of those that one call may lead to.
    function _edge(ICliCooper.Phase from, ICliCooper.Phase to) private pure returns (bool) {
        uint16[10] memory next;
        next[uint256(ICliCooper.Phase.None)] = 1 << 1;
        next[uint256(ICliCooper.Phase.Open)] = 1 << 2 | 1 << 8;
        next[uint256(ICliCooper.Phase.Labels)] = 1 << 3 | 1 << 7 | 1 << 8 | 1 << 9;
        next[uint256(ICliCooper.Phase.Commit)] = 1 << 4 | 1 << 5 | 1 << 6;
        next[uint256(ICliCooper.Phase.Review)] = 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7;
        next[uint256(ICliCooper.Phase.Refill)] = 1 << 3 | 1 << 9;
        next[uint256(ICliCooper.Phase.Arbitration)] = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9;
        return from == to || next[uint256(from)] & 1 << uint256(to) != 0;
    }

    /* TOOLS */

    function _pick(uint256 pick) private view returns (uint256 job, ICliCooper.JobView memory v) {
        if (cooper.jobCount() == 0) return (0, v);
        job = 1 + pick % cooper.jobCount();
        v = cooper.jobOf(job);
    }

    function _newTrainer() private returns (address trainer) {
        uint256 secret = uint256(keccak256(abi.encode("trainer", ++trainers)));
        trainer = vm.addr(secret);
        secretOf[trainer] = secret;
    }

    function _sign(uint256 job, uint8 seat, bytes32 head, ICliCooper.Contents memory c)
        private
        view
        returns (bytes memory)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("CliCooper"),
                keccak256("1"),
                block.chainid,
                address(cooper)
            )
        );
        bytes32 struct_ = keccak256(
            abi.encode(COMMIT_TYPEHASH, job, _models[job].round, seat, head, c.manifestDigest, c.markCommitment)
        );
        uint256 secret = secretOf[_models[job].holder[seat]];
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, keccak256(abi.encodePacked(hex"1901", domain, struct_)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev Gives the account what it is about to lock; returns what to send along.
    function _fund(address token, address account, uint256 amount) private returns (uint256 value) {
        if (token == address(0)) {
            vm.deal(account, account.balance + amount);
            return amount;
        }
        ZooToken(token).mint(account, amount);
        vm.prank(account);
        ZooToken(token).approve(address(cooper), amount);
    }

    function _balance(address token, address account) private view returns (uint256) {
        return token == address(0) ? account.balance : ZooToken(token).balanceOf(account);
    }

    function key(uint256 round, uint256 rounds) public pure returns (bytes32 k) {
        k = keccak256("last label key");
        for (uint256 i = rounds; i > round; --i) {
            k = _opens(k);
        }
    }

    function _opens(bytes32 k) private pure returns (bytes32) {
        return keccak256(abi.encode(k));
    }
}

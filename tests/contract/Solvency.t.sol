// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CliCooper} from "../../contracts/CliCooper.sol";
import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";
import {Vm} from "./Vm.sol";

/// @notice Plays every role of up to four jobs at random: mostly the step that is due, sometimes silence.
/// @dev Keeps its own books from outside: per job what went in and what came out.
contract Player {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 public constant MAX_JOBS = 4;
    address public constant OWNER = address(0x0a11ce);
    address private constant ARBITER = address(0xa4b);

    CliCooper public immutable cooper;
    mapping(uint256 job => uint256) public paidIn;
    mapping(uint256 job => uint256) public paidOut;
    mapping(uint256 job => ICliCooper.Params) private terms;
    mapping(bytes32 head => bool) private seen;
    bool public headRepeated;
    bool public paidTooMuch;

    constructor(CliCooper cooper_) {
        cooper = cooper_;
    }

    /* ACTIONS */

    function create(uint96 pay, uint96 extra, uint8 seats, uint8 rounds) external {
        if (cooper.jobCount() == MAX_JOBS) return;
        ICliCooper.Params memory p;
        (p.seats, p.rounds) = (2 + seats % 4, 1 + rounds % 3);
        (p.pay, p.challengeBond, p.arbiterFee) = (pay % 1e18, 1e9 + extra % 1e17, extra % 1e9);
        p.stake = 2 * p.challengeBond + p.arbiterFee + extra % 1e18;
        p.ownerBond = p.pay * p.seats + p.arbiterFee + extra % 1e12;
        p.silencePenalty = p.stake / 3;
        (p.joinWindow, p.labelWindow, p.trainWindow) = (100, 200, 300);
        (p.turnWindow, p.reviewWindow, p.arbitrationWindow) = (400, 500, 600);
        (p.arbiter, p.labelAnchor) = (ARBITER, _opens(key(0, p.rounds)));
        uint256 escrow = uint256(p.pay) * p.seats * p.rounds + p.ownerBond;
        vm.deal(OWNER, OWNER.balance + escrow);
        vm.prank(OWNER);
        uint256 job = cooper.createJob{value: escrow}(p);
        (paidIn[job], terms[job]) = (escrow, p);
        seen[cooper.genesisOf(job)] = true;
    }

    /// @notice Takes one to four of the steps that are due in the job's phases.
    function advance(uint256 pick, uint8 steps) external {
        for (uint256 i = 0; i <= steps % 4; ++i) {
            _advance(pick);
        }
    }

    function _advance(uint256 pick) private {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || vm.getBlockTimestamp() > v.deadline) return;
        if (v.phase == ICliCooper.Phase.Open) _join(job, v);
        else if (v.phase == ICliCooper.Phase.Labels) _release(job, v);
        else if (v.phase == ICliCooper.Phase.Commit) _commit(job, v);
        else if (v.phase == ICliCooper.Phase.Review) _accept(job, v);
    }

    /// @notice The owner ends the job where it may; rarely, or few jobs would get far.
    function giveUp(uint256 pick, uint8 mood) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || mood % 16 != 0 || vm.getBlockTimestamp() > v.deadline) return;
        bool beforeKey0 = v.phase == ICliCooper.Phase.Open || (v.phase == ICliCooper.Phase.Labels && v.round == 0);
        vm.prank(OWNER);
        if (beforeKey0) cooper.cancel(job);
        else if (v.phase == ICliCooper.Phase.Refill) cooper.abort(job);
        else cooper.jobOf(job);
    }

    /// @notice Whoever is due keeps silent.
    function expire(uint256 pick, uint8 mood) external {
        (uint256 job, ICliCooper.JobView memory v) = _pick(pick);
        if (job == 0 || v.deadline == 0 || mood % 4 != 0) return;
        if (vm.getBlockTimestamp() <= v.deadline) vm.warp(v.deadline + 1);
        cooper.resolveTimeout(job);
    }

    function withdraw(uint256 pick, uint8 who) external {
        (uint256 job,) = _pick(pick);
        if (job != 0) take(job, who % 6 == 5 ? OWNER : trainer(job, who % 6));
    }

    function pass(uint16 time) external {
        vm.warp(vm.getBlockTimestamp() + time % 90);
    }

    /* SETTLING */

    function take(uint256 job, address account) public {
        uint256 due = cooper.owedTo(job, account);
        if (due == 0) return;
        uint256 before = account.balance;
        vm.prank(account);
        cooper.withdraw(job);
        paidOut[job] += account.balance - before;
        paidTooMuch = paidTooMuch || account.balance - before != due || paidOut[job] > paidIn[job];
    }

    /* BOOKS */

    /// @notice What everybody together could withdraw now, the burned amount included.
    function owedToAll(uint256 job) public view returns (uint256 sum) {
        sum = cooper.owedTo(job, OWNER) + cooper.owedTo(job, 0x000000000000000000000000000000000000dEaD);
        for (uint256 seat = 0; seat < 5; ++seat) {
            sum += cooper.owedTo(job, trainer(job, seat));
        }
    }

    /// @notice What is locked for later: unearned pay, bond and stakes of a job that still runs.
    function locked(uint256 job) external view returns (uint256) {
        ICliCooper.JobView memory v = cooper.jobOf(job);
        ICliCooper.Params memory p = terms[job];
        if (v.phase >= ICliCooper.Phase.Done) return 0;
        return uint256(p.pay) * p.seats * (p.rounds - v.round) + p.ownerBond + uint256(p.stake) * v.filled;
    }

    function trainer(uint256 job, uint256 seat) public pure returns (address) {
        return address(uint160(0x700000 + job * 256 + seat));
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

    /* STEPS */

    function _pick(uint256 pick) private view returns (uint256 job, ICliCooper.JobView memory v) {
        if (cooper.jobCount() == 0) return (0, v);
        job = 1 + pick % cooper.jobCount();
        v = cooper.jobOf(job);
    }

    function _join(uint256 job, ICliCooper.JobView memory v) private {
        address who = trainer(job, v.filled);
        bytes32 genesis = cooper.genesisOf(job);
        uint96 stake = terms[job].stake;
        vm.deal(who, who.balance + stake);
        vm.prank(who);
        cooper.join{value: stake}(job, genesis, v.filled, "keys");
        paidIn[job] += stake;
    }

    function _release(uint256 job, ICliCooper.JobView memory v) private {
        vm.prank(OWNER);
        cooper.releaseLabels(job, key(v.round, v.rounds));
    }

    function _commit(uint256 job, ICliCooper.JobView memory v) private {
        vm.prank(trainer(job, v.turn));
        cooper.commit(job, v.head, keccak256("manifest"), keccak256("mark"));
        bytes32 head = cooper.jobOf(job).head;
        headRepeated = headRepeated || seen[head];
        seen[head] = true;
    }

    function _accept(uint256 job, ICliCooper.JobView memory v) private {
        vm.prank(OWNER);
        cooper.accept(job, v.head, key(v.round + 1, v.rounds));
    }
}

contract SolvencyTest is Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Player private player;

    function setUp() public override {
        super.setUp();
        player = new Player(cooper);
    }

    /// @dev Read by forge: what the random play consists of.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory actions = new bytes4[](6);
        (actions[0], actions[1], actions[2]) = (Player.create.selector, Player.advance.selector, Player.giveUp.selector);
        (actions[3], actions[4], actions[5]) = (Player.expire.selector, Player.withdraw.selector, Player.pass.selector);
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(player), actions);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(player);
    }

    function invariant_balance_equals_liabilities_job_by_job() public view {
        uint256 sum;
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            uint256 held = player.paidIn(job) - player.paidOut(job);
            vm.assertEq(held, player.owedToAll(job) + player.locked(job), "one job's books");
            sum += held;
        }
        vm.assertEq(address(cooper).balance, sum, "the contract's balance");
    }

    function invariant_nobody_withdraws_more_than_was_locked() public view {
        vm.assertTrue(!player.paidTooMuch(), "withdrawn more than owed");
    }

    function invariant_no_head_occurs_twice() public view {
        vm.assertTrue(!player.headRepeated(), "a head was repeated");
    }

    /// @dev From wherever play stopped, time-outs alone end every job, and withdrawals then empty it.
    function invariant_time_alone_ends_every_job_and_frees_its_money() public {
        uint256 state = vm.snapshotState();
        uint256 burned;
        for (uint256 job = 1; job <= cooper.jobCount(); ++job) {
            for (uint256 steps = 0; cooper.jobOf(job).deadline != 0; ++steps) {
                vm.assertLe(steps, 3, "a job ends within three deadlines");
                _expire(job);
            }
            player.take(job, player.OWNER());
            for (uint256 seat = 0; seat < 5; ++seat) {
                player.take(job, player.trainer(job, seat));
            }
            burned += cooper.owedTo(job, DEAD);
        }
        vm.assertEq(address(cooper).balance, burned, "only burned money remains");
        vm.revertToState(state);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Dispute, Job, MAX_SEATS, Seat} from "../types/Job.sol";

/// @title The jobs, and what every section of the contract shares: guards, transitions, books
/// @dev Documented in `ICliCooper`. Pay is lazy: a round is accepted by one counter, and what a seat earned
/// follows from it. Whatever else anybody gains is credited at once; money leaves through `withdraw` alone.
abstract contract State is ICliCooper, ReentrancyGuard {
    bytes32 private constant RESTART = keccak256("CliCooper/1/restart");
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 private constant EVICTED = type(uint256).max;

    /// @inheritdoc ICliCooper
    uint256 public jobCount;

    mapping(uint256 job => Job) internal _jobs;

    /* GUARDS */

    function _existing(uint256 job) internal view returns (Job storage j) {
        j = _jobs[job];
        if (j.phase == Phase.None) revert NoSuchJob(job);
    }

    function _in(uint256 job, Phase phase) internal view returns (Job storage j) {
        j = _existing(job);
        if (j.phase != phase) revert WrongPhase(j.phase);
    }

    function _inTime(Job storage j) internal view {
        if (block.timestamp > j.deadline) revert TooLate(block.timestamp, j.deadline);
    }

    function _onlyOwner(Job storage j) internal view {
        if (msg.sender != j.owner) revert NotOwner(msg.sender);
    }

    function _onHead(Job storage j, bytes32 head) internal view {
        if (head != j.head) revert StaleHead(head, j.head);
    }

    /// @dev Neither party of a dispute may sit on it twice: owner and arbiter hold no seat, nobody holds two.
    function _mayHoldSeat(Job storage j, address account) internal view returns (bool) {
        return account != j.owner && account != j.arbiter && j.seatNumber[account] == 0;
    }

    /// @dev Terminal phases come last in the enum.
    function _terminal(Phase phase) internal pure returns (bool) {
        return phase >= Phase.Done;
    }

    /* TRANSITIONS */

    function _enter(Job storage j, Phase phase, uint32 window) internal {
        j.phase = phase;
        j.deadline = uint64(block.timestamp + window);
    }

    /// @dev Every seat of a round commits again after a refill, so Commit always starts with seat 0.
    function _enterCommit(Job storage j) internal {
        j.turn = 0;
        _enter(j, Phase.Commit, j.trainWindow);
    }

    function _end(Job storage j, Phase phase) private {
        j.phase = phase;
        j.deadline = 0;
    }

    function _finish(Job storage j) internal {
        _end(j, Phase.Done);
    }

    function _cancel(uint256 job, Job storage j) internal {
        _end(j, Phase.Cancelled);
        emit JobCancelled(job);
    }

    /// @dev With nobody left to share it, the bond stays the owner's.
    function _abort(uint256 job, Job storage j, Abort reason) internal {
        j.bondForfeited = (reason == Abort.OwnerSilent || reason == Abort.OwnerGuilty) && j.filled != 0;
        _end(j, Phase.Aborted);
        emit JobAborted(job, reason);
    }

    /// @dev Counting the round earns every seat its pay.
    function _acceptRound(Job storage j) internal returns (uint32 round) {
        round = j.round;
        j.roundHead[round] = j.head;
        j.round = round + 1;
    }

    function _acceptByTimeout(uint256 job, Job storage j) internal {
        uint32 round = _acceptRound(j);
        _enter(j, Phase.Labels, j.labelWindow);
        emit RoundAcceptedByTimeout(job, round);
    }

    /// @dev Opens a seat. What its trainer earned stays owed; the caller says what becomes of the stake. The head
    /// moves on, so that no position of the round occurs twice. A challenge of anybody else stays open.
    function _vacate(uint256 job, Job storage j, uint8 seat, Vacancy reason) internal {
        Seat storage s = j.seat[seat];
        address trainer = s.trainer;
        j.credit[trainer] += _earned(j, s);
        j.seatNumber[trainer] = EVICTED;
        delete j.seat[seat];
        --j.filled;
        j.turn = seat;
        j.head = keccak256(abi.encode(j.head, RESTART, job, j.round, seat, trainer));

        Dispute storage d = j.dispute;
        if (j.phase == Phase.Arbitration && d.accused != seat) {
            (d.interrupted, d.remaining) = (Phase.Refill, j.joinWindow);
        } else {
            _enter(j, Phase.Refill, j.joinWindow);
        }

        emit SeatVacated(job, seat, trainer, reason);
    }

    /* BOOKS */

    function _holdsSeat(uint256 number) internal pure returns (bool) {
        return number != 0 && number != EVICTED;
    }

    function _owedTo(Job storage j, address account) internal view returns (uint256) {
        uint256 number = j.seatNumber[account];
        uint256 share = account == j.owner ? _ownerRemainder(j) : _holdsSeat(number) ? _seatDue(j, number - 1) : 0;
        return j.credit[account] + share;
    }

    function _earned(Job storage j, Seat storage s) internal view returns (uint256) {
        return s.trainer == address(0) ? 0 : uint256(j.round - s.paidRounds) * j.pay;
    }

    function _seatDue(Job storage j, uint256 seat) private view returns (uint256 due) {
        Seat storage s = j.seat[seat];
        due = _earned(j, s);
        if (_terminal(j.phase) && !s.stakeReturned) {
            due += j.stake;
            if (j.bondForfeited) due += j.ownerBond / j.filled;
        }
    }

    /// @dev The pay of the rounds that were never accepted, and the bond or the dust of its division.
    function _ownerRemainder(Job storage j) private view returns (uint256) {
        if (!_terminal(j.phase) || j.ownerSettled) return 0;
        uint256 unearned = uint256(j.pay) * j.seats * (j.rounds - j.round);
        return unearned + (j.bondForfeited ? j.ownerBond % j.filled : j.ownerBond);
    }

    /// @dev In equal parts to the seats that are held now, at most `MAX_SEATS`; the dust is the owner's.
    function _shareAmongSeats(Job storage j, uint256 amount) internal {
        uint256 share = j.filled == 0 ? 0 : amount / j.filled;
        // The remainder is what is meant.
        // slither-disable-next-line divide-before-multiply
        j.credit[j.owner] += amount - share * j.filled;
        for (uint256 seat = 0; seat < MAX_SEATS; ++seat) {
            address trainer = j.seat[seat].trainer;
            if (trainer != address(0)) j.credit[trainer] += share;
        }
    }
}

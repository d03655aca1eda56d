// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Payments} from "../libraries/Payments.sol";
import {Job} from "../types/Job.sol";
import {Disputes} from "./Disputes.sol";

/// @title Exits: what silence costs, and the one way out for money
abstract contract Exits is Disputes {
    /// @inheritdoc ICliCooper
    function abort(uint256 job) external {
        Job storage j = _in(job, Phase.Refill);
        _onlyOwner(j);
        _inTime(j);

        _abort(job, j, Abort.OwnerAborted);
    }

    /// @inheritdoc ICliCooper
    function resolveTimeout(uint256 job) external {
        Job storage j = _existing(job);
        Phase phase = j.phase;
        if (_terminal(phase)) revert WrongPhase(phase);
        if (block.timestamp <= j.deadline) revert TooEarly(block.timestamp, j.deadline);

        if (phase == Phase.Open) _cancel(job, j);
        else if (phase == Phase.Labels) _abort(job, j, Abort.OwnerSilent);
        else if (phase == Phase.Commit) _vacateSilent(job, j);
        else if (phase == Phase.Review) _acceptByTimeout(job, j);
        else if (phase == Phase.Arbitration) _lapse(job, j);
        else _abort(job, j, Abort.SeatUnfilled);
    }

    /// @inheritdoc ICliCooper
    function withdraw(uint256 job) external nonReentrant returns (uint256 amount) {
        Job storage j = _existing(job);
        amount = _owedTo(j, msg.sender);
        if (amount == 0) revert NothingOwed(msg.sender);

        bool ended = _terminal(j.phase);
        uint256 number = j.seatNumber[msg.sender];
        delete j.credit[msg.sender];
        if (msg.sender == j.owner) {
            j.ownerSettled = ended;
        } else if (_holdsSeat(number)) {
            j.seat[number - 1].paidRounds = j.round;
            j.seat[number - 1].stakeReturned = ended;
        }

        emit Withdrawn(job, msg.sender, amount);

        Payments.push(j.token, msg.sender, amount);
    }

    /// @dev Silence cannot be attributed, so its price goes to nobody.
    function _vacateSilent(uint256 job, Job storage j) private {
        uint8 seat = j.turn;
        j.credit[DEAD] += j.silencePenalty;
        j.credit[j.seat[seat].trainer] += j.stake - j.silencePenalty;
        _vacate(job, j, seat, Vacancy.Silent);
    }
}

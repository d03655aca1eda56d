// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Openings} from "./core/Openings.sol";
import {Exits} from "./core/Exits.sol";
import {Opening} from "./core/Opening.sol";
import {ICliCooper} from "./interfaces/ICliCooper.sol";
import {Dispute, Job, Seat} from "./types/Job.sol";

/// @title CliCooper
/// @notice Escrow, ordered commitments, disputes and settlement of client-cooperative split learning.
/// @dev Documented in `ICliCooper`. The sections follow the life of a job: `Opening`, `Rounds`, `Disputes`, `Exits`,
/// beside them `Openings`, below them all `State`. This file adds the views.
contract CliCooper is Opening, Exits, Openings {
    /// @inheritdoc ICliCooper
    function genesisOf(uint256 job) external view returns (bytes32) {
        return _existing(job).genesis;
    }

    /// @inheritdoc ICliCooper
    function roundHead(uint256 job, uint32 round) external view returns (bytes32) {
        return _existing(job).roundHead[round];
    }

    /// @inheritdoc ICliCooper
    function jobOf(uint256 job) external view returns (JobView memory) {
        Job storage j = _existing(job);
        return JobView({
            phase: j.phase,
            owner: j.owner,
            round: j.round,
            turn: j.turn,
            seats: j.seats,
            filled: j.filled,
            rounds: j.rounds,
            deadline: j.deadline,
            head: j.head,
            labelKey: j.labelKey,
            token: j.token,
            pay: j.pay,
            arbiter: j.arbiter
        });
    }

    /// @inheritdoc ICliCooper
    function seatOf(uint256 job, uint8 seat) external view returns (SeatView memory) {
        Job storage j = _existing(job);
        if (seat >= j.seats) revert NoSuchSeat(seat);
        Seat storage s = j.seat[seat];
        return SeatView(s.trainer, s.fromRound, _earned(j, s), s.keyRecordDigest);
    }

    /// @inheritdoc ICliCooper
    function challengeOf(uint256 job) external view returns (ChallengeView memory) {
        Dispute storage d = _in(job, Phase.Arbitration).dispute;
        return ChallengeView(d.id, d.challenger, d.bond, d.accused, d.ground, d.interrupted, d.remaining);
    }

    /// @inheritdoc ICliCooper
    function bondDue(uint256 job) external view returns (uint256) {
        return _bondDue(_existing(job));
    }

    /// @inheritdoc ICliCooper
    function owedTo(uint256 job, address account) external view returns (uint256) {
        return _owedTo(_existing(job), account);
    }
}

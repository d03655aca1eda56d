// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Payments} from "../libraries/Payments.sol";
import {Job, MAX_SEATS, Seat} from "../types/Job.sol";
import {State} from "./State.sol";

/// @title Terms, seats and replacements: everything before key 0, and the side road of a refill
abstract contract Opening is State {
    bytes32 private constant TAG = keccak256("CliCooper/1");
    uint256 private constant MIN_SEATS = 2;
    uint256 private constant MAX_WINDOW = 90 days;
    uint256 private constant MAX_KEY_RECORD = 512;

    /// @inheritdoc ICliCooper
    function createJob(Params calldata params) external payable nonReentrant returns (uint256 job) {
        _validate(params);

        job = ++jobCount;
        Job storage j = _jobs[job];
        _storeTerms(j, params);
        bytes32 genesis =
            keccak256(abi.encode(TAG, block.chainid, address(this), job, msg.sender, keccak256(abi.encode(params))));
        (j.genesis, j.head) = (genesis, genesis);
        j.owner = msg.sender;
        _enter(j, Phase.Open, params.joinWindow);

        emit JobCreated(job, msg.sender, params);

        Payments.pull(params.token, uint256(params.pay) * params.seats * params.rounds + params.ownerBond);
    }

    /// @inheritdoc ICliCooper
    function cancel(uint256 job) external {
        Job storage j = _existing(job);
        Phase phase = j.phase;
        if (phase != Phase.Open && (phase != Phase.Labels || j.round != 0)) revert WrongPhase(phase);
        _onlyOwner(j);
        _inTime(j);

        _cancel(job, j);
    }

    /// @inheritdoc ICliCooper
    function join(uint256 job, bytes32 genesis, uint8 seat, bytes calldata keyRecord) external payable nonReentrant {
        Job storage j = _existing(job);
        Phase phase = j.phase;
        if (phase != Phase.Open && phase != Phase.Refill) revert WrongPhase(phase);
        if (genesis != j.genesis) revert WrongGenesis(genesis, j.genesis);
        _inTime(j);
        _vacant(j, seat);
        if (!_mayJoin(j, seat)) revert NotAllowed(msg.sender);
        if (keyRecord.length > MAX_KEY_RECORD) revert KeyRecordTooLong(keyRecord.length);

        j.seat[seat] = Seat(msg.sender, j.round, j.round, false, sha256(keyRecord));
        j.seatNumber[msg.sender] = uint256(seat) + 1;
        if (++j.filled == j.seats) {
            if (phase == Phase.Open) _enter(j, Phase.Labels, j.labelWindow);
            else _enterCommit(j);
        }

        emit SeatJoined(job, seat, msg.sender, keyRecord);

        Payments.pull(j.token, j.stake);
    }

    /// @inheritdoc ICliCooper
    function nameReplacement(uint256 job, bytes32 head, uint8 seat, address trainer) external {
        Job storage j = _in(job, Phase.Refill);
        _onlyOwner(j);
        _inTime(j);
        _onHead(j, head);
        _vacant(j, seat);
        if (trainer == address(0) || !_mayHoldSeat(j, trainer)) revert NotAllowed(trainer);

        j.allowed[seat] = trainer;

        emit ReplacementNamed(job, seat, trainer);
    }

    function _vacant(Job storage j, uint8 seat) private view {
        if (seat >= j.seats) revert NoSuchSeat(seat);
        if (j.seat[seat].trainer != address(0)) revert SeatTaken(seat);
    }

    /// @dev In Refill the evicted holder may still be the allowed one; it holds its eviction, so it cannot return.
    function _mayJoin(Job storage j, uint8 seat) private view returns (bool) {
        address only = j.allowed[seat];
        bool free = only == address(0) && j.phase == Phase.Open;
        return (free || only == msg.sender) && _mayHoldSeat(j, msg.sender);
    }

    function _validate(Params calldata p) private view {
        if (p.token != address(0) && p.token.code.length == 0) revert UnsupportedToken(p.token);
        if (p.seats < MIN_SEATS || p.seats > MAX_SEATS) revert InvalidParams("seats");
        if (p.rounds == 0) revert InvalidParams("rounds");
        _validateWindow(p.joinWindow, "joinWindow");
        _validateWindow(p.labelWindow, "labelWindow");
        _validateWindow(p.trainWindow, "trainWindow");
        _validateWindow(p.turnWindow, "turnWindow");
        _validateWindow(p.reviewWindow, "reviewWindow");
        _validateWindow(p.arbitrationWindow, "arbitrationWindow");
        if (p.ownerBond < uint256(p.pay) * p.seats + p.arbiterFee) revert InvalidParams("ownerBond");
        // A challenge that fails pays the arbiter; one that is free could hold the job for ever.
        if (p.challengeBond == 0 || p.challengeBond < p.arbiterFee) revert InvalidParams("challengeBond");
        if (p.stake < 2 * uint256(p.challengeBond) + p.arbiterFee) revert InvalidParams("stake");
        if (p.silencePenalty > p.stake) revert InvalidParams("silencePenalty");
        if (p.arbiter == address(0) || p.arbiter == msg.sender) revert InvalidParams("arbiter");
        if (p.allowList.length != 0 && p.allowList.length != p.seats) revert InvalidParams("allowList");
    }

    function _validateWindow(uint32 window, string memory field) private pure {
        if (window == 0 || window > MAX_WINDOW) revert InvalidParams(field);
    }

    function _storeTerms(Job storage j, Params calldata p) private {
        (j.seats, j.rounds) = (p.seats, p.rounds);
        (j.trainWindow, j.turnWindow, j.reviewWindow) = (p.trainWindow, p.turnWindow, p.reviewWindow);
        (j.joinWindow, j.labelWindow, j.arbitrationWindow) = (p.joinWindow, p.labelWindow, p.arbitrationWindow);
        (j.pay, j.stake, j.ownerBond) = (p.pay, p.stake, p.ownerBond);
        (j.challengeBond, j.arbiterFee, j.silencePenalty) = (p.challengeBond, p.arbiterFee, p.silencePenalty);
        (j.token, j.arbiter, j.labelKey) = (p.token, p.arbiter, p.labelAnchor);
        for (uint256 i = 0; i < p.allowList.length; ++i) {
            j.allowed[i] = p.allowList[i];
        }
    }
}

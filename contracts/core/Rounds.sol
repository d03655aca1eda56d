// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Job, Position} from "../types/Job.sol";
import {State} from "./State.sol";

/// @title Rounds: labels, commitments in the order of the seats, acceptance
abstract contract Rounds is State {
    // keccak256("Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32 manifestDigest,bytes32 markCommitment)")
    bytes32 private constant COMMIT_TYPEHASH = 0x6afb7163df024a80537403451072e1de1736c39717bd0980c8b501d22cb7db9a;

    /// @inheritdoc ICliCooper
    function releaseLabels(uint256 job, bytes32 key) external {
        Job storage j = _in(job, Phase.Labels);
        _onlyOwner(j);
        _inTime(j);

        _reveal(j, key);
        _startRound(j);

        emit LabelsReleased(job, j.round, key);
    }

    /// @inheritdoc ICliCooper
    function commit(uint256 job, bytes32 head, bytes32 manifestDigest, bytes32 markCommitment) external {
        Job storage j = _in(job, Phase.Commit);
        _inTime(j);
        uint8 seat = j.turn;
        if (msg.sender != j.seat[seat].trainer) revert NotYourTurn(msg.sender, seat);
        _onHead(j, head);

        uint32 round = j.round;
        Position memory at = Position(job, round, seat, head);
        _advance(j, _nextHead(at, msg.sender, manifestDigest, markCommitment), seat + 1);

        emit Committed(job, round, seat, manifestDigest, markCommitment);
    }

    /// @inheritdoc ICliCooper
    function commitRound(uint256 job, bytes32 head, Contents[] calldata commits, bytes[] calldata signatures) external {
        Job storage j = _in(job, Phase.Commit);
        _inTime(j);
        _onHead(j, head);
        Position memory at = Position(job, j.round, j.turn, head);
        if (commits.length == 0 || commits.length > j.seats - at.seat) revert WrongLength(commits.length);
        if (commits.length != signatures.length) revert WrongLength(signatures.length);

        bytes32 domain = Signatures.domain("CliCooper");
        for (uint256 i = 0; i < commits.length; ++i) {
            Contents calldata c = commits[i];
            address trainer = j.seat[at.seat].trainer;
            if (!_signed(domain, at, trainer, c, signatures[i])) revert BadSignature(trainer);
            emit Committed(job, at.round, at.seat, c.manifestDigest, c.markCommitment);
            at.head = _nextHead(at, trainer, c.manifestDigest, c.markCommitment);
            ++at.seat;
        }
        _advance(j, at.head, at.seat);
    }

    /// @inheritdoc ICliCooper
    function accept(uint256 job, bytes32 head, bytes32 labelKey) external {
        Job storage j = _in(job, Phase.Review);
        _onlyOwner(j);
        _inTime(j);
        _onHead(j, head);

        _reveal(j, labelKey);
        uint32 round = _acceptRound(j);
        _startRound(j);

        emit RoundAccepted(job, round, labelKey);
    }

    function _advance(Job storage j, bytes32 head, uint8 next) private {
        j.head = head;
        if (next < j.seats) {
            j.turn = next;
            j.deadline = uint64(block.timestamp + j.turnWindow);
        } else {
            j.turn = 0;
            _enter(j, Phase.Review, j.reviewWindow);
        }
    }

    function _nextHead(Position memory at, address trainer, bytes32 manifestDigest, bytes32 markCommitment)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(at.head, at.job, at.round, at.seat, trainer, manifestDigest, markCommitment));
    }

    /// @dev Whether the trainer signed these contents for this position.
    function _signed(bytes32 domain, Position memory at, address trainer, Contents calldata c, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        bytes32 structHash = keccak256(
            abi.encode(COMMIT_TYPEHASH, at.job, at.round, at.seat, at.head, c.manifestDigest, c.markCommitment)
        );
        return Signatures.isValid(trainer, Signatures.digest(domain, structHash), signature);
    }

    /// @dev The key must open the one before it, so the whole chain was fixed when the job was created.
    function _reveal(Job storage j, bytes32 key) private {
        if (keccak256(abi.encode(key)) != j.labelKey) revert WrongLabelKey(key);
        j.labelKey = key;
    }

    /// @dev The key after the last round ends the job: it seeds that round's audit sample and starts nothing.
    function _startRound(Job storage j) private {
        if (j.round == j.rounds) _finish(j);
        else _enter(j, Phase.Commit, j.trainWindow);
    }
}

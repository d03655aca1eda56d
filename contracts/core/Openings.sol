// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Job, Position} from "../types/Job.sol";
import {Rounds} from "./Rounds.sol";

/// @title Openings of what was committed: mark keys and transcript steps
/// @dev Records and checks; it never judges a suspect.
abstract contract Openings is Rounds {
    /// @inheritdoc ICliCooper
    function openMark(
        uint256 job,
        uint32 round,
        uint8 seat,
        bytes32 headStart,
        OpenedCommit[] calldata commits,
        bytes32 progressKeyHash,
        bytes32 ownershipKey,
        bytes32 suspectDigest
    ) external {
        Job storage j = _existing(job);
        if (seat >= j.seats) revert NoSuchSeat(seat);
        bytes32 roundHead = j.roundHead[round];
        if (roundHead == 0) revert RoundNotAccepted(round);
        if (commits.length != j.seats - seat) revert WrongLength(commits.length);
        if (commits[0].trainer != msg.sender) revert NotCommitted(msg.sender);
        bytes32 ends = _headAfter(Position(job, round, seat, headStart), commits);
        if (ends != roundHead) revert StaleHead(ends, roundHead);
        bytes32 markCommitment = keccak256(abi.encode(progressKeyHash, keccak256(abi.encode(ownershipKey))));
        if (markCommitment != commits[0].markCommitment) revert WrongMarkKeys(markCommitment);
        uint256 opened = j.marksOpened[round];
        if (opened >> seat & 1 != 0) revert MarkAlreadyOpened(round, seat);

        j.marksOpened[round] = opened | 1 << seat;

        emit MarkOpened(job, round, seat, msg.sender, progressKeyHash, ownershipKey, suspectDigest);
    }

    /// @inheritdoc ICliCooper
    function transcriptHolds(
        bytes32 manifestDigest,
        bytes calldata prefix,
        bytes32 root,
        TranscriptStep calldata step,
        bytes32[] calldata proof
    ) external pure returns (bool) {
        if (sha256(bytes.concat(prefix, root)) != manifestDigest) return false;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(step))));
        return MerkleProof.verifyCalldata(proof, root, leaf);
    }

    function _headAfter(Position memory at, OpenedCommit[] calldata commits) private pure returns (bytes32) {
        for (uint256 i = 0; i < commits.length; ++i) {
            OpenedCommit calldata c = commits[i];
            at.head = _nextHead(at, c.trainer, c.manifestDigest, c.markCommitment);
            ++at.seat;
        }
        return at.head;
    }
}

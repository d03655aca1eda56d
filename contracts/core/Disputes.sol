// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../interfaces/ICliCooper.sol";
import {Payments} from "../libraries/Payments.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Dispute, Job, OWNER, Position} from "../types/Job.sol";
import {Rounds} from "./Rounds.sol";

/// @title Challenges, rulings and proofs of equivocation
/// @dev The arbiter decides one bit about one accused; every amount follows from the terms.
abstract contract Disputes is Rounds {
    /// @inheritdoc ICliCooper
    function challenge(uint256 job, bytes32 head, uint8 accused, Ground ground, bytes32 evidenceDigest)
        external
        payable
        nonReentrant
        returns (bytes32 challengeId)
    {
        Job storage j = _existing(job);
        Phase phase = j.phase;
        if (phase != Phase.Commit && phase != Phase.Review) revert WrongPhase(phase);
        _inTime(j);
        _onHead(j, head);
        if (accused >= j.seats && accused != OWNER) revert NoSuchSeat(accused);
        if (msg.sender == j.arbiter) revert NotAllowed(msg.sender);

        challengeId = keccak256(
            abi.encode(block.chainid, address(this), job, j.round, head, accused, msg.sender, evidenceDigest, ground)
        );
        uint96 bond = _bondDue(j);
        Dispute storage d = j.dispute;
        (d.id, d.challenger, d.bond) = (challengeId, msg.sender, bond);
        (d.interrupted, d.ground, d.accused) = (phase, ground, accused);
        d.remaining = uint32(j.deadline - block.timestamp);
        _enter(j, Phase.Arbitration, j.arbitrationWindow);

        emit Challenged(job, challengeId, msg.sender, accused, ground, bond, evidenceDigest);

        Payments.pull(j.token, bond);
    }

    /// @inheritdoc ICliCooper
    function rule(uint256 job, bytes32 challengeId, bool guilty) external {
        Job storage j = _in(job, Phase.Arbitration);
        Dispute storage d = j.dispute;
        if (msg.sender != j.arbiter) revert NotArbiter(msg.sender);
        if (challengeId != d.id) revert WrongChallenge(challengeId, d.id);
        _inTime(j);
        if (d.ground == Ground.Withheld) _afterCure(j);

        j.credit[msg.sender] += j.arbiterFee;
        emit Ruled(job, challengeId, guilty);

        if (!guilty) _dismiss(j, d);
        else if (d.accused == OWNER) _condemnOwner(job, j, d);
        else _condemnSeat(job, j, d);
    }

    /// @inheritdoc ICliCooper
    function proveEquivocation(
        uint256 job,
        uint32 round,
        uint8 seat,
        bytes32 head,
        Contents[2] calldata contents,
        bytes[2] calldata signatures
    ) external {
        Job storage j = _existing(job);
        if (j.phase < Phase.Commit || j.phase > Phase.Arbitration) revert WrongPhase(j.phase);
        if (round != j.round) revert WrongRound(round, j.round);
        if (seat >= j.seats) revert NoSuchSeat(seat);
        address trainer = j.seat[seat].trainer;
        if (trainer == address(0)) revert SeatVacant(seat);
        if (keccak256(abi.encode(contents[0])) == keccak256(abi.encode(contents[1]))) revert SameContents();
        bytes32 domain = Signatures.domain("CliCooper");
        for (uint256 i = 0; i < 2; ++i) {
            if (!_signed(domain, Position(job, round, seat, head), trainer, contents[i], signatures[i])) {
                revert BadSignature(trainer);
            }
        }

        _expel(job, j, seat);
    }

    /// @dev The reward is the reporter's; a share for the other seats would pay them for a seat that is their own.
    /// While the seat stands accused it is its challenger's, or the accused would report itself to keep it.
    function _expel(uint256 job, Job storage j, uint8 seat) private {
        bool accused = j.phase == Phase.Arbitration && j.dispute.accused == seat;
        address rewarded = accused ? j.dispute.challenger : msg.sender;
        j.credit[rewarded] += j.challengeBond;
        j.credit[DEAD] += j.stake - j.challengeBond;
        if (accused) _returnBond(job, j);

        emit EquivocationProven(job, seat, rewarded);
        _vacate(job, j, seat, Vacancy.Equivocation);
    }

    /* RULINGS */

    /// @dev Data withheld may still be published in the first half of the window, its last second included.
    function _afterCure(Job storage j) private view {
        uint256 cure = j.deadline - j.arbitrationWindow + j.arbitrationWindow / 2;
        if (block.timestamp <= cure) revert TooEarly(block.timestamp, cure);
    }

    function _dismiss(Job storage j, Dispute storage d) private {
        j.credit[DEAD] += d.bond - j.arbiterFee;
        _countFailure(j, d);
        _resume(j, d);
    }

    /// @dev The fee comes from the bond that the seats then share.
    function _condemnOwner(uint256 job, Job storage j, Dispute storage d) private {
        j.credit[d.challenger] += d.bond;
        j.ownerBond -= j.arbiterFee;
        _abort(job, j, Abort.OwnerGuilty);
    }

    function _condemnSeat(uint256 job, Job storage j, Dispute storage d) private {
        j.credit[d.challenger] += uint256(d.bond) + j.challengeBond;
        _vacate(job, j, d.accused, Vacancy.Guilty);
        _shareAmongSeats(j, uint256(j.stake) - j.challengeBond - j.arbiterFee);
    }

    /* ARBITER SILENT */

    /// @dev Counts as failed for the next bond, or challenges at no price could hold a job with a silent arbiter.
    function _lapse(uint256 job, Job storage j) internal {
        Dispute storage d = j.dispute;
        _returnBond(job, j);
        _countFailure(j, d);
        if (d.interrupted == Phase.Review) _acceptByTimeout(job, j);
        else _resume(j, d);
    }

    function _returnBond(uint256 job, Job storage j) private {
        j.credit[j.dispute.challenger] += j.dispute.bond;
        emit ChallengeLapsed(job, j.dispute.id);
    }

    /* CLOCK AND PRICE */

    /// @dev At least half a window is left, so that a challenge in the last second robs nobody of its turn.
    function _resume(Job storage j, Dispute storage d) private {
        uint32 window = _windowOf(j, d.interrupted);
        uint32 least = window - window / 2;
        _enter(j, d.interrupted, d.remaining < least ? least : d.remaining);
    }

    function _windowOf(Job storage j, Phase phase) private view returns (uint32) {
        if (phase == Phase.Review) return j.reviewWindow;
        if (phase == Phase.Refill) return j.joinWindow;
        return j.turn == 0 ? j.trainWindow : j.turnWindow;
    }

    /// @dev Doubles up to the limit of its type and stays there: it must neither overflow nor become free.
    function _bondDue(Job storage j) internal view returns (uint96) {
        Dispute storage d = j.dispute;
        uint256 bond = uint256(j.challengeBond) << (d.failedIn == j.round + 1 ? d.failed : 0);
        return bond < type(uint96).max ? uint96(bond) : type(uint96).max;
    }

    function _countFailure(Job storage j, Dispute storage d) private {
        uint32 here = j.round + 1;
        if (d.failedIn != here) (d.failedIn, d.failed) = (here, 0);
        if (d.bond != type(uint96).max) ++d.failed;
    }
}

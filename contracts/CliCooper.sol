// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ICliCooper} from "./interfaces/ICliCooper.sol";
import {Job, MAX_SEATS, Seat} from "./types/Job.sol";

/// @title CliCooper
/// @notice Escrow, ordered commitments and settlement of client-cooperative split learning.
/// @dev Documented in `ICliCooper`; sections follow the life of a job. Pay is lazy: a round is accepted by one
/// counter, and what a seat earned follows from it. Money leaves through `withdraw` alone.
contract CliCooper is ICliCooper, ReentrancyGuard {
    bytes32 private constant TAG = keccak256("CliCooper/1");
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 private constant MIN_SEATS = 2;
    uint256 private constant MAX_WINDOW = 90 days;
    uint256 private constant MAX_KEY_RECORD = 512;
    uint256 private constant EVICTED = type(uint256).max;

    /// @inheritdoc ICliCooper
    uint256 public jobCount;

    mapping(uint256 job => Job) private _jobs;

    /* OPENING */

    /// @inheritdoc ICliCooper
    function createJob(Params calldata params) external payable returns (uint256 job) {
        _validate(params);
        uint256 escrow = uint256(params.pay) * params.seats * params.rounds + params.ownerBond;
        if (msg.value != escrow) revert WrongValue(msg.value, escrow);

        job = ++jobCount;
        Job storage j = _jobs[job];
        _storeTerms(j, params);
        bytes32 genesis =
            keccak256(abi.encode(TAG, block.chainid, address(this), job, msg.sender, keccak256(abi.encode(params))));
        (j.genesis, j.head) = (genesis, genesis);
        j.owner = msg.sender;
        _enter(j, Phase.Open, params.joinWindow);

        emit JobCreated(job, msg.sender, params);
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
    function join(uint256 job, bytes32 genesis, uint8 seat, bytes calldata keyRecord) external payable {
        Job storage j = _in(job, Phase.Open);
        if (genesis != j.genesis) revert WrongGenesis(genesis, j.genesis);
        _inTime(j);
        if (seat >= j.seats) revert NoSuchSeat(seat);
        if (j.seat[seat].trainer != address(0)) revert SeatTaken(seat);
        if (!_mayJoin(j, seat)) revert NotAllowed(msg.sender);
        if (keyRecord.length > MAX_KEY_RECORD) revert KeyRecordTooLong(keyRecord.length);
        if (msg.value != j.stake) revert WrongValue(msg.value, j.stake);

        j.seat[seat] = Seat(msg.sender, j.round, j.round, false, sha256(keyRecord));
        j.seatNumber[msg.sender] = uint256(seat) + 1;
        if (++j.filled == j.seats) _enter(j, Phase.Labels, j.labelWindow);

        emit SeatJoined(job, seat, msg.sender, keyRecord);
    }

    /* ROUNDS */

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
        j.head = keccak256(abi.encode(head, job, round, seat, msg.sender, manifestDigest, markCommitment));
        if (seat + 1 < j.seats) {
            j.turn = seat + 1;
            j.deadline = uint64(block.timestamp + j.turnWindow);
        } else {
            j.turn = 0;
            _enter(j, Phase.Review, j.reviewWindow);
        }

        emit Committed(job, round, seat, manifestDigest, markCommitment);
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

    /* EXITS */

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

        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert TransferFailed(msg.sender, amount);
    }

    /* VIEWS */

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
    function owedTo(uint256 job, address account) external view returns (uint256) {
        return _owedTo(_existing(job), account);
    }

    /* GUARDS */

    function _existing(uint256 job) private view returns (Job storage j) {
        j = _jobs[job];
        if (j.phase == Phase.None) revert NoSuchJob(job);
    }

    function _in(uint256 job, Phase phase) private view returns (Job storage j) {
        j = _existing(job);
        if (j.phase != phase) revert WrongPhase(j.phase);
    }

    function _inTime(Job storage j) private view {
        if (block.timestamp > j.deadline) revert TooLate(block.timestamp, j.deadline);
    }

    function _onlyOwner(Job storage j) private view {
        if (msg.sender != j.owner) revert NotOwner(msg.sender);
    }

    function _onHead(Job storage j, bytes32 head) private view {
        if (head != j.head) revert StaleHead(head, j.head);
    }

    /// @dev Neither party of a dispute may sit on it twice: owner and arbiter hold no seat, nobody holds two.
    function _mayJoin(Job storage j, uint8 seat) private view returns (bool) {
        address only = j.allowed[seat];
        if (only != address(0) && only != msg.sender) return false;
        return msg.sender != j.owner && msg.sender != j.arbiter && j.seatNumber[msg.sender] == 0;
    }

    function _validate(Params calldata p) private view {
        if (p.token != address(0)) revert UnsupportedToken(p.token);
        if (p.seats < MIN_SEATS || p.seats > MAX_SEATS) revert InvalidParams("seats");
        if (p.rounds == 0) revert InvalidParams("rounds");
        _validateWindow(p.joinWindow, "joinWindow");
        _validateWindow(p.labelWindow, "labelWindow");
        _validateWindow(p.trainWindow, "trainWindow");
        _validateWindow(p.turnWindow, "turnWindow");
        _validateWindow(p.reviewWindow, "reviewWindow");
        _validateWindow(p.arbitrationWindow, "arbitrationWindow");
        if (p.ownerBond < uint256(p.pay) * p.seats + p.arbiterFee) revert InvalidParams("ownerBond");
        if (p.stake < 2 * uint256(p.challengeBond) + p.arbiterFee) revert InvalidParams("stake");
        if (p.silencePenalty > p.stake) revert InvalidParams("silencePenalty");
        if (p.arbiter == address(0) || p.arbiter == msg.sender) revert InvalidParams("arbiter");
        if (p.allowList.length != 0 && p.allowList.length != p.seats) revert InvalidParams("allowList");
    }

    function _validateWindow(uint32 window, string memory field) private pure {
        if (window == 0 || window > MAX_WINDOW) revert InvalidParams(field);
    }

    /* TRANSITIONS */

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

    function _enter(Job storage j, Phase phase, uint32 window) private {
        j.phase = phase;
        j.deadline = uint64(block.timestamp + window);
    }

    function _end(Job storage j, Phase phase) private {
        j.phase = phase;
        j.deadline = 0;
    }

    /// @dev The key must open the one before it, so the whole chain was fixed when the job was created.
    function _reveal(Job storage j, bytes32 key) private {
        if (keccak256(abi.encode(key)) != j.labelKey) revert WrongLabelKey(key);
        j.labelKey = key;
    }

    /// @dev The key after the last round ends the job: it seeds that round's audit sample and starts nothing.
    function _startRound(Job storage j) private {
        if (j.round == j.rounds) _end(j, Phase.Done);
        else _enter(j, Phase.Commit, j.trainWindow);
    }

    /// @dev Counting the round earns every seat its pay.
    function _acceptRound(Job storage j) private returns (uint32 round) {
        round = j.round;
        j.roundHead[round] = j.head;
        j.round = round + 1;
    }

    function _acceptByTimeout(uint256 job, Job storage j) private {
        uint32 round = _acceptRound(j);
        _enter(j, Phase.Labels, j.labelWindow);
        emit RoundAcceptedByTimeout(job, round);
    }

    /// @dev Silence cannot be attributed, so its price goes to nobody.
    function _vacateSilent(uint256 job, Job storage j) private {
        uint8 seat = j.turn;
        Seat storage s = j.seat[seat];
        address trainer = s.trainer;
        j.credit[DEAD] += j.silencePenalty;
        j.credit[trainer] += j.stake - j.silencePenalty + _earned(j, s);
        j.seatNumber[trainer] = EVICTED;
        delete j.seat[seat];
        --j.filled;
        _enter(j, Phase.Refill, j.joinWindow);
        emit SeatVacated(job, seat, trainer, Vacancy.Silent);
    }

    function _cancel(uint256 job, Job storage j) private {
        _end(j, Phase.Cancelled);
        emit JobCancelled(job);
    }

    function _abort(uint256 job, Job storage j, Abort reason) private {
        j.bondForfeited = reason == Abort.OwnerSilent;
        _end(j, Phase.Aborted);
        emit JobAborted(job, reason);
    }

    /* ACCOUNTING */

    /// @dev Terminal phases come last in the enum.
    function _terminal(Phase phase) private pure returns (bool) {
        return phase >= Phase.Done;
    }

    function _holdsSeat(uint256 number) private pure returns (bool) {
        return number != 0 && number != EVICTED;
    }

    function _owedTo(Job storage j, address account) private view returns (uint256) {
        uint256 number = j.seatNumber[account];
        uint256 share = account == j.owner ? _ownerRemainder(j) : _holdsSeat(number) ? _seatDue(j, number - 1) : 0;
        return j.credit[account] + share;
    }

    function _earned(Job storage j, Seat storage s) private view returns (uint256) {
        return s.trainer == address(0) ? 0 : uint256(j.round - s.paidRounds) * j.pay;
    }

    function _seatDue(Job storage j, uint256 seat) private view returns (uint256 due) {
        Seat storage s = j.seat[seat];
        due = _earned(j, s);
        if (_terminal(j.phase) && !s.stakeReturned) {
            due += j.stake;
            if (j.bondForfeited) due += j.ownerBond / j.seats;
        }
    }

    /// @dev The pay of the rounds that were never accepted, and the bond or the dust of its division.
    function _ownerRemainder(Job storage j) private view returns (uint256) {
        if (!_terminal(j.phase) || j.ownerSettled) return 0;
        uint256 unearned = uint256(j.pay) * j.seats * (j.rounds - j.round);
        return unearned + (j.bondForfeited ? j.ownerBond % j.seats : j.ownerBond);
    }
}

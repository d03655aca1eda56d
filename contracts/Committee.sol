// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ICliCooper} from "./interfaces/ICliCooper.sol";
import {ICommittee} from "./interfaces/ICommittee.sol";
import {Payments} from "./libraries/Payments.sol";
import {Signatures} from "./libraries/Signatures.sol";

/// @title Committee
/// @dev Documented in `ICommittee`. It can vote, collect and pay; it holds nothing but fees and has no owner.
contract Committee is ICommittee, ReentrancyGuard {
    // keccak256("Ruling(uint256 job,bytes32 challengeId,bool guilty)")
    bytes32 private constant RULING_TYPEHASH = 0x0f5853f53a211748a2625ef40d04568379918c8c5bef3bddaac847e5aef59958;
    uint256 private constant MAX_MEMBERS = 32;

    /// @inheritdoc ICommittee
    ICliCooper public immutable cooper;

    /// @inheritdoc ICommittee
    uint256 public immutable threshold;

    address[] private _members;
    mapping(address account => bool) private _isMember;
    mapping(bytes32 question => mapping(address member => bool)) private _voted;
    mapping(bytes32 question => mapping(bool guilty => uint256)) private _votes;
    mapping(address token => uint256) private _paid;
    mapping(address token => mapping(address member => uint256)) private _paidTo;

    constructor(ICliCooper cooper_, address[] memory members_, uint256 threshold_) {
        if (threshold_ == 0 || threshold_ > members_.length || members_.length > MAX_MEMBERS) {
            revert InvalidCommittee();
        }
        for (uint256 i = 0; i < members_.length; ++i) {
            if (members_[i] == address(0) || _isMember[members_[i]]) revert InvalidCommittee();
            _isMember[members_[i]] = true;
        }
        (cooper, threshold, _members) = (cooper_, threshold_, members_);
    }

    /// @dev Fees in the native coin arrive by `collect`; whatever else arrives is shared alike.
    receive() external payable {}

    /* VOTES */

    /// @inheritdoc ICommittee
    function vote(uint256 job, bytes32 challengeId, bool guilty) external {
        if (!_isMember[msg.sender]) revert NotMember(msg.sender);
        if (_count(job, challengeId, guilty, msg.sender) == threshold) cooper.rule(job, challengeId, guilty);
    }

    /// @inheritdoc ICommittee
    function ruleBySignatures(
        uint256 job,
        bytes32 challengeId,
        bool guilty,
        address[] calldata voters,
        bytes[] calldata signatures
    ) external {
        if (voters.length != signatures.length) revert WrongLength(signatures.length);
        bytes32 digest = Signatures.digest(
            Signatures.domain("CliCooperCommittee"), keccak256(abi.encode(RULING_TYPEHASH, job, challengeId, guilty))
        );
        for (uint256 i = 0; i < voters.length; ++i) {
            if (!_isMember[voters[i]]) revert NotMember(voters[i]);
            if (!Signatures.isValid(voters[i], digest, signatures[i])) revert BadSignature(voters[i]);
            _count(job, challengeId, guilty, voters[i]);
        }
        uint256 votes = votesFor(job, challengeId, guilty);
        if (votes < threshold) revert TooFewVotes(votes, threshold);

        cooper.rule(job, challengeId, guilty);
    }

    /// @inheritdoc ICommittee
    function votesFor(uint256 job, bytes32 challengeId, bool guilty) public view returns (uint256) {
        return _votes[_question(job, challengeId)][guilty];
    }

    function _question(uint256 job, bytes32 challengeId) private pure returns (bytes32) {
        return keccak256(abi.encode(job, challengeId));
    }

    function _count(uint256 job, bytes32 challengeId, bool guilty, address member) private returns (uint256 votes) {
        bytes32 question = _question(job, challengeId);
        if (_voted[question][member]) revert AlreadyVoted(member);
        _voted[question][member] = true;
        votes = ++_votes[question][guilty];
        emit Voted(job, challengeId, member, guilty);
    }

    /* FEES */

    /// @inheritdoc ICommittee
    function collect(uint256 job) external returns (uint256 amount) {
        return cooper.withdraw(job);
    }

    /// @inheritdoc ICommittee
    function withdraw(address token) external nonReentrant returns (uint256 amount) {
        amount = owedTo(token, msg.sender);
        // Forced coin only adds to what is owed.
        // slither-disable-next-line incorrect-equality
        if (amount == 0) revert NothingOwed(msg.sender);
        _paid[token] += amount;
        _paidTo[token][msg.sender] += amount;

        emit Paid(token, msg.sender, amount);

        Payments.push(token, msg.sender, amount);
    }

    /// @inheritdoc ICommittee
    function owedTo(address token, address member) public view returns (uint256) {
        if (!_isMember[member]) return 0;
        uint256 held = token == address(0) ? address(this).balance : IERC20(token).balanceOf(address(this));
        return (held + _paid[token]) / _members.length - _paidTo[token][member];
    }

    /* VIEWS */

    /// @inheritdoc ICommittee
    function members() external view returns (address[] memory) {
        return _members;
    }
}

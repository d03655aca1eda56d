// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "./ICliCooper.sol";

/// @title Committee: an m-of-n arbiter for one CliCooper contract
/// @notice Members and threshold are fixed at deployment. Members vote on chain or sign their votes for anybody to
/// send; the threshold-th equal vote forwards the ruling. Fees are shared equally among all members.
/// @dev A challenge id binds chain, contract, job, round, head, accused and evidence, so a vote cannot be moved to
/// another question. A vote is final.
interface ICommittee {
    /// @notice A member's vote, cast or signed.
    event Voted(uint256 indexed job, bytes32 indexed challengeId, address indexed member, bool guilty);
    /// @notice One member's share of the fees.
    event Paid(address indexed token, address indexed member, uint256 amount);

    error InvalidCommittee();
    error NotMember(address account);
    error AlreadyVoted(address member);
    error TooFewVotes(uint256 votes, uint256 threshold);
    error WrongLength(uint256 given);
    error BadSignature(address signer);
    error NothingOwed(address account);

    /// @notice Casts the caller's vote; rules if it is the last one needed.
    /// @dev Reverts as a whole where `rule` does, so a vote that cannot take effect is not spent.
    function vote(uint256 job, bytes32 challengeId, bool guilty) external;

    /// @notice Casts the votes of `voters` by their signatures, beside those already cast, and rules. Anyone may send it.
    /// @dev Each signature is over the EIP-712 struct `Ruling(uint256 job,bytes32 challengeId,bool guilty)` in the
    /// domain ("CliCooperCommittee", "1", chain id, this contract); EIP-1271 wallets may sign too.
    /// @param voters distinct members; none, where enough votes were cast before
    function ruleBySignatures(
        uint256 job,
        bytes32 challengeId,
        bool guilty,
        address[] calldata voters,
        bytes[] calldata signatures
    ) external;

    /// @notice Fetches what a job owes this committee. Anyone may send it.
    function collect(uint256 job) external returns (uint256 amount);

    /// @notice Pays the calling member its share of everything ever received in `token` (zero: the native coin).
    function withdraw(address token) external returns (uint256 amount);

    /// @notice What `withdraw` would pay this member now.
    function owedTo(address token, address member) external view returns (uint256);

    /// @notice How many members voted this way.
    function votesFor(uint256 job, bytes32 challengeId, bool guilty) external view returns (uint256);

    /// @notice The contract whose challenges this committee decides.
    function cooper() external view returns (ICliCooper);

    function members() external view returns (address[] memory);

    function threshold() external view returns (uint256);
}

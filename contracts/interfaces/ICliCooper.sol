// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title CliCooper: escrow and ordered commitments for client-cooperative split learning
/// @notice One immutable contract, many jobs. An owner locks pay and a bond, trainers lock stakes,
/// every trained segment is committed into one running hash (the head), and one transaction of the
/// owner accepts a round, earns every seat its pay and reveals the next label key.
/// @dev No admin, no pause, no proxy, no fee. Every call names the state that it was decided on.
interface ICliCooper {
    /// @notice Where a job stands. Terminal phases are Done, Cancelled and Aborted.
    enum Phase {
        None,
        Open,
        Labels,
        Commit,
        Review,
        Refill,
        Arbitration,
        Done,
        Cancelled,
        Aborted
    }

    /// @notice Why a seat became vacant.
    enum Vacancy {
        Silent,
        Guilty,
        Equivocation
    }

    /// @notice Why a job was aborted.
    enum Abort {
        OwnerSilent,
        OwnerGuilty,
        OwnerAborted,
        SeatUnfilled
    }

    /// @notice Everything that the parties agree on before anyone joins; fixed for the life of the job.
    /// @param token ERC-20 that is paid in, or the zero address for the native coin
    /// @param pay what one seat earns by one accepted round
    /// @param stake what a seat locks at `join`; at least `2 * challengeBond + arbiterFee` and `silencePenalty`
    /// @param ownerBond what the owner locks beside the pay; at least `pay * seats + arbiterFee`
    /// @param challengeBond what the first challenge of a round locks; doubles after each failed one
    /// @param arbiterFee what the arbiter earns by one ruling
    /// @param silencePenalty what is burned of a silent seat's stake
    /// @param seats 2 to 32
    /// @param rounds at least 1
    /// @param joinWindow seconds, 1 s to 90 d like every window: for filling seats, and for refilling one
    /// @param labelWindow for the owner to release a label key
    /// @param trainWindow from a round's labels to the commit of its first seat
    /// @param turnWindow from one seat's commit to the next seat's
    /// @param reviewWindow for the owner to accept a round
    /// @param arbitrationWindow for the arbiter to rule
    /// @param arbiter the only address that can rule on a challenge
    /// @param specDigest sha2-256 of the JobSpec's DAG-CBOR block
    /// @param labelAnchor `keccak256(abi.encode(key_0))`, the end of the label key chain
    /// @param allowList empty, or one address a seat; the zero address leaves that seat to anyone
    struct Params {
        address token;
        uint96 pay;
        uint96 stake;
        uint96 ownerBond;
        uint96 challengeBond;
        uint96 arbiterFee;
        uint96 silencePenalty;
        uint8 seats;
        uint32 rounds;
        uint32 joinWindow;
        uint32 labelWindow;
        uint32 trainWindow;
        uint32 turnWindow;
        uint32 reviewWindow;
        uint32 arbitrationWindow;
        address arbiter;
        bytes32 specDigest;
        bytes32 labelAnchor;
        address[] allowList;
    }

    /// @notice A job as clients see it.
    /// @param round the round in progress, counted from 0; equals `rounds` once all are accepted
    /// @param turn in Commit the seat whose commit is due; in Refill the vacant seat
    /// @param filled seats that are held now
    /// @param deadline last second at which the action of this phase is allowed; 0 in a terminal phase
    /// @param head running hash over every commitment; `genesisOf` before the first one
    /// @param labelKey the label key revealed last; `labelAnchor` before key 0
    struct JobView {
        Phase phase;
        address owner;
        uint32 round;
        uint8 turn;
        uint8 seats;
        uint8 filled;
        uint32 rounds;
        uint64 deadline;
        bytes32 head;
        bytes32 labelKey;
        address token;
        uint96 pay;
        address arbiter;
    }

    /// @notice A seat as clients see it.
    /// @param trainer the holder, or the zero address
    /// @param fromRound the first round whose pay belongs to this holder
    /// @param owed earned and not yet withdrawn
    /// @param keyRecordDigest sha2-256 of the record given at `join`
    struct SeatView {
        address trainer;
        uint32 fromRound;
        uint256 owed;
        bytes32 keyRecordDigest;
    }

    event JobCreated(uint256 indexed job, address indexed owner, Params params);
    event SeatJoined(uint256 indexed job, uint8 seat, address indexed trainer, bytes keyRecord);
    event LabelsReleased(uint256 indexed job, uint32 round, bytes32 labelKey);
    /// @notice The seat's trainer and the new head follow from the events before this one.
    event Committed(uint256 indexed job, uint32 round, uint8 seat, bytes32 manifestDigest, bytes32 markCommitment);
    /// @notice Round `round` is accepted by its owner; `labelKey` is the key of round `round + 1`.
    event RoundAccepted(uint256 indexed job, uint32 round, bytes32 labelKey);
    /// @notice The owner kept silent in review; the round counts as accepted, its next key is still due.
    event RoundAcceptedByTimeout(uint256 indexed job, uint32 round);
    event SeatVacated(uint256 indexed job, uint8 seat, address indexed trainer, Vacancy reason);
    event JobCancelled(uint256 indexed job);
    event JobAborted(uint256 indexed job, Abort reason);
    event Withdrawn(uint256 indexed job, address indexed account, uint256 amount);

    error InvalidParams(string field);
    error UnsupportedToken(address token);
    error WrongValue(uint256 sent, uint256 expected);
    error NoSuchJob(uint256 job);
    error WrongPhase(Phase current);
    error WrongGenesis(bytes32 given, bytes32 expected);
    error StaleHead(bytes32 given, bytes32 current);
    error WrongLabelKey(bytes32 given);
    error NotOwner(address caller);
    error NotYourTurn(address caller, uint8 turn);
    error SeatTaken(uint8 seat);
    error NoSuchSeat(uint8 seat);
    error NotAllowed(address caller);
    error KeyRecordTooLong(uint256 size);
    error TooLate(uint256 timestamp, uint256 deadline);
    error TooEarly(uint256 timestamp, uint256 deadline);
    error NothingOwed(address account);
    error TransferFailed(address to, uint256 amount);

    /// @notice Opens a job and locks `pay * seats * rounds + ownerBond` of the caller's.
    /// @return job the new job's id, counted from 1
    function createJob(Params calldata params) external payable returns (uint256 job);

    /// @notice Takes the job back before its first label key: everybody is refunded in full.
    function cancel(uint256 job) external;

    /// @notice Takes a free seat, locking `stake`; the last seat to be filled makes key 0 due.
    /// @dev Nobody holds two seats of a job, and neither its owner nor its arbiter holds one.
    /// @param genesis the job's first head, so that a job re-created by a reorg cannot be joined by mistake
    /// @param keyRecord sealing key, transport key and endpoint of the trainer; at most 512 bytes
    function join(uint256 job, bytes32 genesis, uint8 seat, bytes calldata keyRecord) external payable;

    /// @notice Reveals the label key that is due: key 0, or the next one after a round accepted by timeout.
    function releaseLabels(uint256 job, bytes32 key) external;

    /// @notice Commits the segment of the seat whose turn it is and advances the head to
    /// `keccak256(abi.encode(head, job, round, seat, trainer, manifestDigest, markCommitment))`.
    /// @param head the head that this commitment builds on
    /// @param manifestDigest sha2-256 of the SegmentManifest's DAG-CBOR block
    /// @param markCommitment `keccak256(abi.encode(keccak256(k_progress), keccak256(k_ownership)))`
    function commit(uint256 job, bytes32 head, bytes32 manifestDigest, bytes32 markCommitment) external;

    /// @notice Accepts the round that ends in `head`, earns every seat its pay and reveals the next label key.
    function accept(uint256 job, bytes32 head, bytes32 labelKey) external;

    /// @notice Gives up on a vacant seat: earned pay stays owed, everything else returns.
    function abort(uint256 job) external;

    /// @notice Takes the exit of the current phase once its deadline has passed. Anyone may call it.
    /// @dev Open: the job is cancelled. Labels: it is aborted and the owner's bond shared among the seats, dust to
    /// the owner. Commit: the seat becomes vacant, `silencePenalty` of its stake is burned, the rest and its pay
    /// stay its trainer's. Review: the round counts as accepted, its next label key is due. Refill: the job is
    /// aborted, earned pay stays owed and everything else returns.
    function resolveTimeout(uint256 job) external;

    /// @notice Pays the caller everything that this job owes it now.
    function withdraw(uint256 job) external returns (uint256 amount);

    /// @notice The first head of a job:
    /// `keccak256(abi.encode(TAG, chainid, contract, job, owner, keccak256(abi.encode(params))))`
    /// with TAG = `keccak256("CliCooper/1")`.
    function genesisOf(uint256 job) external view returns (bytes32);

    /// @notice The head in which an accepted round ended; zero while the round is not accepted.
    function roundHead(uint256 job, uint32 round) external view returns (bytes32);

    function jobOf(uint256 job) external view returns (JobView memory);

    function seatOf(uint256 job, uint8 seat) external view returns (SeatView memory);

    /// @notice What `withdraw` would pay this account now.
    function owedTo(uint256 job, address account) external view returns (uint256);

    function jobCount() external view returns (uint256);
}

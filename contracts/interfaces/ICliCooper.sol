// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title CliCooper: escrow and ordered commitments for client-cooperative split learning
/// @notice One immutable contract, many jobs. An owner locks pay and a bond, trainers lock stakes,
/// every trained segment is committed into one running hash (the head), and one transaction of the
/// owner accepts a round, earns every seat its pay and reveals the next label key.
/// @dev No admin, no pause, no proxy, no fee. Every call names the state that it was decided on. An action is allowed
/// up to its deadline, that second included, a time-out after it. The events suffice to rebuild all state.
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

    /// @notice What an accused is charged with. `Fault` is anything that an arbiter can repeat from committed
    /// artifacts; `Withheld` is data that was committed and cannot be had, and is cured by publishing it: no ruling
    /// on it is possible in the first half of the arbitration window.
    enum Ground {
        Fault,
        Withheld
    }

    /// @notice Everything that the parties agree on before anyone joins; fixed for the life of the job.
    /// @param token ERC-20 that is paid in, or the zero address for the native coin
    /// @param pay what one seat earns by one accepted round
    /// @param stake what a seat locks at `join`; at least `2 * challengeBond + arbiterFee` and `silencePenalty`
    /// @param ownerBond what the owner locks beside the pay; at least `pay * seats + arbiterFee`
    /// @param challengeBond what the first challenge of a round locks, at least `arbiterFee` and 1; doubles after
    /// each failed one
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
    /// @param turn in Commit the seat whose commit is due; in Refill the seat that was vacated last
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

    /// @notice The challenge that is open in Arbitration.
    /// @param accused a seat, or 255 for the owner
    /// @param interrupted the phase that a ruling of not guilty goes back to
    /// @param remaining seconds that were left of it; at least half its window is given
    struct ChallengeView {
        bytes32 id;
        address challenger;
        uint96 bond;
        uint8 accused;
        Ground ground;
        Phase interrupted;
        uint32 remaining;
    }

    /// @notice What one commitment says, apart from its position.
    /// @param manifestDigest sha2-256 of the SegmentManifest's DAG-CBOR block
    /// @param markCommitment `keccak256(abi.encode(keccak256(k_progress), keccak256(k_ownership)))`
    struct Contents {
        bytes32 manifestDigest;
        bytes32 markCommitment;
    }

    /// @notice One commitment as `openMark` is shown it.
    struct OpenedCommit {
        address trainer;
        bytes32 manifestDigest;
        bytes32 markCommitment;
    }

    /// @notice The digests of one training step; zero where there is none.
    struct TranscriptStep {
        uint256 step;
        bytes32 input;
        bytes32 output;
        bytes32 gradReceived;
        bytes32 gradSent;
        bytes32 state;
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
    /// @notice The head moved on to `keccak256(abi.encode(head, RESTART, job, round, seat, trainer))` with
    /// RESTART = `keccak256("CliCooper/1/restart")`.
    event SeatVacated(uint256 indexed job, uint8 seat, address indexed trainer, Vacancy reason);
    /// @notice From now on only `trainer` may take the vacant seat.
    event ReplacementNamed(uint256 indexed job, uint8 seat, address indexed trainer);
    /// @notice Round and head are those of the moment. `accused` is a seat, or 255 for the owner.
    event Challenged(
        uint256 indexed job,
        bytes32 indexed challengeId,
        address indexed challenger,
        uint8 accused,
        Ground ground,
        uint256 bond,
        bytes32 evidenceDigest
    );
    event Ruled(uint256 indexed job, bytes32 indexed challengeId, bool guilty);
    /// @notice A challenge ended without a ruling and its bond went back: the arbiter kept silent, or the accused
    /// seat was expelled for equivocation.
    event ChallengeLapsed(uint256 indexed job, bytes32 indexed challengeId);
    /// @notice The seat's trainer signed twice; `rewarded` gets `challengeBond`: the challenger if a challenge of this
    /// seat was open, and then `ChallengeLapsed` comes just before, else whoever reported it.
    event EquivocationProven(uint256 indexed job, uint8 seat, address indexed rewarded);
    /// @notice The keys open the mark commitment of this seat in this accepted round.
    event MarkOpened(
        uint256 indexed job,
        uint32 round,
        uint8 seat,
        address indexed trainer,
        bytes32 progressKeyHash,
        bytes32 ownershipKey,
        bytes32 suspectDigest
    );
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
    error NotArbiter(address caller);
    error SeatTaken(uint8 seat);
    error SeatVacant(uint8 seat);
    error NoSuchSeat(uint8 seat);
    error NotAllowed(address caller);
    error NotCommitted(address caller);
    error WrongRound(uint32 given, uint32 current);
    error WrongChallenge(bytes32 given, bytes32 current);
    error WrongLength(uint256 given);
    error WrongMarkKeys(bytes32 opened);
    error MarkAlreadyOpened(uint32 round, uint8 seat);
    error RoundNotAccepted(uint32 round);
    error BadSignature(address signer);
    error SameContents();
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

    /// @notice Takes a free seat, locking `stake`. In Open the last seat to be filled makes key 0 due. In Refill only
    /// the replacement that the owner named may join; with the last vacant seat filled, Commit of the same round
    /// starts again with seat 0, and every seat commits again.
    /// @dev Nobody holds two seats of a job, and neither its owner nor its arbiter holds one.
    /// @param genesis the job's first head, so that a job re-created by a reorg cannot be joined by mistake
    /// @param keyRecord sealing key, transport key and endpoint of the trainer; at most 512 bytes
    function join(uint256 job, bytes32 genesis, uint8 seat, bytes calldata keyRecord) external payable;

    /// @notice Names who may take a vacant seat in Refill; may be repeated until somebody joins.
    /// @param head the job's head, which every vacancy moves
    function nameReplacement(uint256 job, bytes32 head, uint8 seat, address trainer) external;

    /// @notice Reveals the label key that is due: key 0, or the next one after a round accepted by timeout.
    function releaseLabels(uint256 job, bytes32 key) external;

    /// @notice Commits the segment of the seat whose turn it is and advances the head to
    /// `keccak256(abi.encode(head, job, round, seat, trainer, manifestDigest, markCommitment))`.
    /// @param head the head that this commitment builds on
    /// @param manifestDigest sha2-256 of the SegmentManifest's DAG-CBOR block
    /// @param markCommitment `keccak256(abi.encode(keccak256(k_progress), keccak256(k_ownership)))`
    function commit(uint256 job, bytes32 head, bytes32 manifestDigest, bytes32 markCommitment) external;

    /// @notice Commits a run of seats, from the one whose turn it is, each by its trainer's signature. Anyone may send
    /// it; the effect is that of the same calls of `commit`.
    /// @dev Each signature is over the EIP-712 struct `Commit(uint256 job,uint32 round,uint8 seat,bytes32 head,bytes32
    /// manifestDigest,bytes32 markCommitment)`, `head` being the one just before that seat's commitment, in the domain
    /// ("CliCooper", "1", chain id, this contract); EIP-1271 wallets may sign too. The head makes it usable once.
    function commitRound(uint256 job, bytes32 head, Contents[] calldata commits, bytes[] calldata signatures) external;

    /// @notice Accepts the round that ends in `head`, earns every seat its pay and reveals the next label key.
    function accept(uint256 job, bytes32 head, bytes32 labelKey) external;

    /// @notice Accuses a seat or the owner before the arbiter, locking `bondDue`, and stops the clock.
    /// @dev One challenge is open at a time. Anybody but the arbiter may challenge.
    /// @param head the head that the accusation was decided on
    /// @param accused a seat, or 255 for the owner
    /// @param evidenceDigest sha2-256 of the evidence; it should name its challenger, or it can be copied
    /// @return challengeId `keccak256(abi.encode(chainid, contract, job, round, head, accused, challenger,
    /// evidenceDigest, ground))`
    function challenge(uint256 job, bytes32 head, uint8 accused, Ground ground, bytes32 evidenceDigest)
        external
        payable
        returns (bytes32 challengeId);

    /// @notice Decides the open challenge; the arbiter alone, once, within the arbitration window.
    /// @dev The arbiter earns `arbiterFee`. Guilty seat: it becomes vacant; the challenger gets its bond and
    /// `challengeBond` from the stake, the arbiter its fee, the other seats the rest in equal parts, the owner the
    /// dust. Guilty owner: the job is aborted as after silence; the challenger gets its bond, the arbiter its fee from
    /// the owner's bond, the seats the rest of it in equal parts, the owner the dust. Not guilty: the arbiter gets its
    /// fee from the challenger's bond, the rest is burned; the interrupted phase resumes with the time that it had
    /// left, at least half its window.
    function rule(uint256 job, bytes32 challengeId, bool guilty) external;

    /// @notice Expels a seat whose trainer signed two different contents for one position of the current round.
    /// @dev Possible until the round is settled. The reporter gets `challengeBond`, the rest of the stake is burned.
    /// If a challenge of that seat is open, it lapses: its challenger gets its bond back and `challengeBond` too, in
    /// the place of the reporter. A challenge of anybody else stays open.
    /// @param head the head in both signatures, whether or not the job ever had it
    function proveEquivocation(
        uint256 job,
        uint32 round,
        uint8 seat,
        bytes32 head,
        Contents[2] calldata contents,
        bytes[2] calldata signatures
    ) external;

    /// @notice Gives up on a vacant seat: earned pay stays owed, everything else returns.
    function abort(uint256 job) external;

    /// @notice Takes the exit of the current phase once its deadline has passed. Anyone may call it.
    /// @dev Open: the job is cancelled. Labels: it is aborted and the owner's bond shared among the seats, dust to
    /// the owner. Commit: the seat becomes vacant, `silencePenalty` of its stake is burned, the rest and its pay
    /// stay its trainer's. Review: the round counts as accepted, its next label key is due. Refill: the job is
    /// aborted, earned pay stays owed and everything else returns. Arbitration: the bond returns; a round in review
    /// counts as accepted, any other phase resumes as after a ruling of not guilty.
    function resolveTimeout(uint256 job) external;

    /// @notice Pays the caller everything that this job owes it now.
    function withdraw(uint256 job) external returns (uint256 amount);

    /// @notice Opens a mark of an accepted round: puts both keys and a suspect on record. Once a seat and round, so
    /// only the first `suspectDigest` counts. The trainer who committed may do so for ever.
    /// @param headStart the head just before the caller's commitment
    /// @param commits the caller's commitment and those of all later seats, in order, which end in `roundHead`
    /// @param progressKeyHash `keccak256(k_progress)`, which reveals nothing of it
    /// @param ownershipKey k_ownership itself
    /// @param suspectDigest sha2-256 of the suspect model
    function openMark(
        uint256 job,
        uint32 round,
        uint8 seat,
        bytes32 headStart,
        OpenedCommit[] calldata commits,
        bytes32 progressKeyHash,
        bytes32 ownershipKey,
        bytes32 suspectDigest
    ) external;

    /// @notice Whether a manifest's transcript contains this step: `sha256(prefix || root) == manifestDigest`, and
    /// `keccak256(bytes.concat(keccak256(abi.encode(step))))` is a leaf under `root` (commutative pairs).
    /// @param prefix the manifest's block without its last 32 bytes, which are `root`
    function transcriptHolds(
        bytes32 manifestDigest,
        bytes calldata prefix,
        bytes32 root,
        TranscriptStep calldata step,
        bytes32[] calldata proof
    ) external pure returns (bool);

    /// @notice The first head of a job:
    /// `keccak256(abi.encode(TAG, chainid, contract, job, owner, keccak256(abi.encode(params))))`
    /// with TAG = `keccak256("CliCooper/1")`.
    function genesisOf(uint256 job) external view returns (bytes32);

    /// @notice The head in which an accepted round ended; zero while the round is not accepted.
    function roundHead(uint256 job, uint32 round) external view returns (bytes32);

    function jobOf(uint256 job) external view returns (JobView memory);

    function seatOf(uint256 job, uint8 seat) external view returns (SeatView memory);

    /// @notice The open challenge; reverts outside Arbitration.
    function challengeOf(uint256 job) external view returns (ChallengeView memory);

    /// @notice What a challenge would lock now: `challengeBond`, doubled for each one that failed in this round,
    /// those that the arbiter left unruled included; 2^96 - 1 at most.
    function bondDue(uint256 job) external view returns (uint256);

    /// @notice What `withdraw` would pay this account now.
    function owedTo(uint256 job, address account) external view returns (uint256);

    function jobCount() external view returns (uint256);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../interfaces/ICliCooper.sol";

uint256 constant MAX_SEATS = 32;

/// @dev What `challenge` takes in the place of a seat to accuse the owner.
uint8 constant OWNER = type(uint8).max;

/// @dev Where a commitment stands: `head` is the one just before it. Never stored.
struct Position {
    uint256 job;
    uint32 round;
    uint8 seat;
    bytes32 head;
}

/// @dev One seat and its present occupancy; deleted as a whole when the seat becomes vacant.
struct Seat {
    // slot 0, 232 bits
    address trainer;
    uint32 fromRound; // the first round that this trainer is paid for
    uint32 paidRounds; // the rounds before this one are paid out
    bool stakeReturned;
    // slot 1
    bytes32 keyRecordDigest;
}

/// @dev The challenge that is open, which is so in Arbitration alone; left as it was once it is closed.
struct Dispute {
    // slot 0
    bytes32 id;
    // slot 1, 256 bits
    address challenger;
    uint96 bond;
    // slot 2, 96 bits
    ICliCooper.Phase interrupted; // what to go back to
    ICliCooper.Ground ground;
    uint8 accused; // a seat or `OWNER`
    uint8 failed; // challenges that failed in round `failedIn - 1`
    uint32 failedIn; // that round + 1, so that a new round resets the count at no cost
    uint32 remaining; // seconds that were left of the interrupted phase
}

/// @dev One job. The two calls of every round, `commit` and `accept`, find all control state in slot 0.
struct Job {
    // slot 0, 256 bits: what moves the job forward; the rounds before `round` are accepted
    ICliCooper.Phase phase;
    uint8 turn;
    uint8 seats;
    uint8 filled;
    uint32 round;
    uint32 rounds;
    uint64 deadline; // 0 once the job has ended
    uint32 trainWindow;
    uint32 turnWindow;
    uint32 reviewWindow;
    // slot 1
    bytes32 head;
    // slot 2: the label key revealed last; before key 0 the anchor of the chain
    bytes32 labelKey;
    // slot 3, 256 bits: `accept` reads the owner, `withdraw` both
    address owner;
    uint96 pay;
    // slot 4, 256 bits
    address arbiter;
    uint96 stake;
    // slot 5, 256 bits
    address token;
    uint96 ownerBond; // less the arbiter's fee once the owner is found guilty
    // slot 6, 256 bits
    uint96 challengeBond;
    uint96 silencePenalty;
    uint32 joinWindow;
    uint32 labelWindow;
    // slot 7, 144 bits
    uint96 arbiterFee;
    uint32 arbitrationWindow;
    bool bondForfeited; // the owner's bond belongs to the seats
    bool ownerSettled; // the owner has withdrawn its remainder
    // slot 8: the first head
    bytes32 genesis;
    // slots 9 to 11
    Dispute dispute;
    // slots 12 to 75
    Seat[MAX_SEATS] seat;
    // slots 76 to 80
    mapping(uint256 seat => address) allowed; // zero: anyone; in Refill the named replacement alone
    mapping(address trainer => uint256) seatNumber; // seat + 1, or `EVICTED` for ever
    mapping(address account => uint256) credit; // owed whatever becomes of the job
    mapping(uint256 round => bytes32) roundHead;
    mapping(uint256 round => uint256 seats) marksOpened; // one bit a seat
}

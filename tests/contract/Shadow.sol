// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";

/// @notice The protocol's money and heads written down a second time, eagerly and without regard to gas: every event
/// moves amounts at once, where the contract derives them when it is asked.
abstract contract Shadow {
    address public constant OWNER = address(0x0a11ce);
    address public constant ARBITER = address(0xa4b);
    address public constant CHALLENGER = address(0xc4a);
    address public constant REPORTER = address(0x4e9);
    address public constant BURNED = 0x000000000000000000000000000000000000dEaD;

    struct Model {
        ICliCooper.Params terms;
        uint32 round;
        uint8 filled;
        uint32 keys; // label keys that are out
        bytes32 genesis;
        bytes32 head;
        uint256 bond; // of the open challenge
        uint8 accused;
        uint256 failed; // challenges in this round
        uint256 rulings;
        uint256 paidIn;
        uint256 paidOut;
        address[] people;
        address[32] holder;
    }

    mapping(uint256 job => Model) internal _models;
    mapping(uint256 job => mapping(address => uint256)) public owed;
    mapping(uint256 job => mapping(address => uint256)) public earned; // pay alone, over the whole life
    mapping(uint256 job => mapping(address => uint256)) public received;
    mapping(uint256 job => mapping(address => bool)) public evicted;
    mapping(uint256 job => mapping(uint256 round => bytes32)) public roundHead;
    mapping(bytes32 head => bool) private _seen;
    bool public headRepeated;

    function model(uint256 job) external view returns (Model memory) {
        return _models[job];
    }

    function _opened(uint256 job, ICliCooper.Params memory terms, bytes32 genesis) internal {
        Model storage m = _models[job];
        (m.terms, m.genesis) = (terms, genesis);
        m.paidIn = uint256(terms.pay) * terms.seats * terms.rounds + terms.ownerBond;
        m.people = [OWNER, ARBITER, CHALLENGER, REPORTER, BURNED];
        _move(m, genesis);
    }

    function _joined(uint256 job, uint8 seat, address trainer) internal {
        Model storage m = _models[job];
        m.holder[seat] = trainer;
        m.people.push(trainer);
        m.paidIn += m.terms.stake;
        ++m.filled;
    }

    function _committed(uint256 job, uint8 seat, bytes32 manifest, bytes32 mark) internal {
        Model storage m = _models[job];
        _move(m, keccak256(abi.encode(m.head, job, m.round, seat, m.holder[seat], manifest, mark)));
    }

    function _accepted(uint256 job) internal {
        Model storage m = _models[job];
        for (uint256 seat = 0; seat < m.terms.seats; ++seat) {
            owed[job][m.holder[seat]] += m.terms.pay;
            earned[job][m.holder[seat]] += m.terms.pay;
        }
        roundHead[job][m.round++] = m.head;
        m.failed = 0;
    }

    function _vacated(uint256 job, uint8 seat) internal returns (address trainer) {
        Model storage m = _models[job];
        trainer = m.holder[seat];
        delete m.holder[seat];
        evicted[job][trainer] = true;
        --m.filled;
        _move(m, keccak256(abi.encode(m.head, keccak256("CliCooper/1/restart"), job, m.round, seat, trainer)));
    }

    function _silent(uint256 job, uint8 seat) internal {
        ICliCooper.Params memory p = _models[job].terms;
        owed[job][_vacated(job, seat)] += p.stake - p.silencePenalty;
        owed[job][BURNED] += p.silencePenalty;
    }

    function _challenged(uint256 job, uint8 accused, uint256 bond) internal {
        Model storage m = _models[job];
        (m.accused, m.bond) = (accused, bond);
        m.paidIn += bond;
    }

    function _lapsed(uint256 job, bool counts) internal {
        owed[job][CHALLENGER] += _models[job].bond;
        if (counts) ++_models[job].failed;
    }

    function _ruled(uint256 job, bool guilty) internal {
        Model storage m = _models[job];
        ICliCooper.Params memory p = m.terms;
        ++m.rulings;
        owed[job][ARBITER] += p.arbiterFee;
        if (!guilty) {
            owed[job][BURNED] += m.bond - p.arbiterFee;
            ++m.failed;
        } else if (m.accused == 255) {
            owed[job][CHALLENGER] += m.bond;
            m.terms.ownerBond -= p.arbiterFee;
            _ended(job, true);
        } else {
            owed[job][CHALLENGER] += m.bond + p.challengeBond;
            _vacated(job, m.accused);
            _shared(job, p.stake - p.challengeBond - p.arbiterFee);
        }
    }

    function _equivocated(uint256 job, uint8 seat, address rewarded) internal {
        ICliCooper.Params memory p = _models[job].terms;
        owed[job][rewarded] += p.challengeBond;
        owed[job][BURNED] += p.stake - p.challengeBond;
        _vacated(job, seat);
    }

    function _ended(uint256 job, bool bondLost) internal {
        Model storage m = _models[job];
        ICliCooper.Params memory p = m.terms;
        owed[job][OWNER] += uint256(p.pay) * p.seats * (p.rounds - m.round);
        if (bondLost) _shared(job, p.ownerBond);
        else owed[job][OWNER] += p.ownerBond;
        for (uint256 seat = 0; seat < p.seats; ++seat) {
            if (m.holder[seat] != address(0)) owed[job][m.holder[seat]] += p.stake;
        }
    }

    function _withdrew(uint256 job, address account, uint256 amount) internal {
        owed[job][account] = 0;
        received[job][account] += amount;
        _models[job].paidOut += amount;
    }

    /// @dev One coin at a time would do; equal parts and a remainder for the owner are the same thing.
    function _shared(uint256 job, uint256 amount) private {
        Model storage m = _models[job];
        uint256 left = amount;
        for (uint256 seat = 0; seat < m.terms.seats; ++seat) {
            if (m.holder[seat] == address(0)) continue;
            owed[job][m.holder[seat]] += amount / m.filled;
            left -= amount / m.filled;
        }
        owed[job][OWNER] += left;
    }

    function _move(Model storage m, bytes32 head) private {
        headRepeated = headRepeated || _seen[head];
        _seen[head] = true;
        m.head = head;
    }
}

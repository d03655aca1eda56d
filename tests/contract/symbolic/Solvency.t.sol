// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../../contracts/interfaces/ICliCooper.sol";
import {Stage} from "./Stage.sol";

/// @notice Proofs that in one phase the contract holds what it owes, to the unit, and does so after any call that the
/// phase permits; any other call reverts. One proof a call, so that each has few paths.
abstract contract SolvencyProof is Stage {
    enum Call {
        Cancel,
        Join,
        NameReplacement,
        ReleaseLabels,
        Commit,
        CommitRound,
        Accept,
        Challenge,
        Rule,
        ProveEquivocation,
        Abort,
        ResolveTimeout,
        Withdraw
    }

    /// @dev Who calls, how long after the phase began, with how much coin.
    struct Sender {
        uint8 who;
        uint32 later;
        uint96 value;
    }

    struct Signature {
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    Terms private _terms;
    uint256 private _job;

    /// @dev Brings a job to the phase, along one path for all terms that `createJob` takes.
    function _stage(Terms memory t) internal virtual returns (uint256 job);

    /// @dev Which calls can succeed from there.
    function _permits(Call call) internal pure virtual returns (bool);

    function setUp() public override {
        super.setUp();
        _terms = _anyTerms();
        _job = _stage(_terms);
    }

    function check_before_any_call() public view {
        _solvent();
    }

    function check_cancel(Sender memory s) public {
        _sent(Call.Cancel, s, abi.encodeCall(cooper.cancel, (_job)));
    }

    function check_join(Sender memory s, bytes32 genesis, uint8 seat) public {
        _sent(Call.Join, s, abi.encodeCall(cooper.join, (_job, genesis, _known(seat), hex"01")));
    }

    function check_nameReplacement(Sender memory s, bytes32 head, uint8 seat, address trainer) public {
        _sent(Call.NameReplacement, s, abi.encodeCall(cooper.nameReplacement, (_job, head, _known(seat), trainer)));
    }

    function check_releaseLabels(Sender memory s, bytes32 key) public {
        _sent(Call.ReleaseLabels, s, abi.encodeCall(cooper.releaseLabels, (_job, key)));
    }

    function check_commit(Sender memory s, bytes32 head, bytes32 manifest, bytes32 mark) public {
        _sent(Call.Commit, s, abi.encodeCall(cooper.commit, (_job, head, manifest, mark)));
    }

    function check_commitRound(Sender memory s, bytes32 head, ICliCooper.Contents memory c, Signature memory by)
        public
    {
        ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](1);
        bytes[] memory signatures = new bytes[](1);
        (commits[0], signatures[0]) = (c, abi.encodePacked(by.r, by.s, by.v));
        _sent(Call.CommitRound, s, abi.encodeCall(cooper.commitRound, (_job, head, commits, signatures)));
    }

    function check_accept(Sender memory s, bytes32 head, bytes32 key) public {
        _sent(Call.Accept, s, abi.encodeCall(cooper.accept, (_job, head, key)));
    }

    function check_challenge(Sender memory s, bytes32 head, uint8 accused, ICliCooper.Ground ground, bytes32 evidence)
        public
    {
        _sent(Call.Challenge, s, abi.encodeCall(cooper.challenge, (_job, head, accused, ground, evidence)));
    }

    function check_rule(Sender memory s, bytes32 id, bool guilty) public {
        _sent(Call.Rule, s, abi.encodeCall(cooper.rule, (_job, id, guilty)));
    }

    function check_proveEquivocation(
        Sender memory s,
        uint32 round,
        uint8 seat,
        bytes32 head,
        ICliCooper.Contents[2] memory contents,
        Signature[2] memory by
    ) public {
        bytes[2] memory signatures;
        for (uint256 i = 0; i < 2; ++i) {
            signatures[i] = abi.encodePacked(by[i].r, by[i].s, by[i].v);
        }
        _sent(
            Call.ProveEquivocation,
            s,
            abi.encodeCall(cooper.proveEquivocation, (_job, round, _known(seat), head, contents, signatures))
        );
    }

    function check_abort(Sender memory s) public {
        _sent(Call.Abort, s, abi.encodeCall(cooper.abort, (_job)));
    }

    function check_resolveTimeout(Sender memory s) public {
        _sent(Call.ResolveTimeout, s, abi.encodeCall(cooper.resolveTimeout, (_job)));
    }

    function check_withdraw(Sender memory s) public {
        _sent(Call.Withdraw, s, abi.encodeCall(cooper.withdraw, (_job)));
    }

    /// @dev Assuming success, and not returning without it, makes halmos refuse a proof in which nothing succeeds.
    function _sent(Call call, Sender memory s, bytes memory data) private {
        vm.assume(s.who < CAST);
        vm.warp(block.timestamp + s.later);
        vm.prank(_actor(s.who));
        (bool done,) = address(cooper).call{value: s.value}(data);
        if (_permits(call)) {
            vm.assume(done);
            _solvent();
        } else {
            vm.assertTrue(!done, "not in this phase");
        }
    }

    /// @dev The same seat, as a number of its own on each path: storage is addressed by it.
    function _known(uint8 seat) private pure returns (uint8) {
        for (uint8 i = 0; i < SEATS; ++i) {
            if (seat == i) return i;
        }
        return seat;
    }

    function _solvent() private view {
        vm.assertEq(address(cooper).balance, _liabilities(), "holds what it owes");
    }

    /// @dev What everybody is owed now and, while the job runs, what it has locked.
    function _liabilities() private view returns (uint256 sum) {
        for (uint256 who = 0; who < CAST; ++who) {
            sum += cooper.owedTo(_job, _actor(who));
        }
        ICliCooper.JobView memory v = cooper.jobOf(_job);
        if (v.phase >= ICliCooper.Phase.Done) return sum;
        sum += uint256(_terms.pay) * SEATS * (ROUNDS - v.round) + _terms.ownerBond + uint256(_terms.stake) * v.filled;
        if (v.phase == ICliCooper.Phase.Arbitration) sum += cooper.challengeOf(_job).bond;
    }
}

contract OpenSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toOpen(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Cancel || call == Call.Join || call == Call.ResolveTimeout;
    }
}

contract LabelsSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toLabels(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Cancel || call == Call.ReleaseLabels || call == Call.ResolveTimeout;
    }
}

contract LastLabelsSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toLastLabels(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.ReleaseLabels || call == Call.ResolveTimeout || call == Call.Withdraw;
    }
}

contract CommitSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toSecondRound(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Commit || call == Call.CommitRound || call == Call.Challenge
            || call == Call.ProveEquivocation || call == Call.ResolveTimeout || call == Call.Withdraw;
    }
}

contract ReviewSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toLastReview(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Accept || call == Call.Challenge || call == Call.ProveEquivocation
            || call == Call.ResolveTimeout || call == Call.Withdraw;
    }
}

contract RefillSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toRefill(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Join || call == Call.NameReplacement || call == Call.ProveEquivocation || call == Call.Abort
            || call == Call.ResolveTimeout || call == Call.Withdraw;
    }
}

contract EmptyRefillSolvencyProof is SolvencyProof {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toEmptyRefill(t);
    }

    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Join || call == Call.NameReplacement || call == Call.Abort || call == Call.ResolveTimeout
            || call == Call.Withdraw;
    }
}

abstract contract ArbitrationSolvency is SolvencyProof {
    function _permits(Call call) internal pure override returns (bool) {
        return
            call == Call.Rule || call == Call.ProveEquivocation || call == Call.ResolveTimeout || call == Call.Withdraw;
    }
}

contract AccusedSeatSolvencyProof is ArbitrationSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toArbitration(t, 0, ICliCooper.Ground.Fault);
    }
}

contract AccusedOwnerSolvencyProof is ArbitrationSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toArbitration(t, ACCUSE_OWNER, ICliCooper.Ground.Withheld);
    }
}

contract AccusedInCommitSolvencyProof is ArbitrationSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toArbitrationInCommit(t);
    }
}

contract AccusedWithVacancySolvencyProof is ArbitrationSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toArbitrationWithVacancy(t);
    }
}

abstract contract EndedSolvency is SolvencyProof {
    function _permits(Call call) internal pure override returns (bool) {
        return call == Call.Withdraw;
    }
}

contract DoneSolvencyProof is EndedSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toDone(t);
    }
}

contract ForfeitSolvencyProof is EndedSolvency {
    function _stage(Terms memory t) internal override returns (uint256) {
        return _toForfeit(t);
    }
}

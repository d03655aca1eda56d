// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {ICommittee} from "../../contracts/interfaces/ICommittee.sol";
import {Base} from "./Base.sol";

/// @notice Plays `tests/vectors/signatures.json` and `transcripts.json`, which were computed outside the contract.
contract SignatureVectorsTest is Base {
    uint256 private constant HEAD_SLOT = 1;
    uint256 private constant JOBS_SLOT = 1;
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("tests/vectors/signatures.json");
        vm.chainId(vm.parseJsonUint(json, ".chainId"));
        address place = vm.parseJsonAddress(json, ".contract");
        vm.etch(place, address(cooper).code);
        cooper = ICliCooper(place);
        arbiter = _deployCommittee(vm.parseJsonAddress(json, ".committee"));
        challenger = vm.parseJsonAddress(json, ".challenge.challenger");
        vm.deal(challenger, FUNDS);
    }

    /// @dev Runs the constructor where the vector wants the committee to be.
    function _deployCommittee(address place) private returns (address) {
        address[] memory members = new address[](2);
        for (uint256 i = 0; i < 2; ++i) {
            members[i] = vm.parseJsonAddress(json, _at(".votes", i, ".signer"));
        }
        vm.etch(place, _committeeCode(members, 2));
        (bool done, bytes memory code) = place.call("");
        vm.assertTrue(done, "constructed");
        vm.etch(place, code);
        return place;
    }

    function _at(string memory list, uint256 index, string memory field) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]", field);
    }

    function _toVectorCommit() private returns (uint256 job) {
        job = _toOpen();
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            trainers[seat] = vm.parseJsonAddress(json, _at(".commits", seat, ".signer"));
            vm.deal(trainers[seat], STAKE);
            _joinAs(trainers[seat], job, seat);
        }
        _release(job);
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(job, JOBS_SLOT))) + HEAD_SLOT);
        vm.assertEq(vm.load(address(cooper), slot), cooper.jobOf(job).head, "the head's slot");
        vm.store(address(cooper), slot, vm.parseJsonBytes32(json, ".head"));
    }

    function test_signed_commitments_their_digests_and_their_heads() public {
        uint256 job = _toVectorCommit();
        for (uint8 seat = 0; seat < SEATS; ++seat) {
            ICliCooper.Contents[] memory commits = new ICliCooper.Contents[](1);
            bytes[] memory signatures = new bytes[](1);
            commits[0] = _vectorContents(seat);
            signatures[0] = vm.parseJsonBytes(json, _at(".commits", seat, ".signature"));
            bytes32 head = cooper.jobOf(job).head;
            vm.assertEq(
                _commitDigest(job, 0, seat, head, commits[0]),
                vm.parseJsonBytes32(json, _at(".commits", seat, ".digest")),
                "digest"
            );
            cooper.commitRound(job, head, commits, signatures);
            vm.assertEq(cooper.jobOf(job).head, vm.parseJsonBytes32(json, _at(".commits", seat, ".headAfter")), "head");
        }
    }

    function _vectorContents(uint256 seat) private view returns (ICliCooper.Contents memory) {
        return ICliCooper.Contents(
            vm.parseJsonBytes32(json, _at(".commits", seat, ".manifestDigest")),
            vm.parseJsonBytes32(json, _at(".commits", seat, ".markCommitment"))
        );
    }

    function test_challenge_ids_signed_rulings_and_the_head_of_a_restart() public {
        uint256 job = _toVectorReview();
        uint256 state = vm.snapshotState();
        _assertChallenge(job, ICliCooper.Ground.Withheld, ".challenge.idWithheld");
        vm.revertToState(state);
        bytes32 id = _assertChallenge(job, ICliCooper.Ground.Fault, ".challenge.idFault");
        address[] memory voters = new address[](2);
        bytes[] memory signatures = new bytes[](2);
        for (uint256 i = 0; i < 2; ++i) {
            voters[i] = vm.parseJsonAddress(json, _at(".votes", i, ".signer"));
            signatures[i] = vm.parseJsonBytes(json, _at(".votes", i, ".signature"));
        }
        ICommittee(arbiter).ruleBySignatures(job, id, true, voters, signatures);
        vm.assertEq(cooper.jobOf(job).head, vm.parseJsonBytes32(json, ".headAfterVacancy"), "restart");
    }

    function _toVectorReview() private returns (uint256 job) {
        job = _toVectorCommit();
        for (uint256 seat = 0; seat < SEATS; ++seat) {
            ICliCooper.Contents memory c = _vectorContents(seat);
            bytes32 head = cooper.jobOf(job).head;
            vm.prank(trainers[seat]);
            cooper.commit(job, head, c.manifestDigest, c.markCommitment);
        }
    }

    function _assertChallenge(uint256 job, ICliCooper.Ground ground, string memory name) private returns (bytes32 id) {
        bytes32 head = cooper.jobOf(job).head;
        uint8 accused = uint8(vm.parseJsonUint(json, ".challenge.accused"));
        bytes32 evidence = vm.parseJsonBytes32(json, ".challenge.evidenceDigest");
        vm.prank(challenger);
        id = cooper.challenge{value: CHALLENGE_BOND}(job, head, accused, ground, evidence);
        vm.assertEq(id, vm.parseJsonBytes32(json, name), "challenge id");
    }

    function test_every_step_of_every_transcript_holds() public {
        json = vm.readFile("tests/vectors/transcripts.json");
        uint8[5] memory sizes = [1, 2, 3, 5, 9];
        for (uint256 t = 0; t < sizes.length; ++t) {
            string memory transcript = _at(".transcripts", t, "");
            vm.assertEq(vm.parseJsonUint(json, string.concat(transcript, ".size")), sizes[t], "size");
            for (uint256 i = 0; i < sizes[t]; ++i) {
                _assertStep(transcript, _at(string.concat(transcript, ".steps"), i, ""));
            }
        }
    }

    function _assertStep(string memory transcript, string memory step) private view {
        ICliCooper.TranscriptStep memory s = ICliCooper.TranscriptStep(
            vm.parseJsonUint(json, string.concat(step, ".step")),
            vm.parseJsonBytes32(json, string.concat(step, ".input")),
            vm.parseJsonBytes32(json, string.concat(step, ".output")),
            vm.parseJsonBytes32(json, string.concat(step, ".gradReceived")),
            vm.parseJsonBytes32(json, string.concat(step, ".gradSent")),
            vm.parseJsonBytes32(json, string.concat(step, ".state"))
        );
        bool holds = cooper.transcriptHolds(
            vm.parseJsonBytes32(json, string.concat(transcript, ".manifestDigest")),
            vm.parseJsonBytes(json, string.concat(transcript, ".prefix")),
            vm.parseJsonBytes32(json, string.concat(transcript, ".root")),
            s,
            vm.parseJsonBytes32Array(json, string.concat(step, ".proof"))
        );
        vm.assertTrue(holds, step);
    }
}

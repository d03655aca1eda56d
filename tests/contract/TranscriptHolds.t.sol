// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

contract TranscriptHoldsTest is Base {
    bytes private constant PREFIX = "the manifest up to its root";

    function _step(uint256 n) private pure returns (ICliCooper.TranscriptStep memory s) {
        s.step = n;
        (s.input, s.output) = (keccak256(abi.encode("in", n)), keccak256(abi.encode("out", n)));
        (s.gradReceived, s.gradSent) = (keccak256(abi.encode("gr", n)), keccak256(abi.encode("gs", n)));
    }

    function _leaf(uint256 n) private pure returns (bytes32) {
        ICliCooper.TranscriptStep memory s = _step(n);
        return
            keccak256(
                bytes.concat(keccak256(abi.encode(s.step, s.input, s.output, s.gradReceived, s.gradSent, s.state)))
            );
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    /// @dev Three leaves; the odd one is promoted.
    function _root() private pure returns (bytes32) {
        return _pair(_pair(_leaf(0), _leaf(1)), _leaf(2));
    }

    function _proofOf1() private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](2);
        (proof[0], proof[1]) = (_leaf(0), _leaf(2));
    }

    function _manifestDigest() private pure returns (bytes32) {
        return sha256(bytes.concat(PREFIX, _root()));
    }

    function test_a_step_of_the_manifest_holds() public view {
        vm.assertTrue(cooper.transcriptHolds(_manifestDigest(), PREFIX, _root(), _step(1), _proofOf1()), "step 1");
        bytes32[] memory promoted = new bytes32[](1);
        promoted[0] = _pair(_leaf(0), _leaf(1));
        vm.assertTrue(cooper.transcriptHolds(_manifestDigest(), PREFIX, _root(), _step(2), promoted), "step 2");
    }

    function test_a_root_that_is_not_the_manifests_does_not() public view {
        vm.assertTrue(!cooper.transcriptHolds(_manifestDigest(), "other", _root(), _step(1), _proofOf1()), "prefix");
        bytes32 other = keccak256("root");
        vm.assertTrue(!cooper.transcriptHolds(_manifestDigest(), PREFIX, other, _step(1), _proofOf1()), "root");
        bytes32 below = bytes32(uint256(_manifestDigest()) - 1);
        vm.assertTrue(!cooper.transcriptHolds(below, PREFIX, _root(), _step(1), _proofOf1()), "digest below");
        bytes32 above = bytes32(uint256(_manifestDigest()) + 1);
        vm.assertTrue(!cooper.transcriptHolds(above, PREFIX, _root(), _step(1), _proofOf1()), "digest above");
    }

    function test_any_changed_digest_does_not(uint256 field, uint256 mask) public view {
        vm.assume(mask != 0);
        ICliCooper.TranscriptStep memory s = _step(1);
        if (field % 6 == 0) s.step ^= mask;
        if (field % 6 == 1) s.input ^= bytes32(mask);
        if (field % 6 == 2) s.output ^= bytes32(mask);
        if (field % 6 == 3) s.gradReceived ^= bytes32(mask);
        if (field % 6 == 4) s.gradSent ^= bytes32(mask);
        if (field % 6 == 5) s.state ^= bytes32(mask);
        vm.assertTrue(!cooper.transcriptHolds(_manifestDigest(), PREFIX, _root(), s, _proofOf1()), "step");
    }

    function test_another_proof_does_not(uint256 place, uint256 mask) public view {
        vm.assume(mask != 0);
        bytes32[] memory proof = _proofOf1();
        proof[place % 2] ^= bytes32(mask);
        vm.assertTrue(!cooper.transcriptHolds(_manifestDigest(), PREFIX, _root(), _step(1), proof), "sibling");
        vm.assertTrue(
            !cooper.transcriptHolds(_manifestDigest(), PREFIX, _root(), _step(1), new bytes32[](0)), "no proof"
        );
    }
}

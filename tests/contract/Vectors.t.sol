// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice Plays the job of `tests/vectors/heads.json`, whose digests were computed outside the contract.
contract VectorsTest is Base {
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("tests/vectors/heads.json");
        address place = vm.parseJsonAddress(json, ".contract");
        vm.etch(place, address(cooper).code);
        cooper = ICliCooper(place);
        owner = vm.parseJsonAddress(json, ".owner");
        vm.deal(owner, 100 ether);
        vm.chainId(_uint(".chainId"));
    }

    function test_genesis_and_every_head() public {
        ICliCooper.Params memory p = _vectorParams();
        uint256 job = _createAt(_uint(".job"), p);
        bytes32 genesis = vm.parseJsonBytes32(json, ".genesis");
        vm.assertEq(cooper.genesisOf(job), genesis, "genesis");

        for (uint8 seat = 0; seat < p.seats; ++seat) {
            vm.deal(p.allowList[seat], p.stake);
            vm.prank(p.allowList[seat]);
            cooper.join{value: p.stake}(job, genesis, seat, "");
        }
        vm.prank(owner);
        cooper.releaseLabels(job, _bytes32(".labelKeys", 0, ""));
        for (uint256 i = 0; i < uint256(p.seats) * p.rounds; ++i) {
            _play(job, p, i);
        }
        vm.assertEq(uint256(cooper.jobOf(job).phase), uint256(ICliCooper.Phase.Done), "done");
    }

    function _play(uint256 job, ICliCooper.Params memory p, uint256 i) private {
        bytes32 head = _bytes32(".commits", i, ".head");
        bytes32 before = cooper.jobOf(job).head;
        vm.prank(p.allowList[i % p.seats]);
        cooper.commit(
            job, before, _bytes32(".commits", i, ".manifestDigest"), _bytes32(".commits", i, ".markCommitment")
        );
        vm.assertEq(cooper.jobOf(job).head, head, "head");
        if ((i + 1) % p.seats != 0) return;
        vm.prank(owner);
        cooper.accept(job, head, _bytes32(".labelKeys", (i + 1) / p.seats, ""));
    }

    /// @dev Ids count up, so the jobs before the vector's are created too.
    function _createAt(uint256 job, ICliCooper.Params memory p) private returns (uint256 last) {
        while (last < job) {
            last = _create(p);
        }
    }

    function _vectorParams() private view returns (ICliCooper.Params memory p) {
        p.token = vm.parseJsonAddress(json, ".params.token");
        p.pay = uint96(_uint(".params.pay"));
        p.stake = uint96(_uint(".params.stake"));
        p.ownerBond = uint96(_uint(".params.ownerBond"));
        p.challengeBond = uint96(_uint(".params.challengeBond"));
        p.arbiterFee = uint96(_uint(".params.arbiterFee"));
        p.silencePenalty = uint96(_uint(".params.silencePenalty"));
        p.seats = uint8(_uint(".params.seats"));
        p.rounds = uint32(_uint(".params.rounds"));
        p.joinWindow = uint32(_uint(".params.joinWindow"));
        p.labelWindow = uint32(_uint(".params.labelWindow"));
        p.trainWindow = uint32(_uint(".params.trainWindow"));
        p.turnWindow = uint32(_uint(".params.turnWindow"));
        p.reviewWindow = uint32(_uint(".params.reviewWindow"));
        p.arbitrationWindow = uint32(_uint(".params.arbitrationWindow"));
        p.arbiter = vm.parseJsonAddress(json, ".params.arbiter");
        p.specDigest = vm.parseJsonBytes32(json, ".params.specDigest");
        p.labelAnchor = vm.parseJsonBytes32(json, ".params.labelAnchor");
        p.allowList = vm.parseJsonAddressArray(json, ".params.allowList");
    }

    function _uint(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function _bytes32(string memory list, uint256 index, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(list, "[", vm.toString(index), "]", field));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Base} from "./Base.sol";

/// @notice What the attacks have in common: a call that may fail, and a seat that signs two versions.
abstract contract Attacker is Base {
    function _try(address caller, uint256 value, bytes memory data) internal returns (bool done) {
        vm.deal(caller, caller.balance + value);
        vm.prank(caller);
        (done,) = address(cooper).call{value: value}(data);
    }

    function _equivocation(uint256 job, uint8 seat)
        internal
        view
        returns (bytes32 head, ICliCooper.Contents[2] memory contents, bytes[2] memory signatures)
    {
        uint32 round = cooper.jobOf(job).round;
        (head, contents) = (cooper.jobOf(job).head, [_contents(0, 0), _contents(5, 5)]);
        for (uint256 i = 0; i < 2; ++i) {
            signatures[i] = _sign(secrets[seat], _commitDigest(job, round, seat, head, contents[i]));
        }
    }

    function _prove(uint256 job, uint8 seat) internal returns (bool) {
        (bytes32 head, ICliCooper.Contents[2] memory contents, bytes[2] memory signatures) = _equivocation(job, seat);
        uint32 round = cooper.jobOf(job).round;
        return
            _try(stranger, 0, abi.encodeCall(cooper.proveEquivocation, (job, round, seat, head, contents, signatures)));
    }
}

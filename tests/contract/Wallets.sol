// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "../../contracts/interfaces/ICliCooper.sol";
import {Vm} from "./Vm.sol";

/// @notice A wallet with one key behind EIP-1271, and ways to answer wrongly.
contract Wallet {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    enum Mood {
        Honest,
        Silent,
        WrongMagic,
        PaddedMagic,
        Reverting
    }

    address private immutable key;
    Mood public mood;

    constructor(uint256 secret) payable {
        key = vm.addr(secret);
    }

    receive() external payable {}

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function join(ICliCooper cooper, uint256 job, uint8 seat, uint256 stake) external {
        cooper.join{value: stake}(job, cooper.genesisOf(job), seat, "");
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes32) {
        if (mood == Mood.Reverting) revert("no");
        if (mood == Mood.Silent) {
            assembly {
                return(0, 0)
            }
        }
        if (mood == Mood.WrongMagic) return bytes32(bytes4(0xffffffff));
        if (mood == Mood.PaddedMagic) return bytes32(uint256(0x1626ba7e) << 224 | 1);
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        return signer == key ? bytes32(bytes4(0x1626ba7e)) : bytes32(0);
    }
}

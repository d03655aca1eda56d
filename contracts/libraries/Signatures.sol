// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title EIP-712 digests, and signatures of accounts and of EIP-1271 wallets
/// @dev OpenZeppelin's `EIP712` and `SignatureChecker` need the Cancun instruction `mcopy`; this code also runs on
/// Shanghai chains. Recovering first spares an account with a key the look-up of its code, and keeps the key of an
/// account that delegates to code (EIP-7702) valid.
library Signatures {
    // keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    bytes32 private constant DOMAIN_TYPEHASH = 0x8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f;

    /// @dev Version "1" of `name` on this chain, verified by the calling contract.
    function domain(string memory name) internal view returns (bytes32) {
        return
            keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256("1"), block.chainid, address(this)));
    }

    function digest(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @dev `signer` is never the zero address; malleable signatures are refused.
    function isValid(address signer, bytes32 message, bytes calldata signature) internal view returns (bool) {
        // The third value says how long a malformed signature is.
        // slither-disable-next-line unused-return
        (address recovered, ECDSA.RecoverError error,) = ECDSA.tryRecoverCalldata(message, signature);
        if (error == ECDSA.RecoverError.NoError && recovered == signer) return true;
        (bool answered, bytes memory answer) =
            signer.staticcall(abi.encodeCall(IERC1271.isValidSignature, (message, signature)));
        return
            answered && answer.length >= 32
                && abi.decode(answer, (bytes32)) == bytes32(IERC1271.isValidSignature.selector);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ICliCooper} from "../interfaces/ICliCooper.sol";

/// @title One way in and one way out for money, in the native coin (token zero) or an ERC-20
/// @dev A token is a stranger's code: callers finish their own state first and let nobody re-enter a value path.
library Payments {
    using SafeERC20 for IERC20;

    /// @dev Takes exactly `amount` from the caller. The balance decides, so a token that keeps a fee is refused.
    // Slither does not see the payable calls that this is inlined into.
    // slither-disable-next-line msg-value-in-nonpayable
    function pull(address token, uint256 amount) internal {
        if (token == address(0)) {
            if (msg.value != amount) revert ICliCooper.WrongValue(msg.value, amount);
            return;
        }
        if (msg.value != 0) revert ICliCooper.WrongValue(msg.value, 0);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert ICliCooper.WrongValue(received, amount);
    }

    function push(address token, address to, uint256 amount) internal {
        if (token != address(0)) return IERC20(token).safeTransfer(to, amount);
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert ICliCooper.TransferFailed(to, amount);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice An honest token, and every way of misbehaving that a test can switch on.
contract ZooToken is ERC20("Zoo", "ZOO") {
    enum Mood {
        Honest,
        Reverts,
        ReturnsFalse,
        ReturnsNothing,
        KeepsFee,
        GivesBonus,
        CallsBack,
        ShrinksBalance
    }

    Mood public mood;
    mapping(address account => bool) public blacklisted;
    address private target;
    bytes private payload;
    bool public callbackRefused;
    bytes public refusal;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function setBlacklisted(address account, bool value) external {
        blacklisted[account] = value;
    }

    /// @dev What the token calls in the middle of a transfer.
    function setCallback(address target_, bytes calldata payload_) external {
        (mood, target, payload) = (Mood.CallsBack, target_, payload_);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (mood == Mood.Reverts) revert("zoo");
        if (blacklisted[from] || blacklisted[to]) revert("blacklisted");
        if (mood == Mood.ReturnsFalse) return false;
        if (mood == Mood.CallsBack) _callBack();
        _transfer(from, to, amount);
        if (mood == Mood.KeepsFee) _burn(to, 1);
        if (mood == Mood.GivesBonus) _mint(to, 1);
        if (mood == Mood.ShrinksBalance) _burn(to, balanceOf(to));
        if (mood == Mood.ReturnsNothing) {
            assembly {
                return(0, 0)
            }
        }
        return true;
    }

    function _callBack() private {
        (bool done, bytes memory answer) = target.call(payload);
        (callbackRefused, refusal) = (!done, answer);
    }
}

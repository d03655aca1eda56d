// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICliCooper} from "./interfaces/ICliCooper.sol";

/// @title Views that only clients need, by the page
/// @notice Stateless and replaceable: it reads what anybody can read, in one call instead of many.
contract CliCooperLens {
    struct Account {
        address account;
        uint256 owed;
    }

    /// @notice At most `count` jobs from id `first` on; fewer, or none, where the jobs end.
    function jobs(ICliCooper cooper, uint256 first, uint256 count)
        external
        view
        returns (ICliCooper.JobView[] memory page)
    {
        uint256 last = cooper.jobCount();
        if (first == 0 || first > last) return page;
        uint256 left = last - first + 1;
        page = new ICliCooper.JobView[](count < left ? count : left);
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = cooper.jobOf(first + i);
        }
    }

    /// @notice Every seat of a job, vacant ones included.
    function seats(ICliCooper cooper, uint256 job) external view returns (ICliCooper.SeatView[] memory page) {
        page = new ICliCooper.SeatView[](cooper.jobOf(job).seats);
        for (uint256 seat = 0; seat < page.length; ++seat) {
            page[seat] = cooper.seatOf(job, uint8(seat));
        }
    }

    /// @notice The heads of at most `count` accepted rounds from `first` on.
    function roundHeads(ICliCooper cooper, uint256 job, uint32 first, uint32 count)
        external
        view
        returns (bytes32[] memory page)
    {
        uint32 accepted = cooper.jobOf(job).round;
        if (first >= accepted) return page;
        uint32 left = accepted - first;
        page = new bytes32[](count < left ? count : left);
        for (uint32 i = 0; i < page.length; ++i) {
            page[i] = cooper.roundHead(job, first + i);
        }
    }

    /// @notice What each of these accounts could withdraw from a job now.
    function owed(ICliCooper cooper, uint256 job, address[] calldata accounts)
        external
        view
        returns (Account[] memory page)
    {
        page = new Account[](accounts.length);
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = Account(accounts[i], cooper.owedTo(job, accounts[i]));
        }
    }
}

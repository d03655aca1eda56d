#!/usr/bin/env python3
"""Deploys CliCooper: by Brownie as ``brownie run deploy``, or as plain Python with the options of ``clicooper deploy``.

scripts/brownie run deploy                                  on Brownie's own development chain
scripts/brownie run deploy main NAME --network sepolia      from the Brownie account NAME
.venv/bin/python scripts/deploy.py --network anvil          the command line's deployment, records included
"""

import sys


def main(account: str = "") -> str:
    """What ``brownie run deploy`` runs.

    Args:
        account: a name that `brownie accounts list` shows; by default the first account of a development chain.

    Returns:
        The contract's address.
    """
    from brownie import CliCooper, accounts, network  # noqa: PLC0415 - exists inside of Brownie only

    if account:
        deployer = accounts.load(account)
    elif network.show_active() == "development" or len(accounts):
        deployer = accounts[0]
    else:
        raise SystemExit("name an account: brownie run deploy main NAME --network ...")
    contract = deployer.deploy(CliCooper)
    print(f"CliCooper is at {contract.address} on chain {network.chain.id}")
    return str(contract.address)


def _plain() -> int:
    from clicooper.cli.main import main as clicooper  # noqa: PLC0415 - not installed where Brownie is

    return clicooper(["deploy", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(_plain())

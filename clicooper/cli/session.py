"""What the commands around a node share: the settings, the connection, the keystores and their passwords.

Passwords come from a file or a hidden prompt, never from the command line, where every user of a machine can read them.
"""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from eth_utils import is_address, to_checksum_address

from clicooper.chain.client import Contract
from clicooper.chain.compile import CONTRACT
from clicooper.chain.deployments import latest_deployment
from clicooper.chain.fees import SendPolicy
from clicooper.chain.keys import LocalAccount, load_keystore, read_keystore
from clicooper.chain.rpc.node import Node
from clicooper.config import EMBEDDED, ClientConfig, Settings, load_config
from clicooper.errors import UsageError
from clicooper.files import read_bounded
from clicooper.plain_text import plain
from clicooper.types import Address
from clicooper.urls import shown_address
from clicooper.user_text import decode_text

__all__ = [
    "account_name",
    "connected",
    "contract_address",
    "contract_client",
    "first_line",
    "hidden_prompt",
    "keystore_file",
    "keystore_folder",
    "lasting_chain",
    "open_account",
    "read_password",
    "settings",
    "stored_address",
    "stored_names",
]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
MAX_PASSWORD_FILE_BYTES = 4096


def settings(context: typer.Context, **options: object) -> Settings:
    """The configuration with the command line's global options on top, and a command's own by key."""
    return load_config(**context.obj["settings"], **options)


def connected(config: ClientConfig) -> Node:
    """The chosen network's node, to be used as a context manager."""
    return Node.embedded() if config.network_url == EMBEDDED else Node.connect(config.network_url)


@contextmanager
def lasting_chain(config: ClientConfig) -> Iterator[Node]:
    """The chosen network's node, unless it is the embedded one, which knows no job of an earlier command."""
    if config.network_url == EMBEDDED:
        hint = "choose one with --network, such as anvil or a URL"
        raise UsageError("the embedded chain ends with each command: there is no job on it", hint=hint)
    with connected(config) as node:
        yield node


def contract_client(
    config: ClientConfig, node: Node, address: str | None = None, account: LocalAccount | None = None
) -> Contract:
    """The client of the named contract, or of the newest that was deployed from here."""
    place = latest_deployment(config.home, node.chain_id, CONTRACT).address if address is None else address
    return Contract(node, contract_address(place), account, policy=SendPolicy.usual(node, home=config.home))


def contract_address(text: str) -> Address:
    """An address from the command line.

    Raises:
        UsageError: it is none, or its capitals are not the checksum of EIP-55.
    """
    digits = text.removeprefix("0x")
    mixed = digits not in (digits.lower(), digits.upper())
    if digits == text or not is_address(text) or (mixed and to_checksum_address(text) != text):
        hint = "an address is 0x and 40 hex digits; mixed capitals must be its checksum: copy it again"
        raise UsageError(f"{shown_address(text)} is no address", hint=hint)
    return Address(to_checksum_address(text))


def keystore_folder(config: ClientConfig) -> Path:
    """Where the keystores are."""
    return config.home / "keystore"


def keystore_file(config: ClientConfig, name: str) -> Path:
    """The file of one account; raises UsageError for a name that could leave the folder."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no account name", hint="use 1 to 64 letters, digits, dots, dashes, underscores")
    return keystore_folder(config) / f"{name}.json"


def stored_names(config: ClientConfig) -> list[str]:
    """The names of all accounts, sorted."""
    try:
        files = sorted(keystore_folder(config).glob("*.json"))
    except OSError as e:
        raise UsageError(f"cannot read {keystore_folder(config)}: {e.strerror}", hint="check its owner") from e
    return [file.stem for file in files if NAME.fullmatch(file.stem)]


def stored_address(path: Path) -> Address | None:
    """The address that a keystore names, without its password; None if it names none."""
    address = read_keystore(path).get("address")
    return Address(to_checksum_address(address)) if isinstance(address, str) and is_address(address) else None


def account_name(config: ClientConfig) -> str:
    """The account that acts: the chosen one, or the only one there is.

    Raises:
        UsageError: none is chosen, and there is none or more than one.
    """
    if config.account is not None:
        return config.account
    names = stored_names(config)
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"no account in {keystore_folder(config)}", hint="make one with: clicooper account new")
    raise UsageError(f"there are {len(names)} accounts", hint=f"choose one with --account: {', '.join(names)}")


def open_account(config: ClientConfig) -> LocalAccount:
    """The account that acts, its key decrypted into this process's memory."""
    name = account_name(config)
    path = keystore_file(config, name)
    read_keystore(path)
    return load_keystore(path, read_password(config, f"Password of {name}: "))


def read_password(
    config: ClientConfig, prompt: str, *, again: bool = False, ask: Callable[[str], str] | None = None
) -> str:
    """A password, from the file that the settings name or from a hidden prompt.

    Args:
        prompt: what to ask with.
        again: ask twice, for a new password.
        ask: what asks; a hidden prompt on the terminal by default.

    Raises:
        UsageError: no file is named and nobody can be asked, the file is unusable, or two answers differ.
    """
    if config.password_file is not None:
        return first_line(config.password_file, "password")
    ask = ask or hidden_prompt
    password = ask(prompt)
    if again and ask("The same again: ") != password:
        raise UsageError("the two passwords differ", hint="type the same one twice")
    return password


def first_line(path: Path, what: str) -> str:
    """The first line of a file that holds a secret; the secret never reaches a message."""
    hint = f"name a file whose first line is the {what}"
    data = read_bounded(path, MAX_PASSWORD_FILE_BYTES, what=f"{what} from", error=UsageError, hint=hint)
    try:
        text = decode_text(data)
    except ValueError as e:
        raise UsageError(f"cannot read the {what} from {path}: {e}", hint=hint) from e
    line = text.split("\n", 1)[0].removesuffix("\r")
    if not line:
        raise UsageError(f"{path} has no {what} in its first line", hint=hint)
    return line


def hidden_prompt(prompt: str) -> str:
    """Asks at the terminal without showing the answer; raises UsageError where there is no terminal."""
    if not sys.stdin.isatty():
        raise UsageError("a secret is needed and there is no terminal to ask at", hint="give --password-file FILE")
    try:
        return getpass.getpass(plain(prompt), stream=sys.stderr)
    except EOFError as e:
        raise UsageError("no secret was typed", hint="type it, or give --password-file FILE") from e

"""No message repeats more of an address than scheme, host and port."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicooper.urls import hide_paths, shown_address

KEY = "KEY0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"wss://mainnet.example/ws/v3/{KEY}", "wss://mainnet.example..."),
        (f"wss://mainnet.example:443/?apikey={KEY}", "wss://mainnet.example:443..."),
        (f"mainnet.example/v3/{KEY}", "mainnet.example..."),
        (f"mainnet.example:8545/v3/{KEY}", "mainnet.example:8545..."),
        (f"https//mainnet.example/v3/{KEY}", "https..."),
        (f"https:/mainnet.example/v3/{KEY}", "https..."),
        (f"https:\\\\mainnet.example\\{KEY}", "https..."),
        (f"https://mainnet.example:port/v3/{KEY}", "https://mainnet.example..."),
        (f"https://mainnet.example:{KEY}", "https://mainnet.example..."),
        (f"https://mainnet.example#{KEY}", "https://mainnet.example..."),
        (f"https://user:{KEY}@mainnet.example", "https://mainnet.example..."),
        (f"https://{KEY}@mainnet.example/", "https://mainnet.example..."),
        (f"https://{KEY}:pa/ss@mainnet.example/", "https://..."),
        (f"https://{KEY}:pa?ss@mainnet.example/", "https://..."),
        (f"https://{KEY}%3Apw%40mainnet.example", "https://..."),
        (f"user:{KEY}@mainnet.example", "mainnet.example..."),
        (f"ipfs:wss://mainnet.example/{KEY}", "ipfs:wss://mainnet.example..."),
        (f"ipfs:https://user:{KEY}@mainnet.example:5001", "ipfs:https://mainnet.example:5001..."),
        (f"ipfs:/dns/mainnet.example/tcp/{KEY}", "ipfs:..."),
        (f"ftp://[::1]:21/{KEY}", "ftp://[::1]:21..."),
        (f" https://mainnet.example/{KEY}", "..."),
        ("ws://127.0.0.1:8545", "ws://127.0.0.1:8545"),
        ("http://[broken", "http://[broken"),
        ("mainnet", "mainnet"),
        ("", ""),
    ],
)
def test_refused_address_shows_scheme_and_host_at_most(text: str, shown: str) -> None:
    assert shown_address(text) == shown
    assert KEY not in shown_address(text)


SECRETS = st.text("KXZ", min_size=8)


@given(
    st.sampled_from(["https://", "wss://", "ipfs:http://", "", "https:/", "//"]),
    st.sampled_from(["", "{}@", "u:{}@", "{}:p@", "{}:{}@"]),
    st.sampled_from(["h.example", "[::1]", "127.0.0.1:80", "h.example:{}"]),
    st.sampled_from(["/{}", "?k={}", "#{}", "/v3/{}?a={}", "\\{}", "/a@{}", " {}", "/%2f{}"]),
    SECRETS,
)
def test_secret_is_hidden_wherever_it_stands(scheme: str, user: str, host: str, rest: str, secret: str) -> None:
    text = scheme + (user + host + rest).replace("{}", secret)
    assert secret not in shown_address(text)
    if "://" in text and " " not in text:
        assert secret not in hide_paths(f"{text}: refused")


def test_message_keeps_its_words_around_an_address() -> None:
    said = hide_paths(f'Got "https://user:pw@h.example:80/{KEY}", (http://h.example): see http://h.example/{KEY}.')
    assert said == 'Got "https://h.example:80...", (http://h.example): see http://h.example....'

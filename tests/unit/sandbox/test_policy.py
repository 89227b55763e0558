import pytest

from flowray.errors import InvalidRequestError
from flowray.sandbox.policy import Policy, is_address, is_public


def test_nothing_is_allowed_by_default() -> None:
    assert not Policy(hosts=()).allows("example.org", 443)


@pytest.mark.parametrize("port", [80, 443])
def test_a_name_without_a_port_means_the_web(port: int) -> None:
    assert Policy(hosts=("example.org",)).allows("example.org", port)


@pytest.mark.parametrize(
    ("host", "port"),
    [("example.org", 22), ("evil-example.org", 443), ("example.org.evil.net", 443), ("sub.example.org", 443)],
)
def test_what_only_looks_alike_is_refused(host: str, port: int) -> None:
    assert not Policy(hosts=("example.org",)).allows(host, port)


def test_a_star_means_names_below_and_not_the_name_itself() -> None:
    policy = Policy(hosts=("*.example.org",))

    assert policy.allows("a.b.example.org", 443)
    assert not policy.allows("example.org", 443)
    assert not policy.allows("badexample.org", 443)


def test_a_port_means_that_port_only() -> None:
    policy = Policy(hosts=("db.example.org:5432",))

    assert policy.allows("db.example.org", 5432)
    assert not policy.allows("db.example.org", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.0.0.1", "127.1", "::1", "0x7f000001"])
def test_an_address_needs_the_operator_too(host: str) -> None:
    assert is_address(host)
    assert not Policy(hosts=("*.1", "127.0.0.1", "2130706433")).allows(host, 443)


def test_an_operator_can_allow_an_address() -> None:
    policy = Policy(hosts=("127.0.0.1:4000",), private=("127.0.0.1:4000",))

    assert policy.allows("127.0.0.1", 4000)
    assert not policy.allows("127.0.0.1", 4001)


def test_a_refusal_names_the_list_that_lacks_the_host() -> None:
    policy = Policy(hosts=("127.0.0.1:4000",), private=("127.0.0.1",))

    assert "private_hosts" in policy.why_not("127.0.0.1", 4000)
    assert "egress" in policy.why_not("127.0.0.1", 4001)


def test_what_is_private_is_still_not_allowed_unless_listed() -> None:
    assert not Policy(hosts=(), private=("127.0.0.1:4000",)).allows("127.0.0.1", 4000)


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.", "exa mple.org", "user@example.org", "a:0", "a:99999", "a:x", "[::1]:80", "http://a", "a/b", "-a"],
)
def test_an_entry_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(InvalidRequestError):
        Policy(hosts=(entry,))


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "::10.0.0.1",
        "fe80::1%eth0",
        "not an address",
    ],
)
def test_addresses_that_lead_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)

"""Which listeners a sandbox gets for the hosts it may reach."""

from __future__ import annotations

from flowray.sandbox.doors import GATE_PORT, MOST_DOORS, Door, doors_of
from flowray.sandbox.policy import Policy


def test_each_exact_name_has_an_address_of_its_own() -> None:
    found = doors_of(Policy(("db.test:5432", "cache.test:6379", "db.test:443")))

    assert found.doors == (
        Door(host="db.test", address="127.0.1.1", port=5432),
        Door(host="cache.test", address="127.0.1.2", port=6379),
        Door(host="db.test", address="127.0.1.1", port=443),
    )
    assert found.said["names"] == {"db.test": "127.0.1.1", "cache.test": "127.0.1.2"}
    assert found.said["ports"] == [443, GATE_PORT, 5432, 6379]


def test_a_name_without_a_port_has_doors_at_those_of_the_web() -> None:
    assert [door.port for door in doors_of(Policy(("api.test",))).doors] == [80, 443]


def test_a_name_that_is_listed_twice_has_one_door_per_port() -> None:
    assert [door.port for door in doors_of(Policy(("api.test", "api.test:443", "api.test:80"))).doors] == [80, 443]


def test_no_door_leads_to_names_that_are_not_known() -> None:
    assert doors_of(Policy(("*.example.org",))).doors == ()


def test_a_door_to_the_hosts_own_loopback_has_its_address() -> None:
    listed = ("127.0.0.1:9999", "127.0.1.7:80", "10.1.2.3:5432")

    found = doors_of(Policy(listed, private=listed))

    assert found.doors == (Door(host="127.0.0.1", address="127.0.0.1", port=9999),)
    assert found.said["names"] == {}


def test_an_address_that_the_operator_did_not_list_has_no_door() -> None:
    assert doors_of(Policy(("127.0.0.1:9999",))).doors == ()


def test_the_gates_own_port_stays_the_gates() -> None:
    listed = (f"127.0.0.1:{GATE_PORT}",)

    assert doors_of(Policy(listed, private=listed)).doors == ()


def test_there_is_an_end_to_doors() -> None:
    found = doors_of(Policy(tuple(f"h{number}.test" for number in range(100))))

    assert len(found.doors) == MOST_DOORS
    assert len(found.direct) == MOST_DOORS // 2


def test_clients_need_no_proxy_for_what_has_doors() -> None:
    assert doors_of(Policy(("api.test", "db.other:5432", "*.example.org"))).direct == ("api.test", "db.other:5432")


def test_clients_ask_the_proxy_where_an_entry_would_mean_another_listed_name_too() -> None:
    listed = ("api.test", "my.api.test:5432", "a.example.org", "*.example.org")

    assert doors_of(Policy(listed)).direct == ("my.api.test:5432",)

"""Tenants in a file."""

from __future__ import annotations

import pytest

from flowray.errors import InvalidRequestError
from flowray.tenancy.declared import changes, declared, shown
from flowray.tenancy.tenant import Tenant

FILE = """
tenants:
  acme:
    name: Acme
    egress: [api.openai.com]
    roles: {devs: editor}
  plain:
"""


def test_what_is_not_there_is_made() -> None:
    found = changes(declared(FILE), [])
    assert [(one.tenant, one.is_new) for one in found] == [("acme", True), ("plain", True)]
    assert found[0].settings["egress"] == ["api.openai.com"]


def test_what_is_as_declared_is_left_alone() -> None:
    acme = Tenant(id="acme", name="Acme", egress=("api.openai.com",), roles={"devs": "editor"})
    assert changes(declared(FILE), [acme.as_json(), Tenant(id="plain").as_json()]) == []


def test_only_what_differs_is_changed_and_only_at_the_revision_that_was_seen() -> None:
    acme = Tenant(id="acme", name="Old", egress=("api.openai.com",), roles={"devs": "editor"}, revision="r1")
    (found, _) = changes(declared(FILE), [acme.as_json()])
    assert (found.settings, found.before, found.revision) == ({"name": "Acme"}, {"name": "Old"}, "r1")


def test_what_is_not_declared_stays() -> None:
    other = Tenant(id="other", name="Other")
    acme = Tenant(id="acme", name="Acme", egress=("api.openai.com",), roles={"devs": "editor"}, quotas={"flows": 1})
    assert [one.tenant for one in changes(declared(FILE), [other.as_json(), acme.as_json()])] == ["plain"]


def test_a_diff_shows_what_was_and_what_will_be() -> None:
    old = Tenant(id="acme", name="Old", roles={"devs": "editor"})
    (changed, new) = changes(declared(FILE), [old.as_json()])
    assert shown(changed).splitlines() == [
        "~ acme",
        "  - name: Old",
        "  + name: Acme",
        "  - egress: null",
        "  + egress: [api.openai.com]",
    ]
    assert shown(new) == "+ plain"


KEYS = """
tenants:
  acme:
    keys:
      ci: {roles: [runner, viewer], expires_at: 2027-01-31}
      dev: {roles: [editor]}
      old: null
"""


def key(name: str, *roles: str, expires_at: str | None = None) -> dict[str, object]:
    return {"id": f"id-of-{name}", "name": name, "roles": list(roles), "expires_at": expires_at}


def test_keys_are_made_settled_and_revoked_by_name_and_others_stay() -> None:
    acme, theirs = Tenant(id="acme").as_json(), [key("dev", "viewer"), key("old", "admin"), key("not named", "admin")]

    (found,) = changes(declared(KEYS), [acme], {"acme": theirs})

    assert shown(found).splitlines() == [
        "~ acme",
        "  + keys.ci: {roles: [runner, viewer], expires_at: 2027-01-31T00:00:00+00:00}",
        "  - keys.dev: {roles: [viewer]}",
        "  + keys.dev: {roles: [editor]}",
        "  - keys.old: {roles: [admin]}",
    ]
    assert [(one.name, one.id) for one in found.keys] == [("ci", ""), ("dev", "id-of-dev"), ("old", "id-of-old")]


def test_keys_that_are_as_declared_are_left_alone() -> None:
    theirs = [key("ci", "viewer", "runner", expires_at="2027-01-31T00:00:00+00:00"), key("dev", "editor")]

    assert changes(declared(KEYS), [Tenant(id="acme").as_json()], {"acme": theirs}) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tenants: {acme: {keys: [ci]}}", "`tenants.acme`: `keys` must be a mapping"),
        ("tenants: {acme: {keys: {ci: {}}}}", "must have `roles`"),
        ("tenants: {acme: {keys: {ci: {roles: [operator]}}}}", "`keys`.ci.roles"),
        ("tenants: {acme: {keys: {ci: {roles: [viewer], days: 3}}}}", "nothing else"),
        ("tenants: {acme: {keys: {ci: {roles: [viewer], expires_at: soon}}}}", "expires_at"),
        ("tenants: {acme: {keys: {1: {roles: [viewer]}}}}", "a key's name"),
        ("", "tenants"),
        ("[]", "tenants"),
        ("tenants: []", "`tenants` must be a mapping"),
        ("tenants: {acme: 1}", "tenants.acme"),
        ("tenants: {acme: {colour: red}}", "`tenants.acme`: `colour`"),
        ("tenants: {acme: {state: asleep}}", "`tenants.acme`: `state`"),
        ("tenants: {Not An Id: {}}", "cannot be a tenant"),
        ("tenants: {acme: {}\n", "not YAML"),
        ("tenants: {}\nusers: {}", "nothing else"),
        ("tenants: !!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, place: str) -> None:
    with pytest.raises(InvalidRequestError, match=place):
        declared(text)

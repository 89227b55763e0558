from flowray.tenancy.keys import digest_of, mint
from flowray.tenancy.tenant import DEFAULT_TENANT, tenant_id


def test_a_key_has_256_bits_behind_its_prefix() -> None:
    key = mint()
    assert key.startswith("fr-")
    assert len(key) == 3 + 43
    assert key != mint()


def test_a_digest_is_the_sha256_of_the_key() -> None:
    assert digest_of("fr-key") == "da55d754d74193f6b37b0f1d7be5cecb9d1b93b54fa312868ea5387a273a0c0b"


def test_the_default_tenant_is_one() -> None:
    assert tenant_id(DEFAULT_TENANT) == "default"

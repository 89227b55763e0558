"""Lanes that leave the machine are encrypted: they carry the runs' secrets.

Both ends have the service's secret, so there is nothing to hand out: the Runner's key follows from the secret, and the
engine takes no other end for a Runner's. Who may speak is still decided by the proofs (see `proof`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ssl
import tempfile
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowray_serve.lanes.frames import LaneError

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_YEARS_10 = dt.timedelta(days=3650)
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


@lru_cache(maxsize=8)
def runner_side(secret: bytes) -> ssl.SSLContext:
    """Return what a Runner listens with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    key = _key(secret)
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.TemporaryDirectory() as folder:  # `ssl` reads certificates from files only
        file = Path(folder) / "lane.pem"
        file.touch(mode=0o600)
        file.write_bytes(plain + _certificate(key).public_bytes(_PEM))
        context.load_cert_chain(file)
    return context


@lru_cache(maxsize=1)
def engine_side() -> ssl.SSLContext:
    """Return what an engine connects with; whom it has reached is for `require_runner` to say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def require_runner(transport: asyncio.BaseTransport, secret: bytes) -> None:
    """Raise `LaneError` unless the other end has the key that follows from the secret."""
    encrypted: ssl.SSLObject = transport.get_extra_info("ssl_object")
    shown = encrypted.getpeercert(binary_form=True)
    if shown is None or _public(x509.load_der_x509_certificate(shown).public_key()) != _public(
        _key(secret).public_key()
    ):
        raise LaneError("The other end of the lane is none of this service's Runners.")


def _key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha512(b"flowray lane key\0" + secret).digest())
    return ec.derive_private_key(number % (_ORDER - 1) + 1, _CURVE)


def _public(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flowray runner")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
    dated = builder.serial_number(x509.random_serial_number()).not_valid_before(now - _YEARS_10)
    return dated.not_valid_after(now + _YEARS_10).sign(key, hashes.SHA256())

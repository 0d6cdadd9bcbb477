"""The name that was asked for is the name in SNI, in the certificate and in Host, whatever is connected to."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.integration.webhooks.conftest import QUICK

from headrace.adapters.receivers.http.receivers import open_http_receivers
from headrace.core.addresses import Address, Reach, networks
from headrace.testkit.receivers import a_receiver

NAME = "receiver.example"
REACH = Reach(networks=networks("127.0.0.0/8"))


async def resolve(host: str, port: int) -> list[Address]:
    return [ip_address("127.0.0.1")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of NAME, signed by itself; with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)  # noqa: TID251  # a certificate is good at real times
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


@pytest.fixture
def serving(certificate: Path) -> Callable[[list[str | None]], ssl.SSLContext]:
    """A server's side, which notes what names it was asked for."""

    def build(asked: list[str | None]) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _, name, __: asked.append(name)
        return context

    return build


async def test_the_checked_address_is_called_by_its_name(
    certificate: Path, serving: Callable[[list[str | None]], ssl.SSLContext]
) -> None:
    asked: list[str | None] = []
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        a_receiver(tls=serving(asked)) as receiver,
        open_http_receivers(REACH, resolve=resolve, tls=trusting, limits=QUICK) as out,
    ):
        answer = await out.post(f"https://{NAME}:{receiver.port}/hook", {}, b"{}")

    assert (answer.status, asked) == (204, [NAME])
    assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"


@pytest.mark.parametrize(("trusted", "name"), [(False, NAME), (True, "other.example")])
async def test_a_certificate_of_nobody_or_of_another_name_is_not_talked_to(
    certificate: Path,
    serving: Callable[[list[str | None]], ssl.SSLContext],
    *,
    trusted: bool,
    name: str,
) -> None:
    tls = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    async with (
        a_receiver(tls=serving([])) as receiver,
        open_http_receivers(REACH, resolve=resolve, tls=tls, limits=QUICK) as out,
    ):
        answer = await out.post(f"https://{name}:{receiver.port}/hook", {}, b"{}")

    assert answer.status is None
    assert answer.error == "its certificate is not good for its name"
    assert receiver.received == []

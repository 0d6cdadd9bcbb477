"""Tokens of an OpenID issuer: what is let in, as whom, and what becomes of it while the issuer is away."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI
from typing_extensions import override

from headrace.api.auth import Keys
from headrace.api.deps import ApiDeps
from headrace.api.issuer import ASKED_EVERY_S, KEPT_S, TRIED_EVERY_S, SigningKeys, fetched, keys_in
from headrace.api.tokens import Tokens, Trust
from headrace.core.errors import Unavailable
from headrace.core.keyring import Keyring
from headrace.testkit.apps import create_app

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "headrace"
NOW: Final = 1_800_000_000.0
RSA: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JOB: Final = {"kind": "echo", "input": {"text": "hello"}}


def public(kid: str, key: Any = RSA, **more: Any) -> dict[str, Any]:
    algorithm: Any = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    (how,) = [each for kind, each in algorithm.items() if isinstance(key, kind)]
    return {**json.loads(how.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


@dataclass
class Issuer:
    """One that answers from here, counts how often it is asked, and may be away."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [public("one")])
    away: bool = False
    body: bytes | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, address: str) -> bytes:
        self.asked.append(address)
        if self.away:
            raise Unavailable("the OpenID issuer", "it is away")
        if address.endswith("/.well-known/openid-configuration"):
            return json.dumps({"jwks_uri": f"{ISSUER}/keys"}).encode()
        return self.body or json.dumps({"keys": self.keys}).encode()


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def monotonic() -> Hands:
    return Hands()


@pytest.fixture
def tokens(issuer: Issuer, monotonic: Hands) -> Tokens:
    keys = SigningKeys(ISSUER, fetch=issuer, monotonic=monotonic)
    return Tokens(Trust(issuer=ISSUER, audience=AUDIENCE), keys)


def signed(key: Any = RSA, *, kid: str | None = "one", alg: str = "RS256", **claims: Any) -> str:
    """A good token, but for what is said; a claim that is None is left out."""
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "scope": "openid headrace:submit",
        "exp": 4_000_000_000,
        **claims,
    }
    headers = {} if kid is None else {"kid": kid}
    whole = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(whole, key, algorithm=alg, headers=headers)


async def test_a_good_token_is_a_caller_with_its_tenant_scopes_and_end(tokens: Tokens) -> None:
    caller = await tokens.caller(signed())

    assert caller is not None
    assert (caller.tenant, set(caller.scopes)) == ("ada", {"submit"})
    assert caller.until == 4_000_000_000
    assert caller.api_key is None


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["ES256", "EdDSA"],
)
async def test_other_kinds_of_signatures_are_good_too(
    tokens: Tokens, issuer: Issuer, alg: str, key: Any
) -> None:
    issuer.keys = [public("one", key)]

    assert await tokens.caller(signed(key, alg=alg)) is not None


def unsigned() -> str:
    return jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": 4e9}, "", "none")


def signed_with_the_public_key() -> str:
    """As if it were a shared secret: made by hand, since the library refuses to."""
    head = {"alg": "HS256", "kid": "one", "typ": "JWT"}
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": 4_000_000_000}

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signing = f"{part(head)}.{part(body)}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = mac.sign(signing.encode(), public("one")["n"].encode())
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


BAD: Final[dict[str, Callable[[], str]]] = {
    "over": lambda: signed(exp=1_000_000_000),
    "without an end": lambda: signed(exp=None),
    "of another issuer": lambda: signed(iss="https://another.example"),
    "without an issuer": lambda: signed(iss=None),
    "for another audience": lambda: signed(aud="another"),
    "without an audience": lambda: signed(aud=None),
    "not yet good": lambda: signed(nbf=3_900_000_000),
    "signed by another": lambda: signed(OTHER_RSA),
    "without a name of its key": lambda: signed(kid=None),
    "of a key that nobody has": lambda: signed(kid="two"),
    "not signed": unsigned,
    "signed with the public key": signed_with_the_public_key,
    "of an algorithm that the key is not for": lambda: signed(
        ec.generate_private_key(ec.SECP256R1()), alg="ES256"
    ),
    "without a tenant": lambda: signed(sub=None),
    "of a tenant that cannot be": lambda: signed(sub="headrace/shadow"),
    "too long": lambda: signed(more="x" * 9000),
    "nonsense": lambda: "no.token.this",
    "changed afterwards": lambda: signed()[:-10] + "AAAAAAAAAA",
}


@pytest.mark.parametrize("why", BAD)
async def test_what_is_not_good_is_refused(tokens: Tokens, why: str) -> None:
    assert await tokens.caller(BAD[why]()) is None


async def test_claims_have_the_names_that_settings_say(issuer: Issuer) -> None:
    trust = Trust(issuer=ISSUER, audience=AUDIENCE, tenant_claim="org", scopes_claim="permissions")
    tokens = Tokens(trust, SigningKeys(ISSUER, fetch=issuer))

    caller = await tokens.caller(
        signed(org="acme", permissions=["read", "worker", "headrace:admin:read", "a", 7])
    )

    assert caller is not None
    assert (caller.tenant, set(caller.scopes)) == ("acme", {"read", "worker", "admin:read"})


async def test_the_issuer_is_asked_once_for_many_tokens(tokens: Tokens, issuer: Issuer) -> None:
    for _ in range(5):
        assert await tokens.caller(signed()) is not None

    assert issuer.asked == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


async def test_a_new_key_is_found_when_a_token_names_it(
    tokens: Tokens, issuer: Issuer, monotonic: Hands
) -> None:
    await tokens.caller(signed())
    issuer.keys.append(public("two", OTHER_RSA))
    monotonic.now += ASKED_EVERY_S

    assert await tokens.caller(signed(OTHER_RSA, kid="two")) is not None
    assert await tokens.caller(signed()) is not None


async def test_names_that_nobody_has_do_not_reach_the_issuer_each_time(
    tokens: Tokens, issuer: Issuer, monotonic: Hands
) -> None:
    await tokens.caller(signed())
    before = len(issuer.asked)
    for n in range(50):
        monotonic.now += ASKED_EVERY_S / 25
        assert await tokens.caller(signed(kid=f"unknown-{n}")) is None

    assert len(issuer.asked) - before <= 4


@pytest.mark.parametrize("answer", ["away", "nonsense", "no keys", "keys of another kind"])
async def test_keys_that_are_known_go_on_while_the_issuer_does_not_answer_well(
    tokens: Tokens, issuer: Issuer, monotonic: Hands, answer: str
) -> None:
    await tokens.caller(signed())
    issuer.away = answer == "away"
    issuer.body = {
        "nonsense": b"<html>",
        "no keys": b'{"keys": []}',
        "keys of another kind": b'{"keys": [{"kty": "oct", "k": "eA"}, 7]}',
    }.get(answer)
    monotonic.now += 2 * KEPT_S

    assert await tokens.caller(signed()) is not None


async def test_a_key_that_the_issuer_dropped_is_good_no_longer(
    tokens: Tokens, issuer: Issuer, monotonic: Hands
) -> None:
    await tokens.caller(signed())
    issuer.keys = [public("two", OTHER_RSA)]
    monotonic.now += KEPT_S + 1

    assert await tokens.caller(signed()) is None


async def test_before_the_issuer_has_ever_answered_nobody_can_tell(
    tokens: Tokens, issuer: Issuer
) -> None:
    issuer.away = True

    with pytest.raises(Unavailable):
        await tokens.caller(signed())


def test_keys_for_encryption_are_none_that_sign() -> None:
    both = [public("one", use="enc"), public("two")]

    assert set(keys_in(json.dumps({"keys": both}).encode())) == {"two"}


@pytest.fixture
def trusting(deps: ApiDeps, tokens: Tokens) -> FastAPI:
    auth = Keys({"red": "key-of-red"}, anonymous=None, ring=Keyring(deps.store), bearers=tokens)
    return create_app(replace(deps, auth=auth))


@pytest.fixture
async def client(trusting: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(trusting, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_every_door_lets_a_token_in_as_its_tenant(client: httpx.AsyncClient) -> None:
    made = await client.post("/jobs", json=JOB, headers=bearer(signed()))
    seen = await client.get(f"/jobs/{made.json()['id']}", headers=bearer(signed(scope="read")))
    others = await client.get(f"/jobs/{made.json()['id']}", headers=bearer(signed(sub="eve")))
    horde = await client.get("/api/v2/find_user", headers={"apikey": signed()})

    assert [each.status_code for each in (made, seen, others, horde)] == [202, 200, 404, 200]
    assert horde.json()["username"].startswith("ada#")


async def test_a_token_does_no_more_than_its_scopes(client: httpx.AsyncClient) -> None:
    read_only = await client.post("/jobs", json=JOB, headers=bearer(signed(scope="read")))
    none_of_ours = await client.post("/jobs", json=JOB, headers=bearer(signed(scope="openid")))
    operator = await client.get("/admin/keys", headers=bearer(signed(scope="admin:read")))
    no_operator = await client.get("/admin/keys", headers=bearer(signed()))

    answers = (read_only, none_of_ours, operator, no_operator)
    assert [each.status_code for each in answers] == [403, 403, 200, 404]


async def test_a_token_that_is_not_good_is_401_and_an_issuer_away_503(
    client: httpx.AsyncClient, issuer: Issuer, monotonic: Hands
) -> None:
    issuer.away = True
    away = await client.get("/jobs", headers=bearer(signed()))

    issuer.away = False
    monotonic.now += TRIED_EVERY_S
    wrong = await client.get("/jobs", headers=bearer(signed(kid="two")))

    assert (away.status_code, wrong.status_code) == (503, 401)


async def test_what_a_token_opened_ends_with_it(deps: ApiDeps, issuer: Issuer) -> None:
    hands = Hands()
    trust = Trust(issuer=ISSUER, audience=AUDIENCE)
    tokens = Tokens(trust, SigningKeys(ISSUER, fetch=issuer), clock=hands)
    auth = Keys({}, anonymous=None, bearers=tokens)

    hands.now = NOW
    assert await auth.still_good("", NOW)
    hands.now = NOW + 60
    assert not await auth.still_good("", NOW)


class Answers(BaseHTTPRequestHandler):
    """An issuer on a real port, good and bad."""

    def do_GET(self) -> None:
        match self.path:
            case "/.well-known/openid-configuration":
                self._say(json.dumps({"jwks_uri": f"http://{self.headers['host']}/keys"}).encode())
            case "/keys":
                self._say(json.dumps({"keys": [public("one")]}).encode())
            case "/large":
                self._say(b"x" * 300_000)
            case "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "/keys")
                self.end_headers()
            case _:
                self.send_error(404)

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # the library's name
        pass


@pytest.fixture
def address() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_keys_come_by_http_from_where_the_issuer_says(address: str) -> None:
    tokens = Tokens(Trust(issuer=address, audience=AUDIENCE), SigningKeys(address))

    assert await tokens.caller(signed(iss=address)) is not None


@pytest.mark.parametrize("path", ["/large", "/elsewhere", "/nowhere"])
async def test_an_answer_that_is_too_large_or_leads_elsewhere_is_none(
    address: str, path: str
) -> None:
    with pytest.raises(Unavailable):
        await fetched(f"{address}{path}")


async def test_an_issuer_that_cannot_be_reached_is_away() -> None:
    with pytest.raises(Unavailable):
        await fetched("http://127.0.0.1:9/keys")

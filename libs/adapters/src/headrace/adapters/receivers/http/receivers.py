"""Receivers by HTTP, each call on a connection of its own to an address that was judged.

A name is resolved once, here. What it resolves to is judged as a number, and that number is connected to,
while TLS and the Host header keep the name: a name that means something else a moment later (DNS
rebinding) changes nothing. Nothing is followed, nothing is read from the environment, nothing a receiver
does takes longer or more memory than its limits. Of the answer only the status and `Retry-After` count;
its body is drained for good manners and kept nowhere, so that nobody can read a network through us.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

import httpcore
from typing_extensions import override

from headrace.core.addresses import Address, Reach, Refusal, Target, check, literal, target_of
from headrace.core.ports.receivers import Answer

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Raises OSError."""

_AGENT: Final = "headrace-webhooks/1"
_ADDRESSES_TRIED: Final = 3
_LOOKUPS: Final = 16  # at once; a name server that hangs keeps a thread for as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    connect_s: float = 5.0  # for the name, then for each address
    whole_s: float = 15.0  # until the answer's head is there
    drain_s: float = 2.0  # for its body, which nobody needs
    drain_bytes: int = 65_536


class HttpReceivers:
    def __init__(
        self, reach: Reach, resolve: Resolve, *, tls: ssl.SSLContext, limits: Limits
    ) -> None:
        self._reach, self._limits = reach, limits
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,  # whoever calls has a pool of its own
            max_keepalive_connections=0,
            network_backend=_JudgedAddresses(reach, resolve, limits),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        began = time.monotonic()
        try:
            # The rules may have changed since this address was taken.
            target = target_of(url, self._reach)
            status, retry_after_s = await self._post(target, headers, body)
        except TimeoutError:
            return _no_answer(f"no answer within {self._limits.whole_s:g} s", began)
        except Refusal as error:
            return _no_answer(str(error), began)
        except httpcore.TimeoutException:
            return _no_answer("it could not be connected to in time", began)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return _no_answer(_in_words(error), began)
        return Answer(status, None, retry_after_s, time.monotonic() - began)

    async def _post(
        self, target: Target, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, float | None]:
        limits = self._limits
        request = httpcore.Request(
            "POST",
            httpcore.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.target
            ),
            headers=_head(target, headers, len(body)),
            content=body,
            extensions={"timeout": {"connect": limits.connect_s}},
        )
        async with asyncio.timeout(limits.whole_s):
            response = await self._pool.handle_async_request(request)
        try:
            found = response.status, _retry_after(response.headers)
            with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
                async with asyncio.timeout(limits.drain_s):
                    await _drain(response, limits.drain_bytes)
        finally:
            await response.aclose()
        return found

    async def aclose(self) -> None:
        await self._pool.aclose()


class _JudgedAddresses(httpcore.AsyncNetworkBackend):
    """The one place from where a receiver is connected to."""

    def __init__(self, reach: Reach, resolve: Resolve, limits: Limits) -> None:
        self._reach, self._resolve, self._limits = reach, resolve, limits
        self._network = httpcore.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # the driver's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception = httpcore.ConnectError("its name has no address")
        for address in (await self._judged(host, port))[:_ADDRESSES_TRIED]:
            try:
                return await self._network.connect_tcp(str(address), port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def _judged(self, host: str, port: int) -> Sequence[Address]:
        """Raises Refusal unless every address may be connected to."""
        known = literal(host)
        if known is not None:
            check(known, port, self._reach)
            return [known]
        try:
            async with asyncio.timeout(self._limits.connect_s):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("its name cannot be resolved") from error
        for address in found:
            try:
                check(address, port, self._reach)
            except Refusal as error:
                # Not which one: that would tell what names mean inside this network.
                raise Refusal(f"{host} leads to an address that is not called from here") from error
        return found

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def open_http_receivers(
    reach: Reach,
    *,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> AsyncGenerator[HttpReceivers]:
    """Names are looked up in threads of their own: those of the loop are for what jobs need."""
    lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-names")
    receivers = HttpReceivers(
        reach,
        resolve or _by_the_system(lookups),
        tls=tls or httpcore.default_ssl_context(),
        limits=limits or Limits(),
    )
    try:
        yield receivers
    finally:
        await receivers.aclose()
        lookups.shutdown(wait=False, cancel_futures=True)


def _by_the_system(lookups: ThreadPoolExecutor) -> Resolve:
    def look_up(host: str, port: int) -> list[Address]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A scope, as in fe80::1%eth0, names a link: nothing that is called.
        return [ip_address(str(each[4][0]).partition("%")[0]) for each in found]

    async def resolve(host: str, port: int) -> list[Address]:
        return await asyncio.get_running_loop().run_in_executor(lookups, look_up, host, port)

    return resolve


def _head(target: Target, headers: Mapping[str, str], length: int) -> list[tuple[str, str]]:
    return [
        ("Host", target.authority),
        ("User-Agent", _AGENT),
        ("Content-Type", "application/json"),
        ("Content-Length", str(length)),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        *headers.items(),
    ]


async def _drain(response: httpcore.Response, limit: int) -> None:
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > limit:
            return


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    """A date is measured from the answer's own: whose clock is wrong does not matter then."""
    found = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    said = found.get(b"retry-after", "")
    if said.isascii() and said.isdecimal():
        return float(said[:9])
    try:
        until = parsedate_to_datetime(said) - parsedate_to_datetime(found.get(b"date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, until.total_seconds())


def _in_words(error: Exception) -> str:
    """Without what the system says of addresses."""
    match error:
        case httpcore.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return "its certificate is not good for its name"
        case httpcore.ConnectError():
            said = str(error)
            return said if said.startswith("its name") else "it could not be connected to"
        case httpcore.ProtocolError() if "disconnected" not in str(error):
            return "what it answered is not HTTP"
        case _:
            return "it closed the connection without an answer"


def _no_answer(why: str, began: float) -> Answer:
    return Answer(None, why, None, time.monotonic() - began)

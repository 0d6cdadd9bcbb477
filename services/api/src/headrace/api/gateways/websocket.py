"""WebSocket over the frames of many jobs: one conversation a socket.

There is no queue here. What comes live is written by the hand of the channel's reader while the client
has room for it; else every subscription asks `watch` for more when the socket has taken what it got,
in turn with the others. A slow client is served from the log and delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from fastapi import Security
from fastapi.security import SecurityScopes
from starlette.websockets import (
    WebSocket,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketState,
)

from headrace.api.addresses import job_id, position
from headrace.api.auth import presented, scope_missing
from headrace.api.deps import ApiDeps, Deps
from headrace.api.direct import direct_socket
from headrace.api.gateways.messages import framed, framed_messages, message, messages_for_all
from headrace.api.gateways.origins import is_allowed
from headrace.api.gateways.watching import Watching, find, frames
from headrace.api.problems import Problem, Refused, malformed
from headrace.api.tickets import Holder, holder_of, must_be_good, redeem
from headrace.contracts.frames import Entry
from headrace.contracts.ids import JobId
from headrace.core.errors import HeadraceError
from headrace.core.ports.keys import Scope
from headrace.core.usecases.cancel import ask_cancel

Explain: TypeAlias = Callable[[Exception], Problem]
_POLICY, _TOO_BIG, _RESTART, _DONE = 1008, 1009, 1012, 1000
_MESSAGES_A_WRITE: Final = 64
_FOREIGN: Final = Problem(
    403, "foreign-origin", "Pages of this origin may not connect", "Add it to CORS_ORIGINS."
)
_READ_ONLY: Final = Problem(
    403, "read-only", "A ticket lets you watch, no more", "Cancel with a key: POST /jobs/ID/cancel."
)


Opening: TypeAlias = Callable[[Holder], Awaitable[AsyncGenerator[Sequence[bytes]]]]
"""What a socket is for that is not a job's: its messages, for whoever may see them."""


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send: exactly one of these, `after` only beside `subscribe`."""

    subscribe: str | None = None
    after: str | None = None
    unsubscribe: str | None = None
    cancel: str | None = None
    authorization: str | None = None


@dataclass(frozen=True, slots=True)
class Handshake:
    """What came of it. Neither: the key comes with the first message, as browsers cannot send it before."""

    holder: Holder | None = None
    refusal: Refused | HeadraceError | None = None


async def _handshake(socket: WebSocket, deps: Deps, needed: SecurityScopes) -> Handshake:
    try:
        return Handshake(await _at_the_door(socket, deps, needed))
    except (Refused, HeadraceError) as error:
        return Handshake(refusal=error)


Door: TypeAlias = Annotated[Handshake, Security(_handshake, scopes=[Scope.READ])]


async def serve_socket(
    socket: WebSocket,
    deps: ApiDeps,
    door: Handshake,
    *,
    explain: Explain,
    only: tuple[str, str | None] | Opening | None = None,
) -> None:
    """Serve until the client leaves, the server stops, or `only` (a job and a position, or more) has ended."""
    if door.refusal is not None:
        await socket.send_denial_response(explain(door.refusal).response())
        return
    await socket.accept()
    conversation = Conversation(socket, deps, explain, door.holder)
    code = _DONE
    try:
        await conversation.run(only)
        code = conversation.code
    except* TimeoutError:
        code = _POLICY  # it took nothing for `send_s`
    except* (WebSocketDisconnect, WebSocketDisconnected):  # met by who listens, or by who speaks
        pass
    await _close(socket, code, within_s=deps.limits.send_s)


async def _at_the_door(socket: WebSocket, deps: ApiDeps, needed: SecurityScopes) -> Holder | None:
    if not is_allowed(socket.headers, deps.cors_origins):
        raise Refused(_FOREIGN)
    if (ticket := socket.query_params.get("ticket")) is not None:
        return await redeem(deps, ticket)
    if presented(socket.headers) is None and deps.auth.anonymous is None:
        return None
    return holder_of(await deps.auth.admit(socket.headers), needed.scopes)


class Conversation:
    """`run` once. `code` is what to close with then."""

    def __init__(
        self, socket: WebSocket, deps: ApiDeps, explain: Explain, holder: Holder | None
    ) -> None:
        self._socket, self._deps, self._explain = socket, deps, explain
        self._direct = direct_socket(socket.scope)
        self._holder = holder
        self._by_ticket = "ticket" in socket.query_params
        self._turn = asyncio.Lock()  # one message at a time; waiters are served in order
        self._tasks = asyncio.TaskGroup()
        self._followers: dict[JobId, asyncio.Task[None]] = {}
        self._expiring: asyncio.Task[None] | None = None
        self._listener = asyncio.current_task()
        self._over = False
        self.code = _DONE

    async def run(self, only: tuple[str, str | None] | Opening | None) -> None:
        try:
            with self._deps.stopping.calls(partial(self._end, _RESTART)):
                async with self._tasks:
                    await self._converse(only)
                    self._leave()
        except asyncio.CancelledError:
            if not self._over:
                raise
        finally:
            if self._over and self._listener is not None:
                self._listener.uncancel()

    def _end(self, code: int) -> None:
        """From outside the task that listens: thousands of sockets keep no task that waits for this."""
        if not self._over and self._listener is not None:
            self._over, self.code = True, code
            self._listener.cancel()

    def _leave(self) -> None:
        self._over = True
        for follower in self._followers.values():
            follower.cancel()
        if self._expiring is not None:
            self._expiring.cancel()

    async def _converse(self, only: tuple[str, str | None] | Opening | None) -> None:
        if self._holder is not None:
            self._admit(self._holder)
        if await self._authorized():
            if only is None:
                await self._listen()
            elif isinstance(only, tuple):
                await self._serve_one(*only)
            else:
                await self._serve_opened(only)

    def _admit(self, holder: Holder) -> None:
        self._holder = holder
        if self._expiring is None and (
            self._by_ticket or holder.digest or holder.until is not None
        ):
            self._expiring = self._tasks.create_task(self._expire())

    async def _expire(self) -> None:
        """What a ticket opened is closed in time; a key is good as long as nobody revokes it."""
        limits, clock = self._deps.limits, asyncio.get_running_loop().time
        ends_at = clock() + limits.ticket_session_s if self._by_ticket else inf
        while clock() < ends_at and await self._still_good():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(min(limits.recheck_s, ends_at - clock()))
        self._end(_POLICY)

    async def _still_good(self) -> bool:
        holder = self._holder
        return holder is None or await self._deps.auth.still_good(holder.digest, holder.until)

    async def _authorized(self) -> bool:
        """Without a key in the handshake, the first message must bring it."""
        if self._holder is not None:
            return True
        try:
            async with asyncio.timeout(self._deps.limits.authorization_s):
                first = _read(await self._receive())
            await self._authorize(first)
        except TimeoutError:
            await self._complain(malformed('Send {"authorization": KEY} first.'))
        except (Refused, HeadraceError) as error:
            await self._complain(error)
        if self._holder is None:
            self.code = _POLICY
        return self._holder is not None

    async def _authorize(self, said: Said) -> None:
        if said.authorization is None:
            raise malformed('Send {"authorization": KEY} first.')
        key = said.authorization.removeprefix("Bearer ")
        self._admit(holder_of(await self._deps.auth.caller_with(key), [Scope.READ]))

    async def _serve_one(self, job: str, after: str | None) -> None:
        try:
            await self._subscribe(job, after)
        except (Refused, HeadraceError) as error:
            await self._complain(error, job)
            self.code = _POLICY
        else:
            for follower in self._followers.values():
                follower.add_done_callback(lambda _: self._end(_DONE))
            await self._listen()

    async def _serve_opened(self, opening: Opening) -> None:
        try:
            batches = await opening(await self._owner())
        except (Refused, HeadraceError) as error:
            await self._complain(error)
            self.code = _POLICY
            return
        follower = self._tasks.create_task(self._pass_on_all(batches))
        self._followers[JobId("")] = follower  # of no job, but let go of with the others
        follower.add_done_callback(lambda _: self._end(_DONE))
        await self._listen()

    async def _pass_on_all(self, batches: AsyncGenerator[Sequence[bytes]]) -> None:
        with self._deps.watched("websocket"):
            async with aclosing(batches):
                async for batch in batches:
                    for text in batch:
                        await self._send(text)

    async def _listen(self) -> None:
        while True:
            text = await self._receive()
            if len(text) > self._deps.limits.socket_message_bytes:
                self.code = _TOO_BIG
                return
            about: str | None = None
            try:
                said = _read(text)
                about = said.subscribe or said.unsubscribe or said.cancel
                await self._do(said)
            except (Refused, HeadraceError) as error:
                await self._complain(error, about)

    async def _do(self, said: Said) -> None:
        match said:
            case Said(subscribe=str(job)):
                await self._subscribe(job, said.after)
            case Said(unsubscribe=str(job)):
                self._unsubscribe(job_id(job))
            case Said(cancel=str(job)):
                await self._cancel(job_id(job))
            case _ if self._by_ticket:
                raise malformed("This socket was opened by a ticket; open another with a key.")
            case _ if self._followers:
                raise malformed("Authorize before you subscribe.")
            case _:
                await self._authorize(said)

    async def _cancel(self, job: JobId) -> None:
        owner = await self._owner()
        if owner.by_ticket:
            raise Refused(_READ_ONLY)
        if not owner.may_submit:
            raise Refused(scope_missing(Scope.SUBMIT))
        await ask_cancel(self._deps.store, owner.tenant, job)

    async def _subscribe(self, text: str, after: str | None) -> None:
        job, start = job_id(text), position(after)
        self._unsubscribe(job)
        if len(self._followers) >= self._deps.limits.subscriptions:
            raise Refused(_too_many(self._deps.limits.subscriptions))
        owner = await self._owner()
        owner.must_fit(job)
        found = await find(self._deps, owner.tenant, job)
        watching = partial(frames, self._deps, found, start)
        self._followers[job] = self._tasks.create_task(self._follow(job, watching))

    async def _follow(self, job: JobId, watching: Watching) -> None:
        def tell(batch: Sequence[Entry]) -> bool:
            return len(batch) <= _MESSAGES_A_WRITE and self._write(messages_for_all(batch, job))

        with self._deps.watched("websocket"):
            async with aclosing(watching(tell)) as batches:
                async for batch in batches:
                    for start in range(0, len(batch), _MESSAGES_A_WRITE):
                        await self._pass_on(job, batch[start : start + _MESSAGES_A_WRITE])
        self._followers.pop(job, None)

    async def _pass_on(self, job: JobId, entries: Sequence[Entry]) -> None:
        if self._write(framed_messages(entries, job)):
            await asyncio.sleep(0)  # what does not wait must still let others run
            return
        for entry in entries:
            await self._send(message(job, entry))

    def _unsubscribe(self, job: JobId) -> None:
        follower = self._followers.pop(job, None)
        if follower is not None:
            follower.cancel()

    async def _owner(self) -> Holder:
        """Whose key is still good."""
        if self._holder is None:
            raise malformed('Send {"authorization": KEY} first.')
        await must_be_good(self._deps, self._holder)
        return self._holder

    async def _receive(self) -> bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text.encode()

    async def _complain(self, error: Exception, job: str | None = None) -> None:
        said: dict[str, Any] = {"error": self._explain(error).document()}
        if job is not None:
            said["job"] = job
        await self._send(msgspec.json.encode(said))

    async def _send(self, text: bytes) -> None:
        if not self._write(framed(text)):
            # The wait for one's turn is bounded too: whoever has it is out within the limit.
            async with self._turn, asyncio.timeout(self._deps.limits.send_s):
                await self._socket.send_text(text.decode())
        await asyncio.sleep(0)  # a send that does not wait must still let others run

    def _write(self, framed_text: bytes) -> bool:
        return self._direct is not None and self._direct.write(framed_text)


def _read(text: bytes) -> Said:
    try:
        said = msgspec.json.decode(text, type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"This message cannot be read: {error}") from error
    asks = (said.subscribe, said.unsubscribe, said.cancel, said.authorization)
    if sum(ask is not None for ask in asks) != 1:
        raise malformed("Say one of subscribe, unsubscribe, cancel, authorization.")
    return said


async def _close(socket: WebSocket, code: int, *, within_s: float) -> None:
    if socket.client_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(within_s):
            await socket.close(code)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return  # it is closed already, or the server behind it does so now


def _too_many(limit: int) -> Problem:
    detail = f"One socket follows at most {limit} jobs; unsubscribe from one first."
    return Problem(429, "too-many-subscriptions", "Too many subscriptions", detail)

// The stream client's laws, against a socket that the test plays.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Frame } from "../src/frames";
import { Stream, isAfter, type Connection } from "../src/stream";

class PlayedSocket {
  static made: PlayedSocket[] = [];
  readyState = 0;
  said: unknown[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(readonly url: string) {
    PlayedSocket.made.push(this);
  }

  send(text: string) {
    this.said.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  opens() {
    this.readyState = 1;
    this.onopen?.();
  }

  breaks() {
    this.readyState = 3;
    this.onclose?.();
  }

  tells(job: string, id: string, frame: object) {
    this.onmessage?.({ data: JSON.stringify({ job, id, frame }) });
  }

  complains(error: object, job?: string) {
    this.onmessage?.({ data: JSON.stringify({ error, job }) });
  }
}

const token = (text: string) => ({ type: "token", text });
const latest = () => PlayedSocket.made.at(-1)!;

interface Watched {
  stream: Stream;
  seen: [string, Frame][];
  refusals: string[];
  connections: Connection[];
}

function watch({ after, key = null }: { after?: string; key?: string | null } = {}): Watched {
  const watched: Omit<Watched, "stream"> = { seen: [], refusals: [], connections: [] };
  const stream = new Stream({
    url: "ws://here/ws",
    key: () => key,
    open: (url) => new PlayedSocket(url) as unknown as WebSocket,
    connection: (now) => watched.connections.push(now),
    random: () => 1,
  });
  const listener = {
    frame: (position: string, frame: Frame) => watched.seen.push([position, frame]),
    refused: (complaint: { title: string }) => watched.refusals.push(complaint.title),
  };
  stream.follow("a", listener, after);
  return { stream, ...watched };
}

beforeEach(() => {
  PlayedSocket.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", { OPEN: 1 });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("positions are ordered by epoch, then by number, not as text", () => {
  expect(isAfter("2-1", "1-99")).toBe(true);
  expect(isAfter("3-10", "3-9")).toBe(true);
  expect(isAfter("3-9", "3-9")).toBe(false);
  expect(isAfter("10-1", "9-5")).toBe(true);
});

test("it asks for the whole job first", () => {
  watch();

  latest().opens();

  expect(latest().said).toEqual([{ subscribe: "a" }]);
});

test("it asks from a given position on", () => {
  watch({ after: "3-17" });

  latest().opens();

  expect(latest().said).toEqual([{ subscribe: "a", after: "3-17" }]);
});

test("a frame that was seen is not seen again", () => {
  const { seen } = watch();
  latest().opens();

  latest().tells("a", "1-1", token("x"));
  latest().tells("a", "1-1", token("x"));
  latest().tells("a", "1-2", token("y"));
  latest().tells("a", "1-1", token("x"));

  expect(seen.map(([position]) => position)).toEqual(["1-1", "1-2"]);
});

test("after a lost connection it goes on from where it was, and drops what is replayed", () => {
  const { seen } = watch();
  latest().opens();
  latest().tells("a", "1-1", token("x"));

  latest().breaks();
  vi.advanceTimersByTime(500);
  latest().opens();
  latest().tells("a", "1-1", token("x"));
  latest().tells("a", "1-2", token("y"));

  expect(PlayedSocket.made).toHaveLength(2);
  expect(latest().said).toEqual([{ subscribe: "a", after: "1-1" }]);
  expect(seen.map(([position]) => position)).toEqual(["1-1", "1-2"]);
});

test("a socket that was given up is not listened to any more", () => {
  const { seen, stream } = watch();
  const old = latest();
  old.opens();

  stream.reconnect();
  old.tells("a", "1-1", token("x"));
  old.breaks();

  expect(seen).toEqual([]);
  expect(PlayedSocket.made).toHaveLength(2);
});

test("a reset is taken whatever its position, and what follows it counts from there", () => {
  const { seen } = watch();
  latest().opens();
  latest().tells("a", "3-9", token("old"));

  latest().tells("a", "3-4", { type: "reset", snapshot: {} });
  latest().tells("a", "3-5", token("new"));

  expect(seen.map(([position]) => position)).toEqual(["3-9", "3-4", "3-5"]);
});

test("waits double up to a cap while the server is away, and it says so", () => {
  const { connections } = watch();

  for (let round = 0; round < 8; round += 1) {
    latest().breaks();
    vi.advanceTimersToNextTimer();
  }

  const waits = connections.flatMap((each) => (each.state === "waiting" ? [each.wait_ms] : []));
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("a word from the server makes the next wait short again", () => {
  const { connections } = watch();
  latest().breaks();
  vi.advanceTimersByTime(500);
  latest().breaks();
  vi.advanceTimersByTime(1000);

  latest().opens();
  latest().tells("a", "1-1", token("x"));
  latest().breaks();

  expect(connections.at(-1)).toEqual({ state: "waiting", wait_ms: 500, tries: 1 });
});

test("a connection that never opens is given up", () => {
  const { connections } = watch();

  vi.advanceTimersByTime(10_000);

  expect(connections.at(-1)?.state).toBe("waiting");
});

test("a job that has ended is not asked for again", () => {
  const { connections } = watch();
  latest().opens();
  latest().tells("a", "2-1", { type: "succeeded", result: {} });

  latest().breaks();
  vi.advanceTimersByTime(60_000);

  expect(PlayedSocket.made).toHaveLength(1);
  expect(connections.at(-1)).toEqual({ state: "idle" });
});

test("further jobs share the socket, each with its own position", () => {
  const { stream, seen } = watch();
  latest().opens();
  stream.follow("b", { frame: (position, frame) => seen.push([`b ${position}`, frame]) });

  latest().tells("a", "5-5", token("x"));
  latest().tells("b", "1-1", token("y"));

  expect(PlayedSocket.made).toHaveLength(1);
  expect(seen.map(([position]) => position)).toEqual(["5-5", "b 1-1"]);
});

test("a key is the first thing said", () => {
  watch({ key: "secret" });

  latest().opens();

  expect(latest().said[0]).toEqual({ authorization: "secret" });
});

test("a refused key ends the trying until it is told to try again", () => {
  const { stream, connections } = watch({ key: "wrong" });
  latest().opens();

  latest().complains({ status: 401, title: "A valid key is needed", detail: "" });
  vi.advanceTimersByTime(60_000);
  expect(PlayedSocket.made).toHaveLength(1);
  expect(connections.at(-1)?.state).toBe("refused");

  stream.reconnect();
  expect(PlayedSocket.made).toHaveLength(2);
});

test("a job that is not there is told to its listener alone", () => {
  const { refusals, connections } = watch();
  latest().opens();

  latest().complains({ status: 404, title: "There is no such job", detail: "" }, "a");

  expect(refusals).toEqual(["There is no such job"]);
  expect(connections.at(-1)?.state).toBe("open");
});

test("a server in trouble is asked again later", () => {
  const { connections } = watch();
  latest().opens();

  latest().complains({ status: 503, title: "Try again shortly", detail: "" }, "a");
  vi.advanceTimersByTime(500);
  latest().opens();

  expect(latest().said).toEqual([{ subscribe: "a" }]);
  expect(connections.at(-1)?.state).toBe("open");
});

test("closed, it stays closed", () => {
  const { stream, connections } = watch();
  const socket = latest();
  socket.opens();

  stream.close();
  socket.breaks();
  vi.advanceTimersByTime(60_000);

  expect(socket.readyState).toBe(3);
  expect(PlayedSocket.made).toHaveLength(1);
  expect(connections.at(-1)).toEqual({ state: "idle" });
});

test("leaving says so, and nothing more is heard", () => {
  const seen: string[] = [];
  const { stream } = watch();
  latest().opens();
  const stop = stream.follow("b", { frame: (position) => seen.push(position) });

  stop();
  latest().tells("b", "1-1", token("x"));

  expect(latest().said.at(-1)).toEqual({ unsubscribe: "b" });
  expect(seen).toEqual([]);
});

test("told that there is no network it lets go, and tries nothing until it is back", () => {
  const { stream, connections } = watch();
  const socket = latest();
  socket.opens();
  socket.tells("a", "1-4", token("x"));

  stream.suspend();
  stream.follow("b", { frame: () => undefined });
  vi.advanceTimersByTime(60_000);
  expect(socket.readyState).toBe(3);
  expect(PlayedSocket.made).toHaveLength(1);
  expect(connections.at(-1)).toEqual({ state: "suspended" });

  stream.reconnect();
  latest().opens();
  expect(latest().said).toEqual([{ subscribe: "a", after: "1-4" }, { subscribe: "b" }]);
});

test("with nothing to follow it does not connect", () => {
  const { stream, connections } = watch();
  latest().opens();
  latest().tells("a", "2-1", { type: "succeeded", result: {} });

  stream.reconnect();

  expect(PlayedSocket.made).toHaveLength(1);
  expect(connections.at(-1)).toEqual({ state: "idle" });
});

test("it says for the how manieth time in a row it was lost", () => {
  const { connections } = watch();
  latest().breaks();
  vi.advanceTimersByTime(500);
  latest().breaks();

  const tries = connections.flatMap((each) => (each.state === "waiting" ? [each.tries] : []));
  expect(tries).toEqual([1, 2]);
});

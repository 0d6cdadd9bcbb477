// How the console puts numbers and doings into words.

import { NONE, capital, duration, roughly } from "../wording";
import type { Problem } from "../http";

export { at, bytes, seconds, share, toldBy } from "../wording";

/** 1234567 as 1 234 567: thin spaces, so that it is read at a glance and not broken. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** Of an age nobody needs the seconds beside the minutes. */
export function age(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (value < 60) return roughly(value);
  return value < 3600 ? `${Math.floor(value / 60)} min` : duration(value);
}

export function perSecond(value: number): string {
  if (value === 0) return "0";
  return value >= 10 ? String(Math.round(value)) : value.toFixed(value >= 1 ? 1 : 2);
}

export function many(number: number, one: string, more = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : more}`;
}

/** What the api says of a thing in passing, on its own. */
export function sentence(words: string): string {
  return `${capital(words)}${/[.!?]$/.test(words) ? "" : "."}`;
}

/** A route that is not there: the server is older than this page. A thing that is not there is named. */
export function isMissingRoute({ status, slug }: Problem): boolean {
  return (status === 404 && !slug.startsWith("no-such-") && slug !== "no-admin") || status === 405;
}

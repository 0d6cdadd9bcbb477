// How the console puts numbers and doings into words.

import { capital, duration, percent, roughly } from "../wording";
import type { Problem } from "../http";

const NONE = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1234567 as 1 234 567: thin spaces, so that it is read at a glance and not broken. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function seconds(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : duration(value);
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

/** A share of few: 0 is 0, but what is not nothing is never called so. */
export function share(fraction: number | null | undefined): string {
  if (fraction === null || fraction === undefined) return NONE;
  if (fraction > 0 && fraction < 0.001) return "< 0.1 %";
  return fraction < 0.1 ? `${Number((fraction * 100).toFixed(1))} %` : percent(fraction);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  let [left, unit] = [value, 0];
  while (left >= 1024 && unit < UNITS.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${left >= 10 || unit === 0 ? Math.round(left) : left.toFixed(1)} ${UNITS[unit]}`;
}

export function many(number: number, one: string, more = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : more}`;
}

export function at(time: string | null | undefined): string {
  return time === null || time === undefined ? NONE : new Date(time).toLocaleString();
}

/** What the api says of a thing in passing, on its own. */
export function sentence(words: string): string {
  return `${capital(words)}${/[.!?]$/.test(words) ? "" : "."}`;
}

export function toldBy({ title, detail }: Problem): string {
  if (detail === "") return `${title}.`;
  return `${title}. ${detail}`;
}

/** A route that is not there: the server is older than this page. A thing that is not there is named. */
export function isMissingRoute({ status, slug }: Problem): boolean {
  return (status === 404 && !slug.startsWith("no-such-") && slug !== "no-admin") || status === 405;
}

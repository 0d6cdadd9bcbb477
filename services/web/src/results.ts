// What a result holds, sorted by how it is shown: text, pictures, videos, vectors, and short facts.

import { isPicture, isVideo } from "./schema";
import { number, spoken } from "./wording";

export interface Fact {
  name: string;
  value: string;
}

export interface Result {
  text: string | null;
  pictures: string[];
  videos: string[];
  vectors: number[][];
  facts: Fact[];
}

const SHORT = 120;
const UNITS: Record<string, string> = { s: "s", ms: "ms", mb: "MB" };

export function readResult(result: unknown): Result {
  const found: Result = { text: null, pictures: [], videos: [], vectors: [], facts: [] };
  if (isRecord(result)) sort(result, found);
  else if (typeof result === "string") found.text = result;
  return found;
}

/** The blob that holds the output, where that was too large for the record. */
export function spilledIn(result: unknown): string | null {
  const blob = isRecord(result) ? result["output_blob"] : null;
  return typeof blob === "string" ? blob : null;
}

function sort(values: Record<string, unknown>, found: Result, outermost = true): void {
  for (const [key, value] of Object.entries(values)) {
    if (outermost && key === "text" && typeof value === "string") found.text = value;
    else if (isPicture(value)) found[isVideo(value.blob) ? "videos" : "pictures"].push(value.blob);
    else if (Array.isArray(value)) sortList(key, value, found);
    else if (isRecord(value)) sort(value, found, false);
    else if (value !== null) found.facts.push(...factOf(key, value));
  }
}

function sortList(name: string, values: unknown[], found: Result): void {
  if (values.length === 0) return;
  if (values.every(isPicture)) {
    // Many videos are the pieces of one, which has a place of its own.
    found.pictures.push(...values.map((each) => each.blob).filter((blob) => !isVideo(blob)));
  } else if (values.every(isVector)) found.vectors.push(...values);
  else if (values.every((each) => typeof each !== "object")) {
    found.facts.push(...factOf(name, values.join(", ")));
  }
}

/** None where the value is too long to be one. Names that end in a unit lend it to the value. */
export function factOf(key: string, value: unknown): Fact[] {
  const shown = typeof value === "number" ? number(value) : String(value);
  if (shown.length > SHORT) return [];
  const unit = /(?<!_per)_(s|ms|mb)$/.exec(key);
  const name = spoken(key.slice(0, unit?.index));
  return [{ name, value: unit === null ? shown : `${shown} ${UNITS[unit[1] ?? ""]}` }];
}

function isVector(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => typeof each === "number");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// A dead job's input, mended: between the form's fields, the JSON and what the api says is wrong.

import type { RehearsalView } from "../generated";
import { Problem } from "../http";
import { fieldsOf, hold, read, type Field, type Held, type Schema } from "../schema";

export type Input = Record<string, unknown>;
type Doubt = Pick<RehearsalView, "why" | "pointer">;

/** A picture is named here, not uploaded: its id is edited as it stands. */
export function fieldsFor(schema: Schema): Field[] {
  return fieldsOf(schema).map((field) =>
    field.control === "picture" ? { ...field, control: "json" } : field,
  );
}

export function heldOf(fields: readonly Field[], input: Input): Record<string, Held> {
  return Object.fromEntries(fields.map((field) => [field.name, hold(field, input[field.name])]));
}

export type Gathered = { input: Input } | { wrong: Record<string, string> };

/** What no field shows stays as it was. */
export function gather(
  fields: readonly Field[],
  held: Readonly<Record<string, Held>>,
  before: Input,
): Gathered {
  const shown = new Set(fields.map(({ name }) => name));
  const input = Object.fromEntries(Object.entries(before).filter(([name]) => !shown.has(name)));
  const wrong: Record<string, string> = {};
  for (const field of fields) {
    const reading = read(field, held[field.name] ?? "");
    if (reading === "absent") continue;
    if ("problem" in reading) wrong[field.name] = reading.problem;
    else input[field.name] = reading.value;
  }
  return Object.keys(wrong).length > 0 ? { wrong } : { input };
}

export function parsed(text: string): { input: Input } | { problem: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { input: value as Input };
    }
    return { problem: "An input is an object: { … }." };
  } catch (error) {
    return { problem: `This is not JSON: ${(error as Error).message}` };
  }
}

/** The field that a problem is about, where it is about one. */
export function fieldIn({ pointer }: Problem, fields: readonly Field[]): string | null {
  const name = /^\/input\/([^/]+)/.exec(pointer ?? "")?.[1];
  return fields.some((field) => field.name === name) ? (name ?? null) : null;
}

/** What a rehearsal doubts, as a refusal would tell it. */
export function unfit({ why, pointer }: Doubt): Problem {
  const said = (why ?? "").replace(/^its input does not fit: /, "");
  return new Problem(422, "The input does not fit", said, pointer);
}

// Forms from schemas as `GET /models` tells them, and inputs from forms.

import { expect, test } from "vitest";

import { fieldsOf, hasPicture, hold, read, type Field, type Schema } from "../src/schema";

const TEXT: Schema = {
  type: "object",
  properties: {
    max_tokens: { type: "integer", minimum: 1, maximum: 2048, default: 128 },
    prompt: {
      anyOf: [{ type: "string", maxLength: 200_000 }, { type: "null" }],
      default: null,
    },
    messages: {
      anyOf: [{ type: "array", items: { $ref: "#/$defs/Message" } }, { type: "null" }],
    },
    stop: { type: "array", items: { type: "string" }, default: [] },
    size: { enum: [128, 256, "native"], default: "native" },
    loud: { type: "boolean", default: true },
    delay_s: { type: "number" },
  },
  required: [],
  $defs: { Message: { type: "object", properties: { role: {}, content: {} } } },
};
const UPSCALE: Schema = {
  type: "object",
  properties: { image: { $ref: "#/$defs/Blob" } },
  required: ["image"],
  $defs: { Blob: { type: "object", properties: { blob: { type: "string" } } } },
};

function field(schema: Schema, name: string): Field {
  const found = fieldsOf(schema).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no field ${name}`);
  return found;
}

test("every property gets the control that fits it, the prompt first", () => {
  expect(fieldsOf(TEXT).map(({ name, control }) => [name, control])).toEqual([
    ["prompt", "text"],
    ["max_tokens", "number"],
    ["messages", "json"],
    ["stop", "lines"],
    ["size", "choice"],
    ["loud", "switch"],
    ["delay_s", "number"],
  ]);
});

test("names and ranges are put into words", () => {
  expect(field(TEXT, "max_tokens")).toMatchObject({ label: "Max tokens", hint: "1 to 2048" });
  expect(field(TEXT, "delay_s").label).toBe("Delay (s)");
});

test("an object that is a blob is a picture", () => {
  expect(hasPicture(UPSCALE)).toBe("image");
  expect(hasPicture(TEXT)).toBeNull();
  expect(read(field(UPSCALE, "image"), "b1.png")).toEqual({ value: { blob: "b1.png" } });
});

test("what is left empty is left out, so that the engine's default holds", () => {
  expect(read(field(TEXT, "max_tokens"), " ")).toBe("absent");
});

test("what is needed and empty is asked for", () => {
  expect(read(field(UPSCALE, "image"), "")).toEqual({ problem: "Choose a picture first." });
});

test("numbers are read as their schema says", () => {
  expect(read(field(TEXT, "delay_s"), "0.5")).toEqual({ value: 0.5 });
  expect(read(field(TEXT, "max_tokens"), "1.5")).toHaveProperty("problem");
  expect(read(field(TEXT, "max_tokens"), "ten")).toHaveProperty("problem");
});

test("a choice keeps the type of its value", () => {
  const size = field(TEXT, "size");

  expect(read(size, hold(size, 256))).toEqual({ value: 256 });
  expect(read(size, hold(size, undefined))).toEqual({ value: "native" });
});

test("lines become a list without the blank ones", () => {
  expect(read(field(TEXT, "stop"), "END\n\n###")).toEqual({ value: ["END", "###"] });
});

test("text is sent as it was typed", () => {
  expect(read(field(TEXT, "prompt"), "  two\nlines ")).toEqual({ value: "  two\nlines " });
});

test("JSON that is none is told before it is sent", () => {
  expect(read(field(TEXT, "messages"), "[{")).toHaveProperty("problem");
  expect(read(field(TEXT, "messages"), "[]")).toEqual({ value: [] });
});

test("an input goes into the form and comes out the same", () => {
  const input: Record<string, unknown> = {
    prompt: "Hello",
    max_tokens: 5,
    messages: [{ role: "user", content: "x" }],
    stop: ["a", "b"],
    size: 128,
    loud: false,
    delay_s: 0,
  };

  const again = fieldsOf(TEXT).map((each) => [each.name, read(each, hold(each, input[each.name]))]);

  expect(Object.fromEntries(again)).toEqual(
    Object.fromEntries(Object.entries(input).map(([name, value]) => [name, { value }])),
  );
});

// From an engine's input schema (JSON Schema) to a form's fields, and from them to an input.

export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  anyOf?: Schema[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  maxLength?: number;
  $ref?: string;
  $defs?: Record<string, Schema>;
}

export type Control =
  "text" | "line" | "number" | "choice" | "switch" | "lines" | "picture" | "json";

export interface Field {
  name: string;
  label: string;
  hint: string;
  control: Control;
  required: boolean;
  /** Shown at once; the others wait under "Settings". */
  main: boolean;
  schema: Schema;
  choices: unknown[];
}

/** What a control holds: text (of a choice: its index), a switch's state, or a blob's id. */
export type Held = string | boolean;
export type Reading = { value: unknown } | { problem: string } | "absent";

const LONG = 300;
const MAIN = new Set(["prompt", "text", "texts"]);

export function fieldsOf(root: Schema): Field[] {
  const required = new Set(root.required ?? []);
  const fields = Object.entries(root.properties ?? {}).map(([name, given]) => {
    const schema = resolve(given, root);
    return {
      name,
      label: given.title ?? humanise(name),
      hint: given.description ?? rangeOf(schema),
      control: controlOf(schema, root),
      required: required.has(name),
      main: required.has(name) || MAIN.has(name),
      schema,
      choices: schema.enum ?? [],
    };
  });
  return [...fields.filter((field) => field.main), ...fields.filter((field) => !field.main)];
}

export function hasPicture(root: Schema): string | null {
  return fieldsOf(root).find((field) => field.control === "picture")?.name ?? null;
}

/** References followed, and of `X or null` the X: leaving it empty means null. */
function resolve(schema: Schema, root: Schema): Schema {
  const { anyOf, $ref, ...rest } = schema;
  if ($ref !== undefined) {
    const name = $ref.split("/").at(-1) ?? "";
    return { ...root.$defs?.[name], ...rest };
  }
  const others = anyOf?.filter((each) => each.type !== "null") ?? [];
  const only = others.length === 1 ? others[0] : undefined;
  return only === undefined ? schema : { ...resolve(only, root), ...rest };
}

function controlOf(schema: Schema, root: Schema): Control {
  if (schema.enum !== undefined) return "choice";
  switch (schema.type) {
    case "string":
      return (schema.maxLength ?? LONG + 1) > LONG ? "text" : "line";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "switch";
    case "array":
      return resolve(schema.items ?? {}, root).type === "string" ? "lines" : "json";
    case "object":
      return Object.keys(schema.properties ?? {}).join() === "blob" ? "picture" : "json";
    default:
      return "json";
  }
}

function humanise(name: string): string {
  const words = name.replace(/_s$/, " (s)").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function rangeOf(schema: Schema): string {
  const least = schema.minimum ?? schema.exclusiveMinimum;
  const most = schema.maximum ?? schema.exclusiveMaximum;
  const readable = most !== undefined && most < 1e6;
  if (least !== undefined && readable) return `${least} to ${most}`;
  return "";
}

/** What the control shows for a value of the input; undefined: for its absence. */
export function hold(field: Field, value: unknown): Held {
  switch (field.control) {
    case "choice":
      return indexOf(field.choices, value === undefined ? field.schema.default : value);
    case "switch":
      return Boolean(value ?? field.schema.default);
    case "lines":
      return Array.isArray(value) ? value.join("\n") : "";
    case "picture":
      return isPicture(value) ? value.blob : "";
    case "json":
      return value === undefined || value === null ? "" : JSON.stringify(value, null, 2);
    default:
      return value === undefined || value === null ? "" : String(value);
  }
}

export function read(field: Field, held: Held): Reading {
  if (typeof held === "boolean") return { value: held };
  if (held.trim() === "") return field.required ? { problem: lacking(field) } : "absent";
  switch (field.control) {
    case "choice":
      return { value: field.choices[Number(held)] };
    case "number":
      return readNumber(field.schema, held);
    case "lines":
      return { value: held.split("\n").filter((line) => line.trim() !== "") };
    case "picture":
      return { value: { blob: held } };
    case "json":
      return readJson(held);
    default:
      return { value: held };
  }
}

function lacking(field: Field): string {
  return field.control === "picture" ? "Choose a picture first." : "This is needed.";
}

function readNumber(schema: Schema, held: string): Reading {
  const value = Number(held);
  if (!Number.isFinite(value)) return { problem: "This is not a number." };
  if (schema.type === "integer" && !Number.isInteger(value)) {
    return { problem: "This should be a whole number." };
  }
  return { value };
}

function readJson(held: string): Reading {
  try {
    return { value: JSON.parse(held) as unknown };
  } catch (error) {
    return { problem: `This is not JSON: ${(error as Error).message}` };
  }
}

function indexOf(choices: unknown[], value: unknown): string {
  const at = choices.indexOf(value);
  return at < 0 ? "" : String(at);
}

/** A name says by its ending what is in it. */
export function isVideo(blob: string): boolean {
  return /\.(webm|mp4)$/.test(blob);
}

export function isPicture(value: unknown): value is { blob: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { blob?: unknown }).blob === "string"
  );
}

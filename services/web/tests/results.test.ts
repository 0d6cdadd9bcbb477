// Results of engines that this page knows nothing about.

import { expect, test } from "vitest";

import { factOf, readResult, spilledIn } from "../src/results";

test("text, pictures, videos, vectors and facts are told apart", () => {
  const result = readResult({
    text: "Once",
    image: { blob: "b1.png" },
    frames: [{ blob: "b2.png" }, { blob: "b3.png" }],
    video: { blob: "b4.webm" },
    segments: [{ blob: "b5.webm" }, { blob: "b6.webm" }],
    embeddings: [[0.1, -0.2]],
    usage: { prompt_tokens: 35 },
    known_words: ["cat", "red"],
    truncated: [],
    seed: 3059427597,
    nothing: null,
  });

  expect(result).toEqual({
    text: "Once",
    pictures: ["b1.png", "b2.png", "b3.png"],
    videos: ["b4.webm"],
    vectors: [[0.1, -0.2]],
    facts: [
      { name: "Prompt tokens", value: "35" },
      { name: "Known words", value: "cat, red" },
      { name: "Seed", value: "3059427597" },
    ],
  });
});

test("a unit in a name goes to the value", () => {
  expect(factOf("draw_s", 0.5334)).toEqual([{ name: "Draw", value: "0.5334 s" }]);
  expect(factOf("tokens_per_s", 47.2134)).toEqual([{ name: "Tokens per second", value: "47.21" }]);
});

test("what is too long to be a fact is none", () => {
  expect(factOf("report", "x".repeat(1000))).toEqual([]);
});

test("no result is no trouble", () => {
  expect(readResult(null)).toEqual({ text: null, pictures: [], videos: [], vectors: [], facts: [] });
});

test("an output that was too large is known by its blob", () => {
  expect(spilledIn({ output_blob: "b1.json" })).toBe("b1.json");
  expect(spilledIn({ text: "x" })).toBeNull();
});

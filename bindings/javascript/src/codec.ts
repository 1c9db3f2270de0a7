/** Bytes to plain data and back: one msgpack map a frame, within limits. */

import { decode, encode } from "@msgpack/msgpack";
import { NpcError, malformed } from "./errors.js";

/** What a message may hold. A bigint stands for an integer that a number cannot hold exactly. */
export type Data = null | boolean | number | bigint | string | Data[] | { [name: string]: Data };
export type Fields = { [name: string]: Data };

export interface FrameLimits {
  /** Largest frame, bytes. */
  maxFrameBytes: number;
  /** Deepest nesting of maps and arrays; the message itself is 1. */
  maxDepth: number;
}

export const DEFAULT_LIMITS: FrameLimits = { maxFrameBytes: 1 << 20, maxDepth: 16 };

const MAX_ITEMS = 4096;
const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

const textKey = (key: unknown): string => {
  if (typeof key !== "string") throw malformed("a map key is not text");
  return key;
};

/**
 * Decode one frame.
 *
 * @throws NpcError NPC206 beyond the limit, NPC201 for anything that is not one map of what `Data` holds. Not found out:
 *   a key that stands twice in a map (the last counts) and text that is not UTF-8 (it is repaired).
 */
export function unpack(frame: Uint8Array, limits: FrameLimits): Fields {
  checkSize(frame, limits);
  let data: unknown;
  try {
    data = decode(frame, {
      useBigInt64: true,
      maxArrayLength: MAX_ITEMS,
      maxMapLength: MAX_ITEMS,
      maxExtLength: 0,
      mapKeyConverter: textKey,
    });
  } catch (error) {
    if (error instanceof NpcError) throw error;
    throw malformed(`not a msgpack message: ${error instanceof Error ? error.message : String(error)}`);
  }
  const checked = check(data, limits.maxDepth);
  if (typeof checked !== "object" || checked === null || Array.isArray(checked)) {
    throw malformed("a message is a msgpack map");
  }
  return checked;
}

/**
 * Encode one message.
 *
 * @throws NpcError NPC206 beyond the limit, NPC201 for data that has no place in a message.
 */
export function pack(fields: { [name: string]: unknown }, limits: FrameLimits): Uint8Array {
  const frame = encode(check(fields, limits.maxDepth), { useBigInt64: true });
  checkSize(frame, limits);
  return frame;
}

function checkSize(frame: Uint8Array, limits: FrameLimits): void {
  if (frame.byteLength > limits.maxFrameBytes) {
    throw new NpcError("NPC206", `a frame of ${frame.byteLength} bytes; at most ${limits.maxFrameBytes} are accepted`);
  }
}

/** The data itself, if it may stand in a message; bigints that fit become numbers. */
function check(value: unknown, depthLeft: number): Data {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw malformed("a number is NaN or infinite");
      return value;
    case "bigint":
      if (value < MIN_INT64 || value > MAX_INT64) throw malformed("an integer does not fit 64 signed bits");
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case "object":
      break;
    default:
      throw malformed(`data of type ${typeof value} has no place in a message`);
  }
  if (value === null) return null;
  if (depthLeft === 0) throw malformed("nested too deep");
  if (Array.isArray(value)) {
    checkCount(value.length);
    return value.map((item) => check(item, depthLeft - 1));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw malformed("binary data, dates and objects of classes have no place in a message");
  }
  const entries = Object.entries(value);
  checkCount(entries.length);
  return Object.fromEntries(entries.map(([key, item]) => [key, check(item, depthLeft - 1)]));
}

function checkCount(count: number): void {
  if (count > MAX_ITEMS) throw malformed(`a map or array of ${count} items; at most ${MAX_ITEMS} are accepted`);
}

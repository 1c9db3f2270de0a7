/** The server's messages as the game sees them, and how they are read from decoded fields. */

import type { Data, Fields } from "./codec.js";
import { NpcError, invalid } from "./errors.js";

export const PROTOCOL_VERSION = 1;

export interface Limits {
  maxFrameBytes: number;
  maxMessageDepth: number;
  maxTextChars: number;
  maxConversations: number;
  clientTimeoutS: number;
  turnDeadlineS: number;
  actionTimeoutS: number;
}

export interface Welcome {
  protocolVersion: number;
  engineVersion: string;
  limits: Limits;
}

export interface CharacterEntry {
  id: string;
  name: string;
  role: string;
}

export interface HealthReport {
  engine: Fields;
  server: Fields;
}

/** A piece of speech, as soon as it is safe to show. */
export interface Token {
  kind: "token";
  text: string;
}

/** One whole sentence, after the tokens that spell it. */
export interface Sentence {
  kind: "sentence";
  index: number;
  text: string;
}

/** The game is asked to run an action. */
export interface ActionCall {
  kind: "action_call";
  callId: string;
  name: string;
  arguments: Fields;
  /** Run calls of one key once; the same where a call is repeated. */
  idempotencyKey: string;
  /** What the action declares that a call costs, in the game's own unit. */
  cost: number | null;
}

/** Controls by name, such as `max_words`; null leaves one to the sheet and the engine. */
export interface Controls {
  [name: string]: number | null;
}

/** What `setControls` answers. */
export interface ControlsSet {
  /** What the conversation sets now. */
  controls: Controls;
  /** By route of a turn, such as `task`: the value of every control from the next turn on. */
  inForce: { [route: string]: { [name: string]: number } };
}

/** The last of a turn: it is committed. */
export interface TurnEnd {
  kind: "turn_end";
  text: string;
  finishReason: "stop" | "length" | "cancelled" | "guard";
  source: "model" | "fallback" | "none";
  trace: Fields;
}

export type TurnEvent = Token | Sentence | ActionCall | TurnEnd;

const KINDS = new Set([
  ...["welcome", "characters", "conversation_opened", "conversation_closed", "token", "sentence"],
  ...["action_call", "turn_end", "ok", "controls_set", "undone", "health_report", "metrics_report", "error"],
]);

/** Whether a message of the server has this kind. */
export const isKnownKind = (kind: Data | undefined): boolean => typeof kind === "string" && KINDS.has(kind);

/** The request a message answers, or null where it does not tell. */
export const requestIdOf = (fields: Fields): number | null =>
  Number.isSafeInteger(fields.request_id) && (fields.request_id as number) >= 0 ? (fields.request_id as number) : null;

/** Reads typed fields of one message; unknown fields are ignored. */
class Reader {
  constructor(private readonly fields: Fields) {}

  text(name: string): string {
    return this.typed(name, "string") as string;
  }

  number(name: string): number {
    return this.typed(name, "number") as number;
  }

  /** Null where it is absent. */
  optional(name: string, type: "string" | "number"): string | number | null {
    return (this.fields[name] ?? null) === null ? null : (this.typed(name, type) as string | number);
  }

  map(name: string): Fields {
    const value = this.typed(name, "object");
    if (value === null || Array.isArray(value)) throw this.wrong(name);
    return value as Fields;
  }

  maps(name: string): Fields[] {
    const value = this.fields[name];
    if (!Array.isArray(value)) throw this.wrong(name);
    return value.map((item) => new Reader({ item }).map("item"));
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T {
    const value = choices.find((choice) => choice === this.fields[name]);
    if (value === undefined) throw this.wrong(name);
    return value;
  }

  private typed(name: string, type: string): Data | undefined {
    const value = this.fields[name];
    if (typeof value !== type) throw this.wrong(name);
    return value;
  }

  private wrong(name: string): NpcError {
    return invalid(`${String(this.fields.kind ?? "message")}.${name}: missing or of the wrong type`);
  }
}

/**
 * A turn's event.
 *
 * @throws NpcError NPC202 for anything else, or a field of the wrong type.
 */
export function turnEvent(fields: Fields): TurnEvent {
  const read = new Reader(fields);
  switch (fields.kind) {
    case "token":
      return { kind: "token", text: read.text("text") };
    case "sentence":
      return { kind: "sentence", index: read.number("index"), text: read.text("text") };
    case "action_call":
      return {
        kind: "action_call",
        callId: read.text("call_id"),
        name: read.text("name"),
        arguments: read.map("arguments"),
        idempotencyKey: (read.optional("idempotency_key", "string") as string | null) ?? "",
        cost: read.optional("cost", "number") as number | null,
      };
    case "turn_end":
      return {
        kind: "turn_end",
        text: read.text("text"),
        finishReason: read.oneOf("finish_reason", ["stop", "length", "cancelled", "guard"]),
        source: read.oneOf("source", ["model", "fallback", "none"]),
        trace: read.map("trace"),
      };
    default:
      throw invalid(`the server answered a say with ${String(fields.kind)}`);
  }
}

/** The error that an `error` message tells of. */
export function errorOf(fields: Fields): NpcError {
  const read = new Reader(fields);
  const retry = fields.retry_after_s;
  return new NpcError(
    read.text("code"),
    read.text("message"),
    read.text("hint"),
    typeof retry === "number" ? retry : null,
  );
}

/** Readers of the one-message answers, by kind. */
export const ANSWERS = {
  welcome: (fields: Fields): Welcome => {
    const read = new Reader(fields);
    const limits = new Reader(read.map("limits"));
    return {
      protocolVersion: read.number("protocol_version"),
      engineVersion: read.text("engine_version"),
      limits: {
        maxFrameBytes: limits.number("max_frame_bytes"),
        maxMessageDepth: limits.number("max_message_depth"),
        maxTextChars: limits.number("max_text_chars"),
        maxConversations: limits.number("max_conversations"),
        clientTimeoutS: limits.number("client_timeout_s"),
        turnDeadlineS: limits.number("turn_deadline_s"),
        actionTimeoutS: limits.number("action_timeout_s"),
      },
    };
  },
  characters: (fields: Fields): CharacterEntry[] =>
    new Reader(fields).maps("characters").map((each) => {
      const read = new Reader(each);
      return { id: read.text("id"), name: read.text("name"), role: read.text("role") };
    }),
  conversation_opened: (fields: Fields) => {
    const read = new Reader(fields);
    return { conversationId: read.text("conversation_id"), greeting: read.text("greeting") };
  },
  conversation_closed: (fields: Fields): string => new Reader(fields).text("conversation_id"),
  ok: (fields: Fields): boolean => fields.cancelled === true,
  controls_set: (fields: Fields): ControlsSet => {
    const read = new Reader(fields);
    return { controls: read.map("controls"), inForce: read.map("in_force") } as ControlsSet;
  },
  undone: (fields: Fields): number => new Reader(fields).number("remaining"),
  health_report: (fields: Fields): HealthReport => {
    const read = new Reader(fields);
    return { engine: read.map("engine"), server: read.map("server") };
  },
  metrics_report: (fields: Fields): string => new Reader(fields).text("text"),
} as const;

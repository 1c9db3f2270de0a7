/** Errors with the engine's stable codes; match on `code`, never on the message. */

/** What the server answered, or what this client found out (NPC2xx of a bad frame, NPC311, NPC313). */
export class NpcError extends Error {
  override readonly name = "NpcError";

  /**
   * @param code Such as `NPC306`; docs/errors/ has a page for each.
   * @param message What is wrong, for a developer.
   * @param hint The next step; may be empty.
   * @param retryAfterS For `NPC306`: when to try again, in seconds; otherwise null.
   */
  constructor(
    readonly code: string,
    message: string,
    readonly hint = "",
    readonly retryAfterS: number | null = null,
  ) {
    super(`${code}: ${message}${hint ? ` (${hint})` : ""}`);
    this.reason = message;
  }

  /** The message alone, without code and hint. */
  readonly reason: string;
}

/** Thrown by an action handler to say that the action did not happen, in words the character may use. */
export class ActionFailed extends Error {
  override readonly name = "ActionFailed";
}

export const malformed = (message: string) =>
  new NpcError("NPC201", message, "one msgpack map a message");
export const invalid = (message: string) =>
  new NpcError("NPC202", message, "docs/protocol.md lists every message's fields");
export const lost = (message: string) => new NpcError("NPC313", message, "connect again");

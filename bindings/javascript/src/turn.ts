/** One turn as it arrives. */

import type { Fields } from "./codec.js";
import { NpcError } from "./errors.js";
import { turnEvent, type TurnEnd, type TurnEvent } from "./messages.js";

/**
 * An asynchronous iterable of the turn's events, TurnEnd last; or await `finish()`.
 *
 * Events are kept until they are read. An error that ends the turn is thrown by the iteration and by `finish()`.
 */
export class Turn implements AsyncIterable<TurnEvent> {
  private readonly unread: TurnEvent[] = [];
  private readonly waiting: (() => void)[] = [];
  private heard = "";
  private ended: TurnEnd | null = null;
  private failure: unknown = null;
  private isOver = false;

  /** The reply: whole once the turn has ended, as far as it was heard before. */
  get text(): string {
    return this.ended?.text ?? this.heard;
  }

  /** The TurnEnd, once it has arrived. */
  get end(): TurnEnd | null {
    return this.ended;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TurnEvent> {
    for (;;) {
      const event = this.unread.shift();
      if (event !== undefined) yield event;
      else if (this.failure !== null) throw this.failure;
      else if (this.isOver) return;
      else await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** The reply, sentence by sentence. */
  async *sentences(): AsyncIterable<string> {
    for await (const event of this) if (event.kind === "sentence") yield event.text;
  }

  /** Wait for the turn's end. */
  async finish(): Promise<TurnEnd> {
    while (!this.isOver) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.ended === null) throw this.failure;
    return this.ended;
  }

  /** @internal Count one reply in; the event, or null for the error that ended the turn. */
  take(reply: Fields | NpcError): TurnEvent | null {
    if (this.isOver) return null;
    try {
      if (reply instanceof NpcError) throw reply;
      const event = turnEvent(reply);
      if (event.kind === "token") this.heard += event.text;
      if (event.kind === "turn_end") {
        this.ended = event;
        this.isOver = true;
      }
      this.unread.push(event);
      this.wake();
      return event;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /** @internal End the turn by this error. */
  fail(error: unknown): void {
    if (this.isOver) return;
    this.failure = error;
    this.isOver = true;
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

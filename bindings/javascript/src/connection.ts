/** One connection: requests out, replies to whoever asked, matched by request id and by nothing else. */

import { DEFAULT_LIMITS, pack, unpack, type Fields, type FrameLimits } from "./codec.js";
import { NpcError, lost } from "./errors.js";
import { errorOf, isKnownKind, requestIdOf, type Limits } from "./messages.js";
import type { OpenTransport, Transport } from "./transport.js";

/** Takes each reply to one request, and the error that ends it. */
export type Sink = (reply: Fields | NpcError) => void;

const UNFINISHED = new Set(["token", "sentence", "action_call"]);
/** Requests for `health` per `client_timeout_s` while the client is silent. */
const SIGNS_OF_LIFE = 3;

export interface ConnectionEvents {
  /** A frame that is no message, or an error that no open request claims. */
  unclaimed(error: NpcError): void;
  /** The server is gone; every open request has failed. */
  lost(error: NpcError): void;
}

export class Connection {
  private nextId = 1;
  private limits: FrameLimits = DEFAULT_LIMITS;
  private readonly sinks = new Map<number, Sink>();
  private transport: Transport | null = null;
  private end: NpcError | null = null;
  private isTalkative = false;
  private keepAlive: ReturnType<typeof setInterval> | null = null;

  private constructor(private readonly events: ConnectionEvents) {}

  /** @throws NpcError NPC313 where the address is none. */
  static async open(open: OpenTransport, address: string, events: ConnectionEvents): Promise<Connection> {
    const connection = new Connection(events);
    connection.transport = await open(address, {
      frame: (frame) => connection.deliver(frame),
      lost: (reason) => connection.fail(lost(reason), true),
    });
    return connection;
  }

  /** Take over the server's limits, and stay connected while silent. */
  configure(limits: Limits): void {
    this.limits = { maxFrameBytes: limits.maxFrameBytes, maxDepth: limits.maxMessageDepth };
    this.keepAlive = setInterval(
      () => {
        if (!this.isTalkative) this.submit("health", {}, () => {});
        this.isTalkative = false;
      },
      (limits.clientTimeoutS * 1000) / SIGNS_OF_LIFE,
    );
    // A Node.js process that has nothing else to do may end; browsers have no unref.
    if (typeof this.keepAlive === "object") this.keepAlive.unref?.();
  }

  /**
   * Send a request; its replies, and the error that ends it, go to the sink.
   *
   * @returns The request's id.
   * @throws NpcError NPC313 without a connection, NPC201 or NPC206 for what cannot be sent. Then nothing was sent.
   */
  submit(kind: string, fields: { [name: string]: unknown }, sink: Sink): number {
    if (this.end !== null) throw new NpcError(this.end.code, this.end.reason, this.end.hint);
    const requestId = this.nextId++;
    const frame = pack({ kind, request_id: requestId, ...fields }, this.limits);
    this.sinks.set(requestId, sink);
    this.isTalkative = true;
    this.transport?.send(frame);
    return requestId;
  }

  /** Let later replies to this request go to nobody. */
  forget(requestId: number): void {
    this.sinks.delete(requestId);
  }

  /** Say bye and close; open requests fail with NPC313. Nothing is delivered afterwards. */
  close(): void {
    if (this.end !== null) return;
    this.submit("bye", {}, () => {});
    this.transport?.close();
    this.fail(lost("the connection was closed"), false);
  }

  private deliver(frame: Uint8Array): void {
    if (this.end !== null) return;
    let fields: Fields;
    try {
      fields = unpack(frame, this.limits);
    } catch (error) {
      this.events.unclaimed(error as NpcError);
      return;
    }
    if (!isKnownKind(fields.kind)) {
      this.events.unclaimed(new NpcError("NPC203", `the server sent the unknown kind ${String(fields.kind)}; left out`));
      return;
    }
    const requestId = requestIdOf(fields);
    let reply: Fields | NpcError = fields;
    if (fields.kind === "error") {
      try {
        reply = errorOf(fields);
      } catch (error) {
        reply = error as NpcError;
      }
    }
    const sink = requestId === null ? undefined : this.sinks.get(requestId);
    if (sink === undefined) {
      if (reply instanceof NpcError) this.events.unclaimed(reply);
      return;
    }
    if (!UNFINISHED.has(String(fields.kind))) this.sinks.delete(requestId as number);
    sink(reply);
  }

  private fail(error: NpcError, isTold: boolean): void {
    if (this.end !== null) return;
    this.end = error;
    if (this.keepAlive !== null) clearInterval(this.keepAlive);
    const sinks = [...this.sinks.values()];
    this.sinks.clear();
    for (const sink of sinks) sink(new NpcError(error.code, error.reason, error.hint));
    if (isTold) this.events.lost(error);
  }
}

/** The WebSocket door: one binary message a frame. Browsers, and Node.js by the `ws` package where it has no WebSocket. */

import { lost } from "./errors.js";
import { MAX_QUEUED_FRAMES, type OpenTransport, type Transport, type TransportEvents } from "./transport.js";

// What a socket that cannot send may hold before the server counts as gone.
const MAX_BUFFERED_BYTES = 64 << 20;

/** The part of the standard WebSocket that is used. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number): void;
}

const OPEN = 1;

class WebSocketTransport implements Transport {
  private readonly waiting: Uint8Array[] = [];
  private isOver = false;

  constructor(
    private readonly socket: WebSocketLike,
    private readonly address: string,
    private readonly events: TransportEvents,
  ) {
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      for (const frame of this.waiting.splice(0)) socket.send(frame);
      if (this.isOver) socket.close(1000);
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (this.isOver) return;
      // A text message is no frame; as no bytes at all it is refused like one.
      this.events.frame(event.data instanceof ArrayBuffer ? new Uint8Array(event.data) : new Uint8Array());
    };
    socket.onerror = () => {
      // A close follows.
    };
    socket.onclose = (event: { code?: number }) => {
      this.lose(`the server at ${address} closed the connection or cannot be reached (${event.code ?? 1006})`);
    };
  }

  send(frame: Uint8Array): void {
    if (this.isOver) return;
    if (this.socket.readyState === OPEN) {
      this.socket.send(frame);
      if (this.socket.bufferedAmount > MAX_BUFFERED_BYTES) this.loseUnread();
    } else {
      this.waiting.push(frame);
      if (this.waiting.length > MAX_QUEUED_FRAMES) this.loseUnread();
    }
  }

  close(): void {
    this.isOver = true;
    // While it connects, `onopen` closes it.
    if (this.socket.readyState === OPEN) this.socket.close(1000);
    else if (this.waiting.length === 0) this.socket.close();
  }

  private loseUnread(): void {
    this.lose(`the server at ${this.address} reads nothing`);
    this.socket.close();
  }

  private lose(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.events.lost(reason);
  }
}

/**
 * A transport over the sockets that `make` opens.
 *
 * @throws NpcError NPC313 where the address is none.
 */
export const webSocketTransport =
  (make: (address: string) => WebSocketLike): OpenTransport =>
  async (address, events) => {
    let socket: WebSocketLike;
    try {
      socket = make(address);
    } catch (error) {
      throw lost(`cannot connect to ${address}: ${error instanceof Error ? error.message : String(error)}`);
    }
    return new WebSocketTransport(socket, address, events);
  };

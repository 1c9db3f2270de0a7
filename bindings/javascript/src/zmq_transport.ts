/** ZeroMQ: a DEALER socket by the `zeromq` package. Node.js only. */

import { lost } from "./errors.js";
import { MAX_QUEUED_FRAMES, type OpenTransport, type Transport, type TransportEvents } from "./transport.js";

/** A client's CURVE keys, for a server on another machine; Z85 text. */
export interface CurveKeys {
  serverPublicKey: string;
  publicKey: string;
  secretKey: string;
}

/** How long `bye` may take to leave when the connection is closed. */
const LINGER_MS = 500;

type Dealer = import("zeromq").Dealer;

class ZmqTransport implements Transport {
  private readonly waiting: Uint8Array[] = [];
  private isSending = false;
  private isOver = false;
  private isUp = false;

  constructor(
    private readonly socket: Dealer,
    private readonly address: string,
    private readonly events: TransportEvents,
  ) {
    const refused = () =>
      this.lose(`the server at ${address} refused the connection: its CURVE keys and this client's do not match`);
    socket.events.on("handshake", () => (this.isUp = true));
    socket.events.on("disconnect", () => {
      // Before the handshake ZeroMQ goes on trying, which is what a client that starts before its server wants.
      if (this.isUp) this.lose(`the server at ${address} closed the connection`);
    });
    socket.events.on("handshake:error:protocol", refused);
    socket.events.on("handshake:error:auth", refused);
    socket.events.on("handshake:error:other", refused);
    socket.connect(address);
    void this.read();
  }

  send(frame: Uint8Array): void {
    if (this.isOver) return;
    this.waiting.push(frame);
    if (this.waiting.length > MAX_QUEUED_FRAMES) this.lose(`the server at ${this.address} reads nothing`);
    else if (!this.isSending) void this.write();
  }

  close(): void {
    this.isOver = true;
    // The writer closes when it is done; without a connection nothing can leave.
    if (!this.isSending) this.free();
    else if (!this.isUp) this.free();
    else setTimeout(() => this.free(), LINGER_MS);
  }

  private async read(): Promise<void> {
    try {
      for await (const [frame, ...more] of this.socket) {
        if (this.isOver) return;
        // A message of several frames is none of the protocol's; as no bytes at all it is refused like one.
        if (frame !== undefined) this.events.frame(more.length === 0 ? frame : new Uint8Array());
      }
    } catch (error) {
      this.lose(`the socket to ${this.address} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private async write(): Promise<void> {
    this.isSending = true;
    try {
      for (let frame = this.waiting.shift(); frame !== undefined; frame = this.waiting.shift()) {
        // One at a time: the socket refuses a second send while one waits.
        await this.socket.send(frame);
      }
    } catch (error) {
      this.lose(`cannot send to ${this.address}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.isSending = false;
      if (this.isOver) this.free();
    }
  }

  private lose(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.free();
    this.events.lost(reason);
  }

  private free(): void {
    if (!this.socket.closed) this.socket.close();
  }
}

/**
 * A ZeroMQ transport.
 *
 * @throws NpcError NPC313 where the address is none, or the `zeromq` package is not installed.
 */
export const zmqTransport =
  (keys?: CurveKeys): OpenTransport =>
  async (address, events) => {
    let zeromq: typeof import("zeromq");
    try {
      zeromq = await import("zeromq");
    } catch {
      throw lost("the package `zeromq` is not installed; install it, or use the server's ws:// address");
    }
    const socket = new zeromq.Dealer({ linger: LINGER_MS });
    if (keys !== undefined) {
      socket.curveServerKey = keys.serverPublicKey;
      socket.curvePublicKey = keys.publicKey;
      socket.curveSecretKey = keys.secretKey;
    }
    try {
      return new ZmqTransport(socket, address, events);
    } catch (error) {
      socket.close();
      throw lost(`cannot connect to ${address}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

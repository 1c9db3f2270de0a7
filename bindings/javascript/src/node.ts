/** For Node.js: ZeroMQ, and the WebSocket door for `ws://` and `wss://` addresses. */

import { Client, type ClientOptions } from "./client.js";
import { lost } from "./errors.js";
import type { OpenTransport } from "./transport.js";
import { webSocketTransport, type WebSocketLike } from "./websocket_transport.js";
import { zmqTransport, type CurveKeys } from "./zmq_transport.js";

export * from "./exports.js";
export type { CurveKeys } from "./zmq_transport.js";

/** The server's own default. */
export const DEFAULT_ADDRESS = "tcp://127.0.0.1:5570";

export interface NodeClientOptions extends ClientOptions {
  /** For a `tcp://` server with CURVE keys. */
  keys?: CurveKeys;
}

/** A client of one server. */
export class NpcClient extends Client {
  /** @param address `tcp://HOST:PORT` for ZeroMQ, `ws://` or `wss://` for the WebSocket door. */
  constructor(address: string = DEFAULT_ADDRESS, { keys, ...options }: NodeClientOptions = {}) {
    super(address, /^wss?:/.test(address) ? nodeWebSocket : zmqTransport(keys), options);
  }
}

const nodeWebSocket: OpenTransport = async (address, events) => {
  // Node.js has a WebSocket of its own from 22 on.
  let make = (url: string): WebSocketLike => new WebSocket(url) as WebSocketLike;
  if (typeof WebSocket === "undefined") {
    try {
      const { WebSocket: Ws } = await import("ws");
      make = (url) => new Ws(url, { perMessageDeflate: false }) as unknown as WebSocketLike;
    } catch {
      throw lost("this Node.js has no WebSocket, and the package `ws` is not installed");
    }
  }
  return webSocketTransport(make)(address, events);
};

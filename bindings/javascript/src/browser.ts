/** For browsers: the WebSocket door. */

import { Client, type ClientOptions } from "./client.js";
import { webSocketTransport, type WebSocketLike } from "./websocket_transport.js";

export * from "./exports.js";

/** The address of a server whose settings say `websocket_address = "ws://127.0.0.1:5571"`. */
export const DEFAULT_ADDRESS = "ws://127.0.0.1:5571";

/** A client of one server. */
export class NpcClient extends Client {
  /** @param address `ws://HOST:PORT`, or `wss://` of a proxy before it. */
  constructor(address: string = DEFAULT_ADDRESS, options: ClientOptions = {}) {
    super(address, webSocketTransport((url) => new WebSocket(url) as WebSocketLike), options);
  }
}

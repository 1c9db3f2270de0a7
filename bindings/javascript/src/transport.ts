/** What carries frames; the ZeroMQ and the WebSocket transport fit it. */

export interface TransportEvents {
  /** A frame has come. */
  frame(frame: Uint8Array): void;
  /** The connection is gone, or never came to be; called at most once, and not after `close`. */
  lost(reason: string): void;
}

export interface Transport {
  /** Send a frame, or queue it until the connection stands. Returns at once. */
  send(frame: Uint8Array): void;
  /** Let what is queued leave, then free everything. */
  close(): void;
}

/** Opens a transport; sending may begin at once. */
export type OpenTransport = (address: string, events: TransportEvents) => Promise<Transport>;

/** Frames that may wait for a server that reads nothing. */
export const MAX_QUEUED_FRAMES = 1000;

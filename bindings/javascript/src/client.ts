/** The game's side: a client, its conversations, their turns. */

import type { Fields } from "./codec.js";
import { Connection } from "./connection.js";
import { ActionFailed, NpcError, invalid, lost } from "./errors.js";
import {
  ANSWERS,
  PROTOCOL_VERSION,
  type ActionCall,
  type CharacterEntry,
  type Controls,
  type ControlsSet,
  type HealthReport,
  type Welcome,
} from "./messages.js";
import type { OpenTransport } from "./transport.js";
import { Turn } from "./turn.js";

type Answers = typeof ANSWERS;
export type ActionHandler = (call: ActionCall) => { [name: string]: unknown } | Promise<{ [name: string]: unknown }>;

const RECONNECT_FIRST_MS = 250;
const RECONNECT_MOST_MS = 5000;

export interface ClientOptions {
  /** How long one answer may take, ms; 10,000 unless given. */
  timeoutMs?: number;
  /** What the game is, for the server's log. */
  name?: string;
  /** Connect again by itself after a loss, 0.25 s to 5 s apart, until `close`. Conversations must be opened anew. */
  reconnect?: boolean;
  /** Called when the server is gone. */
  onLost?: (error: NpcError) => void;
  /** Called after each `hello` that was welcomed, the first and those of `reconnect`. */
  onConnected?: (welcome: Welcome) => void;
  /** Called for a frame that is no message, and for an error that no open request claims. */
  onProblem?: (error: NpcError) => void;
}

export interface OpenOptions {
  /** The game's stable id of the player. */
  playerId: string;
  /** How the character may address the player. */
  playerName?: string;
  /** The game's state now. */
  state?: { [name: string]: unknown };
  /** Runs each action the character asks for; its result is what happened. Throw ActionFailed for what did not. */
  onAction?: ActionHandler;
  /** The sheet's actions that this game runs. Without it: all of them with `onAction`, none without. */
  actions?: string[];
  /** Actions of the game's own: `name`, `description`, `parameters` (JSON Schema), and what docs/protocol.md lists. */
  declareActions?: { [name: string]: unknown }[];
}

export interface SayOptions {
  /** Aborting it cancels the turn, which still ends with its TurnEnd. */
  signal?: AbortSignal;
  /** Controls of this turn alone, as `setControls` takes them. */
  controls?: Controls;
  /** What the turn draws by, 0 to 2^32 - 1: the same seed after the same talk draws alike. */
  seed?: number;
}

/** A connection to a server. Every method returns at once; what takes time is a promise. */
export class Client {
  private connection: Connection | null = null;
  private welcomed: Welcome | null = null;
  private connecting: Promise<Welcome> | null = null;
  private retry: ReturnType<typeof setTimeout> | null = null;
  private isClosed = false;

  /** @internal Use `new NpcClient(address, options)` of the package. */
  constructor(
    readonly address: string,
    private readonly open_: OpenTransport,
    private readonly options: ClientOptions = {},
  ) {}

  /** What the server said at `hello`, or null without a connection. */
  get welcome(): Welcome | null {
    return this.welcomed;
  }

  /** @internal */
  get timeoutMs(): number {
    return this.options.timeoutMs ?? 10_000;
  }

  /** @internal How long a turn may be silent: the server ends every turn by its deadline. */
  get turnTimeoutMs(): number {
    return (this.welcomed?.limits.turnDeadlineS ?? 60) * 1000 + this.timeoutMs;
  }

  /**
   * Connect and say hello; again after a loss. Conversations of an earlier connection are gone.
   *
   * @throws NpcError NPC311 where nobody answers, NPC313 where the connection is refused, NPC204 for another version.
   */
  connect(): Promise<Welcome> {
    this.isClosed = false;
    this.connecting ??= this.hello().finally(() => (this.connecting = null));
    return this.connecting;
  }

  /** Say bye and disconnect; open requests and turns fail with NPC313. The client may connect again. */
  close(): void {
    this.isClosed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    this.disconnect();
  }

  /** Who can be talked to. */
  characters(): Promise<CharacterEntry[]> {
    return this.request("list_characters", {}, "characters");
  }

  /** Open a conversation. @throws NpcError NPC301, NPC309, NPC310, NPC314, NPC315 or NPC306; nothing was opened. */
  async open(characterId: string, options: OpenOptions): Promise<Conversation> {
    const fields = {
      character_id: characterId,
      player_id: options.playerId,
      player_name: options.playerName ?? null,
      state: options.state ?? {},
      actions: options.actions ?? (options.onAction ? ["*"] : []),
      // Left out where it is not used: an older server does not know it.
      ...(options.declareActions && { declare_actions: options.declareActions }),
    };
    const opened = await this.request("open_conversation", fields, "conversation_opened");
    return new Conversation(this, opened.conversationId, opened.greeting, options.onAction ?? null);
  }

  /** Tell the characters of all this client's conversations what the game knows now. */
  async worldEvent(text: string, gameTime: number | null = null): Promise<void> {
    await this.request("world_event", { text, game_time: gameTime }, "ok");
  }

  /** How the engine and the server are. */
  health(): Promise<HealthReport> {
    return this.request("health", {}, "health_report");
  }

  /** The metrics in the Prometheus text format. */
  metrics(): Promise<string> {
    return this.request("metrics", {}, "metrics_report");
  }

  /**
   * Send any request that has one answer, and wait for it.
   *
   * @param answer The kind of the answer.
   * @throws NpcError What the server answered; NPC311 without an answer in time (the connection stays usable); NPC313
   *   without a connection; NPC202 for an answer of another kind.
   */
  request<K extends keyof Answers>(
    kind: string,
    fields: { [name: string]: unknown },
    answer: K,
  ): Promise<ReturnType<Answers[K]>> {
    return new Promise((resolve, reject) => {
      const requestId = this.submit(kind, fields, (reply) => {
        clearTimeout(timer);
        if (reply instanceof NpcError) return reject(reply);
        try {
          if (reply.kind !== answer) throw invalid(`the server answered ${kind} with ${String(reply.kind)}`);
          resolve(ANSWERS[answer](reply) as ReturnType<Answers[K]>);
        } catch (error) {
          reject(error);
        }
      });
      const timer = setTimeout(() => {
        this.forget(requestId);
        reject(this.timedOut(kind, this.timeoutMs));
      }, this.timeoutMs);
    });
  }

  /** @internal */
  submit(kind: string, fields: { [name: string]: unknown }, sink: (reply: Fields | NpcError) => void): number {
    if (this.connection === null) throw lost("this client is not connected");
    return this.connection.submit(kind, fields, sink);
  }

  /** @internal */
  forget(requestId: number): void {
    this.connection?.forget(requestId);
  }

  /** @internal */
  timedOut(kind: string, timeoutMs: number): NpcError {
    return new NpcError("NPC311", `no answer to ${kind} from ${this.address} within ${timeoutMs} ms`);
  }

  /** @internal */
  problem(error: NpcError): void {
    this.options.onProblem?.(error);
  }

  private async hello(): Promise<Welcome> {
    this.disconnect();
    const connection = await Connection.open(this.open_, this.address, {
      unclaimed: (error) => this.problem(error),
      lost: (error) => this.lose(connection, error),
    });
    if (this.isClosed) {
      connection.close();
      throw lost("the client was closed");
    }
    this.connection = connection;
    const hello = { protocol_version: PROTOCOL_VERSION, client: this.options.name ?? "npc-engine-client (JavaScript)" };
    try {
      const welcome = await this.request("hello", hello, "welcome");
      connection.configure(welcome.limits);
      this.welcomed = welcome;
      this.options.onConnected?.(welcome);
      return welcome;
    } catch (error) {
      if (this.connection === connection) this.disconnect();
      throw error;
    }
  }

  private disconnect(): void {
    const connection = this.connection;
    this.connection = null;
    this.welcomed = null;
    connection?.close();
  }

  private lose(connection: Connection, error: NpcError): void {
    if (this.connection !== connection) return;
    this.connection = null;
    const wasWelcomed = this.welcomed !== null;
    this.welcomed = null;
    // A connection that never stood fails its `connect`; there is nothing else to tell.
    if (!wasWelcomed) return;
    this.options.onLost?.(error);
    if (this.options.reconnect && !this.isClosed) this.connectLater(RECONNECT_FIRST_MS);
  }

  private connectLater(delayMs: number): void {
    this.retry = setTimeout(() => {
      if (this.isClosed) return;
      this.connect().catch(() => {
        if (!this.isClosed) this.connectLater(Math.min(2 * delayMs, RECONNECT_MOST_MS));
      });
    }, delayMs);
  }
}

/** One player and one character. `Client.open` makes it. */
export class Conversation {
  private isClosed = false;

  /** @internal */
  constructor(
    private readonly client: Client,
    /** Names the conversation. */
    readonly id: string,
    /** The character's authored first line; may be empty. */
    readonly greeting: string,
    private readonly onAction: ActionHandler | null,
  ) {}

  /**
   * The player speaks; iterate over the turn, or await its `finish()`.
   *
   * What goes wrong (NPC304, NPC305, NPC306, NPC313, NPC316 …) is thrown while iterating.
   */
  say(text: string, { signal, controls, seed }: SayOptions = {}): Turn {
    const turn = new Turn();
    if (signal?.aborted) {
      turn.fail(signal.reason);
      return turn;
    }
    const timeoutMs = this.client.turnTimeoutMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let requestId = -1;
    const abort = () => void this.cancel().catch((error: unknown) => turn.fail(error));
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.client.forget(requestId);
        turn.fail(this.client.timedOut("say", timeoutMs));
        done();
      }, timeoutMs);
    };
    try {
      const fields = {
        conversation_id: this.id,
        text,
        ...(controls !== undefined && { controls }),
        ...(seed !== undefined && { seed }),
      };
      requestId = this.client.submit("say", fields, (reply) => {
        wait();
        const event = turn.take(reply);
        if (event === null || event.kind === "turn_end") done();
        else if (event.kind === "action_call" && this.onAction) void this.act(this.onAction, event, turn);
      });
      wait();
      signal?.addEventListener("abort", abort, { once: true });
    } catch (error) {
      turn.fail(error);
    }
    return turn;
  }

  /** Stop the running turn, whose TurnEnd still arrives; false where none runs. */
  cancel(): Promise<boolean> {
    return this.request("cancel", {});
  }

  /** Say what an action did. @throws NpcError NPC308 where nobody waits for it any more. */
  async answer(call: ActionCall, result: { [name: string]: unknown }): Promise<void> {
    await this.request("action_result", { call_id: call.callId, result });
  }

  /** Say why an action did not happen, in words the character may use. @throws NpcError NPC308, as `answer`. */
  async refuse(call: ActionCall, reason: string): Promise<void> {
    await this.request("action_result", { call_id: call.callId, error: reason });
  }

  /** Tell this character what the game knows now. */
  async worldEvent(text: string, gameTime: number | null = null): Promise<void> {
    await this.request("world_event", { text, game_time: gameTime });
  }

  /** Change the game's state as this character sees it. @throws NpcError NPC309; nothing has changed. */
  async setState(changes: { [name: string]: unknown }): Promise<void> {
    await this.request("set_state", { changes });
  }

  /**
   * Change how the character talks in this conversation, from the next turn on; also while a turn runs.
   *
   * @throws NpcError NPC316; nothing has changed.
   */
  setControls(controls: Controls): Promise<ControlsSet> {
    return this.client.request("set_controls", { conversation_id: this.id, controls }, "controls_set");
  }

  /**
   * Take back the last turns; how many are left that can be taken back.
   *
   * @throws NpcError NPC304 while a turn runs, NPC317 where there are fewer; nothing has changed.
   */
  undo(turns = 1): Promise<number> {
    return this.client.request("undo", { conversation_id: this.id, turns }, "undone");
  }

  /** Close the conversation; a running turn is cancelled and ends first. Does nothing the second time. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    try {
      await this.client.request("close_conversation", { conversation_id: this.id }, "conversation_closed");
    } catch (error) {
      // With the connection, the conversation is gone already.
      if (!(error instanceof NpcError && error.code === "NPC313")) throw error;
    }
  }

  private async act(onAction: ActionHandler, call: ActionCall, turn: Turn): Promise<void> {
    let outcome: { result: { [name: string]: unknown } } | { error: string };
    try {
      outcome = { result: await onAction(call) };
    } catch (error) {
      const isRefusal = error instanceof ActionFailed && error.message !== "";
      outcome = { error: isRefusal ? error.message : "it could not be done" };
      // A bug in the game's handler: the character goes on, and the game hears of it where it reads the turn.
      if (!(error instanceof ActionFailed)) turn.fail(error);
    }
    try {
      await this.request("action_result", { call_id: call.callId, ...outcome });
    } catch (error) {
      this.client.problem(error as NpcError);
    }
  }

  private request(kind: string, fields: { [name: string]: unknown }): Promise<boolean> {
    return this.client.request(kind, { conversation_id: this.id, ...fields }, "ok");
  }
}

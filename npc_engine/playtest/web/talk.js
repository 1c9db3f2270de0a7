/** One player's talk with one character: what was said, what the game told, and the ways to hear a line again. */

import { ActionFailed, NpcError } from "./npc-engine-client.js";

/**
 * One way a line was answered.
 *
 * @typedef {object} Variant
 * @property {object} controls What the talk set when it was said.
 * @property {number} seed What it drew by.
 * @property {string} text What was heard so far.
 * @property {{text: string, atS: number}[]} sentences Whole sentences, with seconds since the line was sent.
 * @property {object[]} actions Calls with their outcomes.
 * @property {number|null} firstWordS Seconds to the first piece of speech.
 * @property {number} totalS Seconds to the end.
 * @property {number} begun `performance.now()` when it was sent.
 * @property {object|null} end The turn's end with its trace.
 * @property {NpcError|Error|null} error What ended it instead.
 */

/** A talk. Dispatches `change` with `detail.kind`: turn, piece, end, undo, state, controls, opened, call. */
export class Talk extends EventTarget {
  constructor(client, character, player) {
    super();
    this.client = client;
    this.character = character;
    this.player = player;
    this.turns = [];
    this.greeting = "";
    this.openingState = {};
    this.state = {};
    this.events = [];
    this.controls = {};
    this.inForce = {};
    /** Who answers actions: done, ask or refuse. */
    this.game = "done";
    this.conversation = null;
    this.running = null;
    this.#clearPending();
  }

  #abort = null;
  #pending = null;
  #outcomes = new Map();

  /** Open the conversation unless it is open; after a loss a new one, with the state and controls of this talk. */
  async open() {
    if (this.conversation !== null) return;
    this.conversation = await this.client.open(this.character.id, {
      playerId: this.player,
      playerName: this.player,
      state: this.state,
      onAction: (call) => this.#answer(call),
    });
    this.greeting = this.conversation.greeting;
    if (this.turns.length > 0) {
      for (const turn of this.turns) turn.isPast = true;
      this.openingState = { ...this.state };
      this.#clearPending();
    }
    await this.setControls(this.controls);
    this.#tell("opened");
  }

  /** The connection is gone, and the conversation with it; what was said stays. */
  lose() {
    this.conversation = null;
  }

  get lastTurn() {
    return this.turns.at(-1) ?? null;
  }

  /** Whether the last turn can be heard again or taken back. */
  get canUndo() {
    return this.running === null && this.lastTurn !== null && !this.lastTurn.isPast && this.conversation !== null;
  }

  /** Say a line; resolves when its turn is over. @throws What ended it; the line is then not among the turns. */
  async say(line) {
    if (this.running !== null) throw new NpcError("NPC304", "the character is still answering", "wait, or stop the reply");
    await this.open();
    const turn = { line, variants: [], left: 0, told: this.#pending, isPast: false };
    await this.#run(turn, newSeed());
  }

  /** Take the last turn's reply back and hear its line again, under the controls of now, by this seed. */
  async again(seed = newSeed()) {
    const turn = this.lastTurn;
    if (!this.canUndo) throw new NpcError("NPC317", "there is no reply to hear again", "say something first");
    if (current(turn).error === null) await this.conversation.undo();
    turn.left = turn.variants.length - 1;
    await this.#run(turn, seed);
  }

  /** Take the last turn back; what the game told stays told. */
  async undo() {
    if (!this.canUndo) throw new NpcError("NPC317", "there is no turn to take back", "say something first");
    const turn = this.lastTurn;
    if (current(turn).error === null) await this.conversation.undo();
    this.turns.pop();
    this.#pending = {
      state: { ...turn.told.state, ...this.#pending.state },
      events: [...turn.told.events, ...this.#pending.events],
    };
    this.#tell("undo", { turn });
    return turn.line;
  }

  /** Stop the running reply; what was heard stays. */
  cancel() {
    this.#abort?.abort();
  }

  /** Change controls; null gives one back. */
  async setControls(changes) {
    await this.open();
    const now = await this.conversation.setControls(changes);
    this.controls = Object.fromEntries(Object.entries(now.controls).filter(([, value]) => value !== null));
    this.names = Object.keys(now.controls);
    this.inForce = now.inForce;
    this.#tell("controls");
  }

  /** Change the game's state. */
  async setState(changes) {
    await this.open();
    await this.conversation.setState(changes);
    Object.assign(this.state, changes);
    const isBefore = this.turns.every((turn) => turn.isPast) && this.#pending.events.length === 0;
    Object.assign(isBefore ? this.openingState : this.#pending.state, changes);
    this.#tell("state");
  }

  /** Let the character learn something. */
  async tellEvent(text) {
    await this.open();
    await this.conversation.worldEvent(text);
    this.events.push(text);
    this.#pending.events.push(text);
    this.#tell("state");
  }

  async #run(turn, seed) {
    const variant = {
      controls: { ...this.controls },
      seed,
      text: "",
      sentences: [],
      actions: [],
      firstWordS: null,
      totalS: 0,
      begun: performance.now(),
      end: null,
      error: null,
    };
    const isNew = turn.variants.length === 0;
    turn.variants.push(variant);
    this.running = variant;
    this.#abort = new AbortController();
    if (isNew) this.turns.push(turn);
    this.#tell("turn", { turn, isNew });
    const elapsed = () => (performance.now() - variant.begun) / 1000;
    try {
      for await (const event of this.conversation.say(turn.line, { signal: this.#abort.signal, seed })) {
        if (event.kind === "token") {
          variant.firstWordS ??= elapsed();
          variant.text += event.text;
        } else if (event.kind === "sentence") {
          variant.sentences.push({ text: event.text, atS: elapsed() });
        } else if (event.kind === "turn_end") {
          variant.text = event.text;
          variant.end = event;
          variant.totalS = elapsed();
        }
        this.#tell("piece", { turn, variant, event });
      }
      if (isNew) this.#clearPending();
    } catch (error) {
      variant.error = error;
      variant.totalS = elapsed();
      // What was refused before a word was heard was not said; the writer's line goes back to where it was typed.
      if (isNew && variant.text === "") this.turns.pop();
      throw error;
    } finally {
      this.running = null;
      this.#abort = null;
      this.#tell("end", { turn, variant });
    }
  }

  async #answer(call) {
    const entry = { name: call.name, arguments: call.arguments, outcome: null, answer: null };
    this.running?.actions.push(entry);
    const known = call.idempotencyKey ? this.#outcomes.get(call.idempotencyKey) : undefined;
    try {
      if (this.game === "refuse") throw new ActionFailed("it cannot be done now");
      const result =
        known ?? (this.game === "done" ? { done: true } : await new Promise((resolve, reject) => {
          entry.answer = { resolve, reject };
          this.#tell("call", { entry, variant: this.running });
        }));
      entry.outcome = { result };
      if (call.idempotencyKey) this.#outcomes.set(call.idempotencyKey, result);
      return result;
    } catch (error) {
      entry.outcome = { refused: error.message };
      throw error;
    } finally {
      entry.answer = null;
      this.#tell("call", { entry, variant: this.running });
    }
  }

  #clearPending() {
    this.#pending = { state: {}, events: [] };
  }

  #tell(kind, detail = {}) {
    this.dispatchEvent(new CustomEvent("change", { detail: { kind, ...detail } }));
  }
}

/** The variant of a turn that the talk goes on from. */
export const current = (turn) => turn.variants.at(-1);

const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** The words: every turn as it streams, its variants side by side, and what can be done with it. */

import { byId, el, fill, seconds, words } from "./dom.js";
import { wordDiff } from "./diff.js";
import { current } from "./talk.js";

// Turns that are drawn at once; a page that draws hundreds answers keys slowly.
const DRAWN = 20;
const NEAR_BOTTOM_PX = 120;

/**
 * Draws one talk at a time.
 *
 * @param {object} actions What its buttons do: select, again, anotherSeed, undo, bad.
 */
export class Log {
  constructor(actions) {
    this.actions = actions;
    this.box = byId("log");
    this.talk = null;
    this.first = 0;
    this.nodes = new Map();
    this.selected = null;
  }

  /** Draw this talk, its end in sight. */
  show(talk) {
    this.talk = talk;
    this.selected = null;
    this.first = Math.max(0, talk.turns.length - DRAWN);
    this.#draw();
    this.box.scrollTop = this.box.scrollHeight;
  }

  /** Take in one change of the talk. */
  take({ kind, turn, variant, isNew }) {
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_BOTTOM_PX;
    if (kind === "opened" || kind === "undo") this.#draw();
    else if (kind === "turn") this.#add(turn, isNew);
    else if (kind === "piece" || kind === "call") this.#stream(variant);
    else if (kind === "end") this.#end(turn);
    if (isAtEnd || (kind === "turn" && isNew)) this.box.scrollTop = this.box.scrollHeight;
  }

  /** Mark the turn whose trace is shown. */
  select(turn) {
    this.selected = turn;
    for (const [each, node] of this.nodes) node.classList.toggle("selected", each === turn);
  }

  #draw() {
    this.nodes.clear();
    this.first = Math.min(this.first, Math.max(0, this.talk.turns.length - 1));
    const drawn = this.talk.turns.slice(this.first).map((turn) => this.#node(turn));
    const earlier = this.first > 0 ? this.#earlier() : null;
    const greeting = this.first === 0 && this.talk.greeting ? this.#greeting() : null;
    fill(this.box, earlier, greeting, ...drawn);
    if (this.talk.turns.length === 0) this.box.append(el("p.empty", {}, "Say something, or tell the game's state first."));
    this.#refresh();
  }

  #add(turn, isNew) {
    if (!isNew) {
      this.nodes.get(turn)?.replaceWith(this.#node(turn));
      return;
    }
    this.box.querySelector(".empty")?.remove();
    this.box.append(this.#node(turn));
    if (this.talk.turns.length - this.first > 2 * DRAWN) {
      this.first = this.talk.turns.length - DRAWN;
      this.#draw();
    }
    this.#refresh();
  }

  #end(turn) {
    if (this.talk.turns.includes(turn)) this.nodes.get(turn)?.replaceWith(this.#node(turn));
    else this.#draw();
    this.#refresh();
  }

  /** Only the last turn can be heard again; the others lose their buttons. */
  #refresh() {
    for (const [turn, node] of this.nodes) node.classList.toggle("last", turn === this.talk.lastTurn && !turn.isPast);
    this.select(this.selected);
  }

  #stream(variant) {
    const node = this.streaming;
    if (!node || node.variant !== variant) return;
    node.text.data = variant.text;
    fill(node.actions, ...variant.actions.map((entry) => this.#action(entry)));
  }

  #earlier() {
    const count = Math.min(DRAWN, this.first);
    const show = () => {
      const before = this.box.scrollHeight - this.box.scrollTop;
      this.first -= count;
      this.#draw();
      this.box.scrollTop = this.box.scrollHeight - before;
    };
    return el("button.earlier", { type: "button", on: { click: show } }, `${count} earlier turns of ${this.first}`);
  }

  #greeting() {
    return el("article.turn.greeting", {}, el("p.name", {}, this.talk.character.name), el("p.speech", {}, this.talk.greeting));
  }

  #node(turn) {
    const variant = current(turn);
    const isRunning = this.talk.running === variant;
    const body = turn.variants.length > 1 ? this.#pair(turn, isRunning) : this.#reply(turn, variant, isRunning);
    const node = el(
      "article.turn",
      { on: { click: () => this.actions.select(turn, current(turn)) } },
      ...this.#told(turn),
      el("p.line", {}, el("span.name", {}, this.talk.player), " ", el("span", {}, turn.line)),
      body,
      isRunning ? null : this.#foot(turn, variant),
    );
    node.classList.toggle("past", turn.isPast);
    if (turn.isPast && this.talk.turns[this.talk.turns.indexOf(turn) + 1]?.isPast === false) node.classList.add("past-end");
    this.nodes.set(turn, node);
    return node;
  }

  #told(turn) {
    const { state, events } = turn.told;
    const changes = Object.entries(state).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
    return [
      changes.length > 0 ? el("p.game", {}, `State: ${changes.join(", ")}`) : null,
      ...events.map((event) => el("p.game", {}, `It happened: ${event}`)),
    ];
  }

  #reply(turn, variant, isRunning) {
    const speech = el("p.speech");
    const actions = el("div.actions", {}, ...variant.actions.map((entry) => this.#action(entry)));
    if (isRunning) {
      const text = document.createTextNode(variant.text);
      speech.append(text, el("span.caret", { aria: { hidden: "true" } }));
      this.streaming = { variant, text, actions };
    } else {
      speech.append(...spoken(variant));
    }
    const name = el("p.name", {}, this.talk.character.name);
    return el("div.reply", { aria: { busy: String(isRunning) } }, name, actions, speech, variant.error ? problem(variant.error) : null);
  }

  /** Two variants side by side, with the words that differ marked; chips choose the left one. */
  #pair(turn, isRunning) {
    const right = current(turn);
    const left = turn.variants[turn.left] ?? turn.variants[0];
    const [leftWords, rightWords] = isRunning ? [null, null] : wordDiff(left.text, right.text);
    const choose = (index) => (event) => {
      event.stopPropagation();
      turn.left = index;
      this.nodes.get(turn)?.replaceWith(this.#node(turn));
      this.#refresh();
    };
    const chips = turn.variants.slice(0, -1).map((_, index) =>
      el("button.chip", { type: "button", aria: { pressed: String(index === turn.left) }, on: { click: choose(index) } }, index + 1),
    );
    const column = (variant, marked, label) => {
      const open = (event) => {
        event.stopPropagation();
        this.actions.select(turn, variant);
      };
      const head = el("p.what", {}, el("b", {}, label), " ", difference(variant, variant === left ? right : left));
      const body = this.#reply(turn, variant, variant === right && isRunning);
      if (marked !== null) {
        const speech = body.querySelector(".speech");
        fill(speech, ...marked.flatMap(({ text, isShared }, index) => [index > 0 ? " " : "", isShared ? text : el("mark", {}, text)]));
      }
      const trace = el("button.plain", { type: "button", on: { click: open } }, "Trace");
      return el("div.column", {}, head, body, el("p.figures", {}, figures(variant), " ", variant.end ? trace : null));
    };
    return el(
      "div.pair",
      {},
      chips.length > 1 ? el("p.chips", {}, "Compare with ", ...chips) : null,
      column(left, leftWords, `${turn.left + 1}`),
      column(right, rightWords, `${turn.variants.length}, in force`),
    );
  }

  #foot(turn, variant) {
    const button = (text, title, run) =>
      el("button.plain", { type: "button", title, on: { click: (event) => (event.stopPropagation(), run()) } }, text);
    const trace = () => this.actions.select(turn, variant, true);
    return el(
      "p.foot",
      {},
      turn.variants.length > 1 ? null : el("span.figures", {}, figures(variant)),
      variant.end && turn.variants.length === 1 ? button("Trace", "What it was made from", trace) : null,
      el(
        "span.only-last",
        {},
        button("Again, same seed", "Hear the line again under the controls of now", () => this.actions.again(variant.seed)),
        button("Another seed", "Hear the line answered otherwise", () => this.actions.again()),
        button("Take back", "As if it had not been said", () => this.actions.undo()),
      ),
      variant.text ? button("Bad", "Keep the talk up to here as a scenario to fix", () => this.actions.bad(turn)) : null,
    );
  }

  #action(entry) {
    const call = `${entry.name}(${Object.entries(entry.arguments).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")})`;
    if (entry.answer) return this.#question(entry, call);
    const outcome = entry.outcome?.refused ? `refused: ${entry.outcome.refused}` : JSON.stringify(entry.outcome?.result ?? null);
    return el("p.game", {}, el("code", {}, call), entry.outcome ? ` ${outcome}` : "");
  }

  /** The game is asked, and the writer is the game. */
  #question(entry, call) {
    const result = el("input", { value: '{"done": true}', spellcheck: false, aria: { label: "Result, as JSON" } });
    const wrong = el("span.wrong", { aria: { role: "alert" } });
    const done = (event) => {
      event.preventDefault();
      try {
        const data = JSON.parse(result.value);
        if (data === null || typeof data !== "object" || Array.isArray(data)) throw new Error("a result is a map, such as {\"price\": 40}");
        entry.answer?.resolve(data);
      } catch (error) {
        wrong.textContent = error.message;
      }
    };
    const refuse = () => {
      const error = new this.actions.ActionFailed("it cannot be done now");
      entry.answer?.reject(error);
    };
    return el(
      "form.question",
      { on: { submit: done, click: (event) => event.stopPropagation() } },
      el("p", {}, el("code", {}, call)),
      el("p.row", {}, result, el("button.primary", { type: "submit" }, "Done"), el("button", { type: "button", on: { click: refuse } }, "Refuse"), wrong),
    );
  }
}

/** A finished reply: each sentence with the number of the premise that bears it out. */
function spoken(variant) {
  if (!variant.end || variant.sentences.length === 0) return [variant.text];
  const premises = variant.end.trace.premises ?? [];
  const passed = (variant.end.trace.judge?.sentences ?? []).filter((one) => one.outcome !== "rejected");
  return variant.sentences.flatMap((sentence, index) => {
    const verdict = passed.find((one) => one.text === sentence.text) ?? null;
    const number = verdict ? premises.findIndex((premise) => premise.id === verdict.supported_by) : -1;
    const mark = number >= 0 ? el("sup", { title: premises[number].text }, number + 1) : null;
    return [el("span.sentence", {}, sentence.text), ...(mark ? [mark] : []), index + 1 < variant.sentences.length ? " " : ""];
  });
}

function figures(variant) {
  if (!variant.end) return "";
  const trace = variant.end.trace;
  const parts = [];
  if (variant.firstWordS !== null) parts.push(`first word ${seconds(variant.firstWordS)}`);
  parts.push(`whole ${seconds(variant.totalS)}`);
  if (trace.premises?.length) parts.push(`${trace.premises.length} facts`);
  const rejected = (trace.judge?.sentences ?? []).filter((one) => one.outcome === "rejected").length;
  if (rejected > 0) parts.push(`${rejected} rejected`);
  if (variant.end.source !== "model") parts.push(variant.end.source === "fallback" ? "authored line" : "nothing said");
  if (variant.end.finishReason !== "stop") parts.push(variant.end.finishReason);
  return parts.join(" · ");
}

/** How a variant was heard that the other was not: its controls and seed. */
function difference(variant, other) {
  const names = new Set([...Object.keys(variant.controls), ...Object.keys(other.controls)]);
  const changed = [...names].filter((name) => variant.controls[name] !== other.controls[name]);
  const parts = changed.map((name) => `${words(name)} ${variant.controls[name] ?? "as in the sheet"}`);
  if (variant.seed !== other.seed) parts.push(`seed ${variant.seed}`);
  return parts.join(", ") || "same controls, same seed";
}

/** A coded error, told in words. */
export const problem = (error) => el("p.wrong", { aria: { role: "alert" } }, error.message ?? String(error));

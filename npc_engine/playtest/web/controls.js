/** Every control of the talk: what it is set to here, what is in force, and which level that comes from. */

import { byId, el, fill, words } from "./dom.js";

// Ranges are those of npc_engine/sheets/controls.py; a test holds them to it.
export const CONTROLS = {
  role_play: { min: 0, max: 1, step: 0.05, help: "0 plain and helpful, 1 the whole character" },
  max_words: { min: 4, max: 300, step: 1, help: "longest reply in words" },
  max_sentences: { min: 1, max: 12, step: 1, help: "longest reply in sentences" },
  quirk_budget: { min: 0, max: 20, step: 1, help: "catchphrases and quirks within the cooldown" },
  cooldown_turns: { min: 0, max: 100, step: 1, help: "turns that a shown quirk counts" },
  trait_saturation: { min: 0, max: 1, step: 0.05, help: "cap on how much of her speech is trait and catchphrase" },
  task_priority: { min: 0, max: 1, step: 0.05, help: "on tasks, facts before sounding in character" },
  synchrony: { min: 0, max: 1, step: 0.05, help: "how far the player's style is mirrored" },
};

/** Draws into the panel of the tab Controls. */
export class ControlsPanel {
  /** @param {object} actions What it does: set(changes), again(), and canHear(). */
  constructor(actions) {
    this.actions = actions;
    this.box = byId("controls");
    this.rows = new Map();
    this.hear = el("button.primary", { type: "button", on: { click: () => actions.again() } }, "Hear the last line again");
    this.reset = el("button", { type: "button", on: { click: () => actions.set(this.#all(null)) } }, "All as in the sheet");
    fill(
      this.box,
      el("p.quiet", {}, "Move a control: it holds from the next reply of this talk on. Then hear the last line again, by the same seed, side by side with the reply before."),
      el("p.row", {}, this.hear, this.reset),
      ...Object.entries(CONTROLS).map(([name, range]) => this.#row(name, range)),
    );
  }

  /** Show a talk's controls. */
  show(talk) {
    const last = talk.lastTurn?.variants.at(-1)?.end?.trace ?? null;
    const route = last ? String(last.stages?.route ?? "").split(/[;,]/)[0] : "";
    for (const [name, row] of this.rows) {
      const own = talk.controls[name];
      const inForce = Object.entries(talk.inForce).map(([each, values]) => [each, values[name]]);
      const value = own ?? talk.inForce[route]?.[name] ?? talk.inForce.character?.[name] ?? inForce[0]?.[1] ?? CONTROLS[name].min;
      if (document.activeElement !== row.slider || own === undefined) row.slider.value = value;
      row.value.textContent = round(value);
      row.level.textContent = own === undefined ? levelOf(last, name) : "this talk";
      row.node.classList.toggle("own", own !== undefined);
      row.reset.hidden = own === undefined;
      fill(row.routes, ...byValue(inForce));
    }
    this.refresh(talk);
  }

  /** Whether there is a reply to hear again. */
  refresh(talk) {
    this.hear.disabled = !talk.canUndo;
    this.reset.disabled = Object.keys(talk.controls).length === 0;
  }

  #all(value) {
    return Object.fromEntries(Object.keys(CONTROLS).map((name) => [name, value]));
  }

  #row(name, { min, max, step, help }) {
    const slider = el("input", { type: "range", id: `control-${name}`, min, max, step });
    const value = el("output", { htmlFor: slider.id });
    const level = el("span.level");
    const routes = el("p.meta");
    const reset = el("button.plain", { type: "button", title: "As in the sheet", hidden: true, on: { click: () => this.actions.set({ [name]: null }) } }, "reset");
    slider.addEventListener("input", () => (value.textContent = round(Number(slider.value))));
    slider.addEventListener("change", () => this.actions.set({ [name]: Number(slider.value) }));
    const node = el(
      "div.control",
      {},
      el("label", { htmlFor: slider.id }, words(name)),
      el("span.resolved", {}, value, " ", level, reset),
      slider,
      el("p.quiet", {}, help),
      routes,
    );
    this.rows.set(name, { node, slider, value, level, routes, reset });
    return node;
  }
}

/** Routes with the same value together: `task 0.3 · elsewhere 0.6`. */
function byValue(inForce) {
  const groups = new Map();
  for (const [route, value] of inForce) groups.set(value, [...(groups.get(value) ?? []), words(route)]);
  if (groups.size <= 1) return [`in force on every route: ${round(inForce[0]?.[1])}`];
  return [`in force: ${[...groups].map(([value, routes]) => `${round(value)} on ${routes.join(", ")}`).join(" · ")}`];
}

const levelOf = (trace, name) => {
  const level = trace?.controls?.levels?.[name];
  return level === undefined || level === "conversation" ? "sheet or engine" : { default: "the default", engine: "the engine", character: "the sheet", route: "the sheet, for this route" }[level] ?? level;
};

const round = (value) => (value === undefined ? "" : String(Math.round(value * 1000) / 1000));

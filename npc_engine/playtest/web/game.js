/** The game's side: the state that conditions see, what happens in the world, and who answers actions. */

import { byId, el, fill } from "./dom.js";

/** Draws into the panel of the tab Game. */
export class GamePanel {
  /** @param {object} actions What it does: setState(changes), tellEvent(text), setGame(kind), save(). */
  constructor(actions) {
    this.box = byId("game");
    this.trust = el("input", { type: "range", min: 0, max: 100, value: 0, id: "state-trust" });
    this.trustValue = el("output", { htmlFor: "state-trust" }, "0");
    this.trust.addEventListener("input", () => (this.trustValue.textContent = this.trust.value));
    this.fields = {
      place: el("input", { id: "state-place", placeholder: "smithy", autocomplete: "off" }),
      hour: el("input", { id: "state-hour", type: "number", min: 0, max: 23, placeholder: "0 to 23" }),
      quests: el("input", { id: "state-quests", placeholder: "siege:2, bell:1", autocomplete: "off" }),
      factions: el("input", { id: "state-factions", placeholder: "guild, watch", autocomplete: "off" }),
      flags: el("input", { id: "state-flags", placeholder: "rain, war", autocomplete: "off" }),
    };
    this.told = el("p.meta", { aria: { live: "polite" } });
    const state = el(
      "form.stack",
      { on: { submit: (event) => (event.preventDefault(), actions.setState(this.#state())) } },
      el("h3", {}, "State"),
      el("label.field", { htmlFor: "state-trust" }, el("span", {}, "trust ", this.trustValue), this.trust),
      ...Object.entries(this.fields).map(([name, input]) => el("label.field", { htmlFor: input.id }, name, input)),
      el("p.row", {}, el("button.primary", { type: "submit" }, "Tell the state")),
      this.told,
    );
    this.event = el("textarea", { id: "event", rows: 2, placeholder: "The flood took the bridge at the mill." });
    this.events = el("ul.plain-list");
    const happened = el(
      "form.stack",
      { on: { submit: (event) => (event.preventDefault(), actions.tellEvent(this.event.value.trim())) } },
      el("h3", {}, "Events"),
      el("label.field", { htmlFor: "event" }, "What has happened", this.event),
      el("p.row", {}, el("button.primary", { type: "submit" }, "It happened")),
      this.events,
    );
    this.choices = ["done", "ask", "refuse"].map((kind) =>
      el("input", { type: "radio", name: "answers", value: kind, id: `answers-${kind}`, on: { change: () => actions.setGame(kind) } }),
    );
    const labels = ["done at once", "answered by me", "refused"];
    const answers = el(
      "fieldset.stack",
      {},
      el("legend", {}, "Actions are"),
      ...this.choices.map((input, index) => el("label.choice", { htmlFor: input.id }, input, labels[index])),
    );
    const keep = el("section.stack", {}, el("h3", {}, "Keep"), el("p.row", {}, el("button", { type: "button", on: { click: () => actions.save() } }, "Download the talk with its traces")));
    fill(this.box, state, happened, answers, keep);
  }

  /** Show a talk's state. */
  show(talk) {
    const { state } = talk;
    this.trust.value = state.trust ?? 0;
    this.trustValue.textContent = this.trust.value;
    this.fields.place.value = state.place ?? "";
    this.fields.hour.value = state.hour ?? "";
    this.fields.quests.value = Object.entries(state.quests ?? {}).map(([name, stage]) => `${name}:${stage}`).join(", ");
    this.fields.factions.value = (state.factions ?? []).join(", ");
    this.fields.flags.value = (state.flags ?? []).join(", ");
    this.before = this.#state();
    this.told.textContent = Object.keys(state).length > 0 ? `told so far: ${JSON.stringify(state)}` : "nothing was told so far";
    fill(this.events, ...talk.events.map((event) => el("li", {}, event)));
    for (const choice of this.choices) choice.checked = choice.value === talk.game;
  }

  /** The event was told. */
  clearEvent() {
    this.event.value = "";
  }

  /** The names that differ from what was shown. */
  changes(state) {
    return Object.fromEntries(Object.entries(state).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(this.before[name])));
  }

  #state() {
    const { place, hour, quests, factions, flags } = this.fields;
    return {
      trust: Number(this.trust.value),
      place: place.value.trim() || null,
      hour: hour.value.trim() === "" ? null : Number(hour.value),
      quests: Object.fromEntries(list(quests.value).map((one) => stage(one))),
      factions: list(factions.value),
      flags: list(flags.value),
    };
  }
}

const list = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

/** `siege:2` as a name and a number; what is no number goes to the server as it is, which says so. */
function stage(text) {
  const [name, value = ""] = text.split(":").map((one) => one.trim());
  return [name, /^\d+$/.test(value) ? Number(value) : value];
}

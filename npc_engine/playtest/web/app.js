/** The page: whom one talks to, the line one types, and what each panel is told. */

import { ControlsPanel } from "./controls.js";
import { byId, download, el, fill } from "./dom.js";
import { GamePanel } from "./game.js";
import { Log } from "./log.js";
import { ActionFailed, NpcClient, NpcError } from "./npc-engine-client.js";
import { scenarioText } from "./scenario.js";
import { Talk, current } from "./talk.js";
import { TracePanel } from "./trace.js";

const NOTICES = 3;
const SHEETS_MS = 1500;
const PANELS = ["trace", "controls", "game"];
const narrow = matchMedia("(max-width: 879px)");

const talks = new Map();
const drafts = new Map();
const spoken = [];
let spokenAt = 0;
let talk = null;
let cast = [];
let limits = null;

const client = new NpcClient(location.origin.replace(/^http/, "ws"), {
  name: "playtest page",
  reconnect: true,
  onLost: (error) => {
    link("Connection lost. Trying again …");
    notice(error);
    for (const each of talks.values()) each.lose();
    refresh();
  },
  onConnected: (welcome) => {
    limits = welcome.limits;
    link("");
    if (talk !== null && talk.conversation === null && talk.turns.length > 0) {
      notice(new NpcError("", "Connected again. What was said stays to be read; your next line begins a new talk, in which the character remembers nothing of it."));
    }
  },
  onProblem: (error) => notice(error),
});

const trace = new TracePanel();
const log = new Log({
  ActionFailed,
  select: (turn, variant, isAsked) => {
    select(turn, variant);
    if (isAsked) view("trace");
  },
  again: (seed) => attempt(() => hearAgain(seed)),
  undo: () =>
    attempt(async () => {
      const line = await talk.undo();
      if (input.value === "") input.value = line;
      input.focus();
    }),
  bad: (turn) => keepBad(turn),
});
const controls = new ControlsPanel({
  set: (changes) => attempt(() => talk.setControls(changes), () => controls.show(talk)),
  again: () =>
    attempt(async () => {
      if (narrow.matches) view("talk");
      await hearAgain(current(talk.lastTurn).seed);
    }),
});
const game = new GamePanel({
  setState: (state) =>
    attempt(async () => {
      const changes = game.changes(state);
      if (Object.keys(changes).length > 0) await talk.setState(changes);
    }),
  tellEvent: (text) =>
    attempt(async () => {
      if (text === "") throw new NpcError("NPC300", "the event is empty", "write one sentence");
      await talk.tellEvent(text);
      game.clearEvent();
    }),
  setGame: (kind) => (talk.game = kind),
  save: () => saveTalk(),
});
const input = byId("line");

/** Carry something out; what goes wrong is shown, and the page goes on. */
async function attempt(work, otherwise = () => {}) {
  try {
    await work();
  } catch (error) {
    notice(error);
    otherwise();
  }
}

const hearAgain = (seed) => talk.again(seed);

// --- what is shown ------------------------------------------------------------------------------------

function view(name) {
  document.body.dataset.view = name;
  byId("cast").hidden = name !== "cast";
  byId("stage").hidden = name === "cast";
  const shown = name === "talk" && !narrow.matches ? (document.body.dataset.panel ?? "trace") : name;
  if (PANELS.includes(shown)) document.body.dataset.panel = shown;
  for (const tab of byId("tabs").children) {
    const isShown = tab.getAttribute("aria-controls") === shown;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
  }
}

function select(turn, variant) {
  log.select(turn);
  trace.show(turn, variant);
}

function notice(error) {
  const box = byId("notices");
  const text = error.message?.replace(/^: /, "") ?? String(error);
  const close = (event) => event.target.closest(".notice").remove();
  box.append(el("p.notice", {}, el("span", {}, text), el("button.plain", { type: "button", aria: { label: "Dismiss" }, on: { click: close } }, "×")));
  while (box.children.length > NOTICES) box.firstElementChild.remove();
}

function link(text) {
  byId("link").textContent = text;
}

/** What depends on whether a reply runs and a conversation stands. */
function refresh() {
  const isRunning = talk?.running != null;
  byId("stop").hidden = !isRunning;
  byId("say").hidden = isRunning;
  if (talk !== null) controls.refresh(talk);
}

function showCast() {
  const begun = (id) => talks.get(id)?.turns.length ?? 0;
  const card = ({ id, name, role }) =>
    el(
      "li",
      {},
      el(
        "button.card",
        { type: "button", data: { character: id }, on: { click: () => attempt(() => enter(id)) } },
        el("span.face", { aria: { hidden: "true" } }, initials(name)),
        el("span.card-name", {}, name),
        el("span.card-role", {}, role),
        begun(id) > 0 ? el("span.card-turns", {}, `${begun(id)} turns said`) : null,
      ),
    );
  fill(byId("cards"), ...cast.map(card));
  byId("who").textContent = "";
  document.title = "Playtest";
  view("cast");
}

const initials = (name) => name.split(/\s+/).map((part) => part[0] ?? "").filter((one) => /\p{L}/u.test(one)).slice(0, 2).join("");

async function enter(id) {
  const character = cast.find((one) => one.id === id);
  const player = byId("player").value.trim() || "Traveller";
  localStorage.setItem("player", player);
  const next = talks.get(id)?.player === player ? talks.get(id) : new Talk(client, character, player);
  await next.open();
  if (talk !== null) drafts.set(talk, input.value);
  talk = next;
  if (talks.get(id) !== next) {
    talks.set(id, next);
    next.addEventListener("change", (event) => take(next, event.detail));
  }
  byId("who").textContent = `${character.name}, ${character.role}`;
  document.title = `${character.name} – Playtest`;
  input.value = drafts.get(talk) ?? "";
  input.placeholder = `Say something to ${character.name}`;
  view("talk");
  log.show(talk);
  const last = talk.lastTurn;
  select(last, last === null ? null : current(last));
  controls.show(talk);
  game.show(talk);
  count();
  refresh();
  input.focus();
}

function take(from, change) {
  if (from !== talk) return;
  log.take(change);
  const { kind, turn, variant, event } = change;
  if (kind === "turn") select(turn, current(turn));
  if (kind === "undo") select(talk.lastTurn, talk.lastTurn === null ? null : current(talk.lastTurn));
  if (kind === "piece" && event.kind === "sentence") byId("announce").textContent = event.text;
  if (kind === "end") {
    if (trace.variant === variant) trace.show(turn, talk.turns.includes(turn) ? variant : null);
    controls.show(talk);
  }
  if (kind === "controls") controls.show(talk);
  if (kind === "state" || kind === "opened") game.show(talk);
  if (kind === "turn" || kind === "end" || kind === "undo") refresh();
}

// --- the line -----------------------------------------------------------------------------------------

async function say() {
  const line = input.value.trim();
  if (line === "" || talk === null) return;
  if (talk.running !== null) {
    notice(new NpcError("NPC304", "the character is still answering", "wait, or stop the reply"));
    return;
  }
  const from = talk;
  input.value = "";
  count();
  try {
    await from.say(line);
    spoken.push(line);
    spokenAt = spoken.length;
  } catch (error) {
    notice(error);
    // Nothing typed is lost: what was not said stands in the box again, before whatever was typed since.
    if (talk === from) input.value = input.value === "" ? line : `${line}\n${input.value}`;
    count();
  }
}

function count() {
  const most = limits?.maxTextChars ?? Infinity;
  const length = input.value.length;
  const box = byId("count");
  box.textContent = length > most * 0.8 ? `${length.toLocaleString()} of ${most.toLocaleString()} characters` : "";
  box.classList.toggle("wrong", length > most);
}

function recall(step) {
  const next = spokenAt + step;
  if (next < 0 || next > spoken.length) return;
  spokenAt = next;
  input.value = spoken[next] ?? "";
  input.setSelectionRange(input.value.length, input.value.length);
}

function onKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    void say();
  } else if (event.key === "ArrowUp" && !input.value.slice(0, input.selectionStart).includes("\n") && canRecall()) {
    event.preventDefault();
    recall(-1);
  } else if (event.key === "ArrowDown" && spokenAt < spoken.length && canRecall()) {
    event.preventDefault();
    recall(1);
  }
}

/** The arrows must not throw away what is being typed. */
const canRecall = () => input.value === "" || input.value === spoken[spokenAt];

// --- what is kept -------------------------------------------------------------------------------------

function keepBad(turn) {
  const dialog = byId("bad");
  const from = talk;
  byId("bad-what").value = "";
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue !== "save") return;
    void attempt(() => {
      const said = from.turns.slice(0, from.turns.indexOf(turn) + 1).filter((each) => each.isPast === turn.isPast);
      const steps = said.map((each) => {
        const outcome = current(each).actions[0]?.outcome ?? null;
        return { line: each.line, ...each.told, result: outcome?.result ?? null, refused: outcome?.refused ?? null };
      });
      const text = scenarioText({ character: from.character.id, state: from.openingState, steps, reply: current(turn).text, wrong: byId("bad-what").value.trim() });
      download(`${from.character.id}.yaml`, text, "application/yaml");
    });
  };
  dialog.showModal();
}

function saveTalk() {
  const { character, player, greeting, openingState, turns } = talk;
  const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
  const data = { character: character.id, player, greeting, state: openingState, turns };
  download(`${character.id}-talk.json`, JSON.stringify(data, plain, 1), "application/json");
}

// --- sheets that are edited meanwhile -----------------------------------------------------------------

let sheets = { hashes: {}, errors: [] };

/** Tell of sheets that were taken since the last look, and of those that could not be. */
async function lookAtSheets() {
  if (client.welcome === null || document.hidden) return;
  const { engine } = await client.health();
  const now = { hashes: engine.sheet_hashes ?? {}, errors: engine.sheet_errors ?? [] };
  for (const [id, hash] of Object.entries(now.hashes)) {
    const before = sheets.hashes[id];
    if (before !== undefined && before !== hash) {
      notice(new NpcError("", `The sheet of ${id} has changed; it counts from the next reply on.`));
    }
  }
  for (const error of now.errors) {
    if (!sheets.errors.includes(error)) notice(new NpcError("", `${error} The old sheet stays in use.`));
  }
  if (Object.keys(now.hashes).some((id) => sheets.hashes[id] !== now.hashes[id])) cast = await client.characters();
  sheets = now;
}

function watchSheets() {
  lookAtSheets()
    // A lost connection is told of where it was lost.
    .catch(() => {})
    .finally(() => setTimeout(watchSheets, SHEETS_MS));
}

// --- the beginning ------------------------------------------------------------------------------------

function setTheme(theme) {
  document.documentElement.style.colorScheme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  localStorage.setItem("theme", theme);
}

function listen() {
  byId("composer").addEventListener("submit", (event) => (event.preventDefault(), void say()));
  input.addEventListener("keydown", onKey);
  input.addEventListener("input", count);
  byId("stop").addEventListener("click", () => talk?.cancel());
  byId("home").addEventListener("click", showCast);
  byId("theme").addEventListener("click", () => setTheme(byId("theme").textContent === "Dark" ? "dark" : "light"));
  byId("tabs").addEventListener("click", (event) => {
    const name = event.target.closest("[role=tab]")?.getAttribute("aria-controls");
    if (name) view(name);
  });
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = [...byId("tabs").children].filter((tab) => tab.offsetParent !== null);
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    view(next.getAttribute("aria-controls"));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && talk?.running != null) talk.cancel();
  });
  narrow.addEventListener("change", () => {
    if (document.body.dataset.view !== "cast") view("talk");
  });
}

async function begin() {
  setTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  byId("player").value = localStorage.getItem("player") ?? "";
  byId("player").placeholder = "Traveller";
  link("Connecting …");
  await client.connect();
  cast = await client.characters();
  const { engine } = await client.health();
  byId("engine").textContent = [engine.model, engine.provider?.replace("ExecutionProvider", "")].filter(Boolean).join(" on ");
  showCast();
  watchSheets();
}

listen();
attempt(begin, () => {
  link("Not connected.");
  fill(byId("cards"), el("li", {}, el("button.card", { type: "button", on: { click: () => location.reload() } }, "Try again")));
});

/** A talk that went wrong, as a scenario file: docs/playtest.md says what such a file can hold. */

const MAX_NAME = 60;
const MAX_LINE = 300;

/**
 * The file's text. JSON strings and maps are YAML too.
 *
 * @param {string} character The sheet's id.
 * @param {object} state The game's state when the talk began.
 * @param {{line: string, state: object, events: string[], result: object|null, refused: string|null}[]} steps In order.
 * @param {string} reply The bad reply.
 * @param {string} wrong What is wrong with it; may be empty.
 * @throws {Error} A line or event is too long for a scenario.
 */
export function scenarioText({ character, state, steps, reply, wrong }) {
  const name = clipped(wrong || steps.at(-1).line);
  const rows = ["schema: npc-engine/scenarios@1", `character: ${character}`, "scenarios:"];
  rows.push(`  - name: ${text(name)}`, "    group: bad talk");
  if (Object.keys(state).length > 0) rows.push(`    state: ${JSON.stringify(state)}`);
  rows.push("    lines:");
  for (const step of steps) rows.push(...stepRows(step));
  rows.push("    never_says:", `      - ${text(longestPart(reply))}`);
  return `${rows.join("\n")}\n`;
}

function stepRows(step) {
  const line = flat(step.line);
  const event = flat(step.events.join(" "));
  for (const one of [line, event]) {
    if (one.length > MAX_LINE) throw new Error(`a line or event of ${one.length} characters; a scenario's has at most ${MAX_LINE}`);
  }
  const hasState = Object.keys(step.state).length > 0;
  if (!hasState && !event && step.result === null && step.refused === null) return [`      - ${text(line)}`];
  const rows = [`      - say: ${text(line)}`];
  if (hasState) rows.push(`        state: ${JSON.stringify(step.state)}`);
  if (event) rows.push(`        event: ${text(event)}`);
  if (step.refused !== null) rows.push(`        refused: ${text(step.refused)}`);
  else if (step.result !== null) rows.push(`        result: ${JSON.stringify(step.result)}`);
  return rows;
}

/** The longest sentence, as far as a claim may be long. */
function longestPart(reply) {
  const parts = (reply.match(/[^.!?…]+/g) ?? [reply]).map((part) => part.trim());
  return clipped(parts.reduce((longest, part) => (part.length > longest.length ? part : longest), ""));
}

function clipped(given) {
  const whole = flat(given);
  if (whole.length <= MAX_NAME) return whole;
  const cut = whole.slice(0, MAX_NAME + 1);
  return cut.slice(0, Math.max(cut.lastIndexOf(" "), 1)).slice(0, MAX_NAME);
}

const flat = (given) => given.split(/\s+/).filter(Boolean).join(" ");
// YAML knows the escapes of JSON; what JSON leaves as it is and YAML would break a line at is escaped here.
const text = (given) => JSON.stringify(given).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

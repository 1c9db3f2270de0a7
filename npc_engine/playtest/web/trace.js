/** The trace of one reply: where its time went, its facts, the verdicts, and which candidate lost and why. */

import { byId, el, fill, seconds, words } from "./dom.js";

const STAGES = ["route", "ground", "act", "speak", "judge"];
const REDRAW_MS = 100;

/** Draws into the panel of the tab Trace. */
export class TracePanel {
  constructor() {
    this.box = byId("trace");
    this.variant = null;
    this.timer = null;
  }

  /** Show this reply; while it runs, what is heard of it with its times. */
  show(turn, variant) {
    this.turn = turn;
    this.variant = variant;
    clearInterval(this.timer);
    this.timer = null;
    if (variant === null) {
      fill(this.box, el("p.quiet", {}, "Say something: what the reply was made from is shown here."));
    } else if (variant.end === null) {
      this.#running();
      if (variant.error === null) this.timer = setInterval(() => this.#running(), REDRAW_MS);
    } else {
      fill(this.box, ...whole(turn, variant));
    }
  }

  #running() {
    const { variant, turn } = this;
    if (variant.end !== null || variant.error !== null) return this.show(turn, variant.end === null ? null : variant);
    const elapsed = (performance.now() - variant.begun) / 1000;
    const rows = variant.sentences.map((one) => el("li", {}, el("span.at", {}, seconds(one.atS)), " ", one.text));
    fill(
      this.box,
      el("h2", {}, turn.line),
      el("p.figures", {}, variant.firstWordS === null ? `waiting, ${seconds(elapsed)}` : `first word ${seconds(variant.firstWordS)}, now ${seconds(elapsed)}`),
      el("ol.timeline", {}, ...rows),
      el("p.quiet", {}, "Facts, verdicts and candidates come with the reply's end."),
    );
  }
}

function whole(turn, variant) {
  const { trace, source, finishReason } = variant.end;
  return [
    el("h2", {}, turn.line),
    el(
      "p.chips",
      {},
      trace.controls && trace.stages ? el("span.tag", {}, words(String(trace.stages.route).split(/[;,]/)[0])) : null,
      el("span.tag", {}, source === "model" ? "the model's words" : source === "fallback" ? "an authored line" : "nothing said"),
      el("span.tag", {}, `ended by ${finishReason}`),
      trace.tokens ? el("span.tag", {}, `${trace.tokens.output} tokens, prompt ${trace.tokens.prompt}, ${trace.tokens.cached} of it cached`) : null,
    ),
    trace.error ? el("p.wrong", {}, `${trace.error.code}: ${trace.error.message}`) : null,
    latency(variant, trace),
    premises(trace),
    verdicts(trace),
    ...(trace.judge?.candidates ?? []).map(candidates),
    controls(trace),
    stages(trace),
    el("details", {}, el("summary", {}, "Everything, as it came"), el("pre", { tabIndex: 0 }, JSON.stringify(trace, plain, 1))),
  ];
}

const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);

/** Parts of the turn's time that add up to the whole; npc_engine/playtest/latency.py says it the same way. */
export function breakdown(trace) {
  const given = trace.latency ?? {};
  const parts = { route: given.route_s ?? 0, ground: given.ground_s ?? 0, act: given.act_s ?? 0, judge: given.judge_s ?? 0 };
  const rest = (given.total_s ?? 0) - Object.values(parts).reduce((sum, one) => sum + one, 0);
  return { ...parts, speak: Math.max(0, rest) };
}

function latency(variant, trace) {
  const parts = breakdown(trace);
  const total = Object.values(parts).reduce((sum, one) => sum + one, 0);
  if (total === 0) return null;
  const share = (value) => `${((100 * value) / total).toFixed(2)}%`;
  const bar = STAGES.map((stage) => el(`span.part.stage-${stage}`, { css: { width: share(parts[stage]) }, title: `${stage} ${seconds(parts[stage])}` }));
  const first = trace.latency.time_to_first_token_s;
  const mark = first === undefined ? null : el("span.first", { css: { left: share(Math.min(first, total)) }, title: `first word ${seconds(first)}` });
  const legend = STAGES.map((stage) => el("li", {}, el(`span.dot.stage-${stage}`), `${stage} `, el("b", {}, seconds(parts[stage]))));
  const spoken = STAGES.map((stage) => `${stage} ${seconds(parts[stage])}`).join(", ");
  return section(
    `Latency: ${seconds(total)}`,
    el("div.latency", { aria: { role: "img", label: spoken } }, ...bar, mark),
    el("ul.legend", {}, ...legend),
    el("p.quiet", {}, first === undefined ? "nothing was heard" : `The engine's first word came at ${seconds(first)} (the line in the bar), here at ${seconds(variant.firstWordS ?? first)}.`),
  );
}

function premises(trace) {
  const list = trace.premises ?? [];
  const best = Math.max(0.001, ...list.map((one) => one.score));
  const rows = list.map((one) =>
    el(
      "li",
      {},
      el("p", {}, one.text),
      el("p.meta", {}, el("code", {}, one.id), ` ${words(one.kind)} `, el("meter", { min: 0, max: best, value: one.score, aria: { label: "score" } }), ` ${one.score.toFixed(2)}`),
    ),
  );
  const looked = `${trace.num_candidates ?? 0} looked at, ${trace.num_hidden ?? 0} hidden by their conditions`;
  return section(
    "Facts in the prompt",
    trace.unknown_topic ? el("p", {}, `She is asked about “${trace.unknown_topic}”, which the sheet lists as unknown.`.replace("She is", "The character is")) : null,
    rows.length > 0 ? el("ol.facts", {}, ...rows) : el("p.quiet", {}, "none"),
    el("p.quiet", {}, looked),
  );
}

function verdicts(trace) {
  const judge = trace.judge;
  if (!judge) return section("Verdicts", el("p.quiet", {}, trace.stages?.judge ?? "not judged"));
  const rows = judge.sentences.map((one) => {
    const isRejected = one.outcome === "rejected";
    const figures = [
      one.contradiction === null ? null : `contradiction ${one.contradiction}`,
      one.support === null ? null : `support ${one.support}`,
      one.supported_by ? `borne out by ${one.supported_by}` : null,
      one.repair ? `then: ${one.repair}` : null,
    ].filter(Boolean);
    return el(
      `li.${isRejected ? "rejected" : "passed"}`,
      {},
      el("p", {}, el("span.tag", {}, one.outcome), " ", one.text),
      ...one.reasons.map((reason) => el("p.why", {}, [words(reason.kind), reason.statement ? `against ${reason.statement}` : "", reason.span ? `“${reason.span}”` : ""].filter(Boolean).join(" "))),
      el("p.meta", {}, figures.join(" · ")),
    );
  });
  const empty = rows.length === 0 ? el("p.quiet", {}, "no sentence was judged") : null;
  return section("Verdicts", empty, el("ul.verdicts", {}, ...rows), el("p.quiet", {}, `Judged by ${judge.by}; guard ${judge.guard}.`));
}

function candidates(draw, index) {
  const names = [...new Set(draw.flatMap((one) => Object.keys(one.scores).filter((name) => one.scores[name] !== null)))];
  const best = draw.find((one) => one.is_said);
  const rows = draw.map((one) => {
    const why = one.is_said ? "said" : one.is_rejected ? "rejected" : best ? `lost by ${(best.rank - one.rank).toFixed(3)}` : "not said";
    return el(
      `li.${one.is_said ? "passed" : "rejected"}`,
      {},
      el("p", {}, el("span.tag", {}, why), " ", one.text),
      el("p.meta", {}, `rank ${one.rank} · ${names.map((name) => `${words(name)} ${one.scores[name] ?? "–"}`).join(" · ")}`),
    );
  });
  return section(`Candidates, draw ${index + 1}`, el("ul.verdicts", {}, ...rows));
}

function controls(trace) {
  if (!trace.controls) return null;
  const { levels = {}, ...values } = trace.controls;
  const rows = Object.entries(values).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, words(name)), el("td", {}, value), el("td", {}, levels[name] ?? "")));
  const head = el("tr", {}, el("th", {}, "control"), el("th", {}, "value"), el("th", {}, "set by"));
  return section("Controls of this turn", el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}

function stages(trace) {
  const rows = Object.entries(trace.stages ?? {}).flatMap(([stage, did]) => [el("dt", {}, stage), el("dd", {}, did)]);
  return section("Stages", el("dl", {}, ...rows));
}

const section = (title, ...children) => el("section.part-of", {}, el("h3", {}, title), ...children);

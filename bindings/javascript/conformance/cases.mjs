// The cases of ../CONFORMANCE.md. Runs in Node.js and in a browser: knows of both only what `world` gives it.

const LIMITS = {
  maxFrameBytes: 65536,
  maxMessageDepth: 16,
  maxTextChars: 500,
  maxConversations: 8,
  clientTimeoutS: 600,
  turnDeadlineS: 60,
  actionTimeoutS: 1,
};
const CASE_LIMIT_MS = 60_000;
const FAULT_LIMIT_MS = 5_000;
const CALL_LIMIT_MS = 100;

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sorted = (value) =>
  Array.isArray(value)
    ? value.map(sorted)
    : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : value;
const equal = (saw, expected) => {
  const [left, right] = [saw, expected].map((value) => JSON.stringify(sorted(value)));
  if (left !== right) throw new Error(`saw ${left} instead of ${right}`);
};
const check = (isTrue, what) => {
  if (!isTrue) throw new Error(what);
};
const within = (ms, promise) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const codeOf = (promise) =>
  promise.then(
    (value) => `no error but ${JSON.stringify(value)}`,
    (error) => error.code ?? `no code: ${error}`,
  );

/** A call that must return at once, however the server is. */
const quick = (call) => {
  const began = performance.now();
  const result = call();
  const took = performance.now() - began;
  check(took < CALL_LIMIT_MS, `a call took ${took} ms`);
  return result;
};

const said = async (talk, line) => (await talk.say(line).finish()).text;
const firstToken = async (turn) => {
  for await (const event of turn) {
    equal(event.kind, "token");
    return;
  }
};
const heard = async (turn) => {
  const found = [];
  for await (const event of turn) {
    if (event.kind === "token") {
      check(event.text.length <= 1000 && event.text !== "Ghost", `token ${event.text.slice(0, 80)}`);
      found.push(event.text);
    } else if (event.kind === "sentence") found.push([event.index, event.text]);
    else if (event.kind === "turn_end") found.push([event.text, event.finishReason, event.source, event.trace.script]);
  }
  return found;
};

const TWO_SENTENCES = [
  ...["Steel", " is", " dear."],
  [0, "Steel is dear."],
  ...[" Buy", " now!"],
  [1, "Buy now!"],
  ["Steel is dear. Buy now!", "stop", "model", "Steel"],
];

/**
 * All cases.
 *
 * @param world `NpcClient`, `ActionFailed`, `addresses`, `prefix` (`zmq` or `ws`), `rawHello(address, versions)` (the answers to
 *   hellos of these versions on one connection), `usage()` (threads, descriptors, resident bytes, or null), `print(line)`.
 */
export function cases(world) {
  const { NpcClient, ActionFailed, addresses, prefix } = world;
  const at = addresses[prefix];
  const atFaults = addresses[`${prefix}_faults`];
  const playing = async (address, play, options = {}, clientOptions = {}) => {
    const client = new NpcClient(address, clientOptions);
    await client.connect();
    try {
      await play(client, await client.open("mara", { playerId: "ada", ...options }));
    } finally {
      client.close();
    }
  };
  const reconnected = async (client) => {
    const began = performance.now();
    for (;;) {
      try {
        return await client.connect();
      } catch (error) {
        if (performance.now() - began > 10_000) throw error;
        await pause(100);
      }
    }
  };
  const fault = (line, codes, nextLine) => () =>
    playing(atFaults, async (client, talk) => {
      let code = null;
      try {
        const events = await within(FAULT_LIMIT_MS, heard(talk.say(line)));
        equal(events, ["Still", " here.", [0, "Still here."], ["Still here.", "stop", "model", "fault"]]);
      } catch (error) {
        if (!codes.includes(error.code)) throw error;
        code = error.code;
      }
      if (nextLine) equal((await heard(talk.say(nextLine))).length, 3);
      if (code === "NPC313") await reconnected(client);
      await client.health();
    });

  return {
    async hello() {
      const client = new NpcClient(at);
      const welcome = await client.connect();
      client.close();
      equal([welcome.protocolVersion, welcome.engineVersion !== ""], [1, true]);
      equal(welcome.limits, LIMITS);
    },
    async hello_curve() {
      if (prefix !== "zmq") return "this transport has no CURVE";
      const keys = {
        serverPublicKey: addresses.curve_server_public_key,
        publicKey: addresses.curve_client_public_key,
        secretKey: addresses.curve_client_secret_key,
      };
      const client = new NpcClient(addresses.zmq_curve, { keys });
      equal((await client.connect()).protocolVersion, 1);
      client.close();
      const wrongKeys = { ...keys, serverPublicKey: "0".repeat(40) };
      const wrong = new NpcClient(addresses.zmq_curve, { keys: wrongKeys, timeoutMs: 1000 });
      const code = await codeOf(wrong.connect());
      wrong.close();
      check(["NPC311", "NPC313"].includes(code), code);
    },
    async wrong_version() {
      const [first, second] = await world.rawHello(at, [99, 1]);
      equal([first.code, second.kind], ["NPC204", "welcome"]);
    },
    async list_characters() {
      const client = new NpcClient(at);
      await client.connect();
      const characters = await client.characters();
      client.close();
      equal(characters, [
        { id: "mara", name: "Mara", role: "weapon merchant" },
        { id: "tobin", name: "Tobin", role: "innkeeper" },
        { id: "zoe", name: "Zoë Ærlig", role: "chandler" },
      ]);
    },
    stream: () =>
      playing(
        at,
        async (_, talk) => {
          equal(talk.greeting, "Well met, Ada.");
          const line = "Größe zählt: 剣 costs 12 🗡 today.";
          const tokens = ["Größe", " zählt:", " 剣", " costs", " 12", " 🗡", " today."];
          equal(await heard(talk.say(line)), [...tokens, [0, line], [line, "stop", "model", "Größe"]]);
        },
        { playerName: "Ada" },
      ),
    sentences: () =>
      playing(at, async (_, talk) => {
        equal(await heard(talk.say("Steel is dear. Buy now!")), TWO_SENTENCES);
        equal(await heard(talk.say("silent")), [["", "stop", "none", "silent"]]);
        equal((await heard(talk.say("guarded"))).at(-1).slice(1, 3), ["guard", "fallback"]);
        equal((await heard(talk.say("long"))).at(-1).slice(1, 3), ["length", "model"]);
      }),
    cancel: () =>
      playing(at, async (_, talk) => {
        const turn = talk.say("wait");
        await firstToken(turn);
        equal(await talk.cancel(), true);
        const end = await turn.finish();
        equal([end.finishReason, end.text], ["cancelled", "Hm"]);
        equal(await talk.cancel(), false);
        const aborting = new AbortController();
        const aborted = talk.say("wait", { signal: aborting.signal });
        await firstToken(aborted);
        aborting.abort();
        equal((await aborted.finish()).finishReason, "cancelled");
        equal(await said(talk, "Again."), "Again.");
      }),
    async action_result() {
      const calls = [];
      const onAction = (call) => {
        calls.push(call);
        return { sold: true, price: 12, name: "sword", rate: 0.5, left: null };
      };
      await playing(
        at,
        async (_, talk) => {
          equal(await said(talk, "offered"), '["sell_item"]');
          const result = '{"left":null,"name":"sword","price":12,"rate":0.5,"sold":true}';
          equal(await said(talk, "act sword"), `Result: ${result}`);
        },
        { onAction, actions: ["sell_item"] },
      );
      equal([calls.length, calls[0].callId !== "", calls[0].name], [1, true, "sell_item"]);
      equal(calls[0].arguments, { item: "sword", quantity: 2, price: 12.5, gift: false, note: null });
    },
    action_error: () =>
      playing(
        at,
        async (_, talk) => equal(await said(talk, "act sword"), "Refused: no swords left"),
        {
          onAction: () => {
            throw new ActionFailed("no swords left");
          },
        },
      ),
    action_timeout: () =>
      playing(
        at,
        async (client, talk) => {
          let call;
          const turn = talk.say("act sword");
          for await (const event of turn) if (event.kind === "action_call") call = event;
          equal(turn.text, "Nobody answered.");
          equal(await codeOf(talk.answer(call, { sold: true })), "NPC308");
          await client.health();
        },
        { actions: ["sell_item"] },
      ),
    request_error: () =>
      playing(at, async (_, talk) => {
        const busy = await talk.say("busy").finish().catch((error) => error);
        equal([busy.code, busy.retryAfterS, busy.reason, busy.hint], ["NPC306", 2.5, "no room", "later"]);
        const boom = talk.say("boom");
        await firstToken(boom);
        equal(await codeOf(boom.finish()), "NPC500");
        const waiting = talk.say("wait");
        await firstToken(waiting);
        equal(await codeOf(talk.say("Hello.").finish()), "NPC304");
        await talk.cancel();
        equal((await waiting.finish()).finishReason, "cancelled");
        equal(await codeOf(talk.say("x".repeat(501)).finish()), "NPC305");
        equal(await said(talk, "Still here."), "Still here.");
      }),
    unknown_character: () =>
      playing(at, async (client) => {
        equal(await codeOf(client.open("nobody", { playerId: "ada" })), "NPC301");
        await client.open("tobin", { playerId: "ada" });
      }),
    world_event: () =>
      playing(at, async (client, first) => {
        const second = await client.open("tobin", { playerId: "ada" });
        await client.worldEvent("The north gate has fallen.", 812.5);
        await second.worldEvent("It rains.");
        equal(await said(first, "events"), '[["The north gate has fallen.",812.5]]');
        equal(await said(second, "events"), '[["The north gate has fallen.",812.5],["It rains.",null]]');
      }),
    set_state: () =>
      playing(
        at,
        async (_, talk) => {
          await talk.setState({ trust: 45, flags: { met_guard: true } });
          const expected = '{"flags":{"met_guard":true},"place":"market","trust":45}';
          equal(await said(talk, "state"), expected);
          equal(await codeOf(talk.setState({ trust: "high" })), "NPC309");
          equal(await said(talk, "state"), expected);
        },
        { state: { trust: 40, place: "market" } },
      ),
    set_controls: () =>
      playing(at, async (_, talk) => {
        const now = await talk.setControls({ max_words: 20, synchrony: 1.0 });
        equal([now.controls.max_words, now.controls.role_play, now.inForce.world.max_words], [20, null, 20]);
        equal(await said(talk, "controls"), '{"max_words":20,"synchrony":1.0}');
        equal((await talk.setControls({ max_words: null })).controls.max_words, null);
        equal(await codeOf(talk.setControls({ max_words: 1000 })), "NPC316");
        equal(await codeOf(talk.setControls({ loudness: 1 })), "NPC316");
        equal(await said(talk, "controls"), '{"synchrony":1.0}');
        const turn = talk.say("wait");
        await firstToken(turn);
        await talk.setControls({ max_words: 9 });
        equal(turn.end, null);
        await talk.cancel();
        equal((await turn.finish()).finishReason, "cancelled");
        equal(await said(talk, "controls"), '{"max_words":9,"synchrony":1.0}');
      }),
    say_options: () =>
      playing(at, async (_, talk) => {
        equal((await talk.say("controls", { controls: { max_words: 8 } }).finish()).text, '{"max_words":8}');
        equal(await said(talk, "controls"), "{}");
        equal((await talk.say("seed", { seed: 4294967295 }).finish()).text, "4294967295");
        equal(await said(talk, "seed"), "null");
        equal(await codeOf(talk.say("Hello.", { controls: { max_words: 1000 } }).finish()), "NPC316");
        equal(await said(talk, "Still here."), "Still here.");
      }),
    undo: () =>
      playing(at, async (_, talk) => {
        equal(await codeOf(talk.undo()), "NPC317");
        for (const line of ["One.", "Two.", "Three."]) await said(talk, line);
        equal(await talk.undo(2), 1);
        equal(await said(talk, "turns"), '["One."]');
        const turn = talk.say("wait");
        await firstToken(turn);
        equal(await codeOf(talk.undo()), "NPC304");
        await talk.cancel();
        equal((await turn.finish()).finishReason, "cancelled");
        await talk.close();
        equal(await codeOf(talk.undo()), "NPC303");
      }),
    declare_actions: () =>
      playing(
        at,
        async (client, talk) => {
          equal(await said(talk, "declared"), '["open_gate"]');
          const turn = talk.say("act sword");
          for await (const event of turn) {
            if (event.kind !== "action_call") continue;
            equal([event.idempotencyKey, event.cost], ["key-sword", 2.5]);
            await talk.refuse(event, "not now");
          }
          equal(turn.text, "Refused: not now");
          const wrong = client.open("mara", { playerId: "ada", declareActions: [{ description: "?" }] });
          equal(await codeOf(wrong), "NPC315");
        },
        {
          declareActions: [
            {
              name: "open_gate",
              description: "Opens the gate.",
              parameters: { type: "object", properties: { gate: { type: "string" } } },
            },
          ],
        },
      ),
    health: () =>
      playing(at, async (client) => {
        const report = await client.health();
        equal(report.engine, { model: "scripted", provider: "none" });
        equal([report.server.num_clients >= 1, report.server.is_stopping], [true, false]);
        check((await client.metrics()).includes("npc_scripted 1"), "no metrics");
        const times = [];
        for (let index = 0; index < 1100; index++) {
          const began = performance.now();
          await client.health();
          times.push((performance.now() - began) * 1000);
        }
        const counted = times.slice(100).sort((left, right) => left - right);
        world.print(`time round_trip_us ${counted[499].toFixed(0)} ${counted[989].toFixed(0)}`);
      }),
    two_conversations_at_once: () =>
      playing(at, async (client, first) => {
        const second = await client.open("tobin", { playerId: "ada" });
        const waiting = first.say("wait");
        await firstToken(waiting);
        equal((await heard(second.say("Steel is dear."))).at(-1)[0], "Steel is dear.");
        equal([waiting.text, waiting.end], ["Hm", null]);
        await first.cancel();
        const end = await waiting.finish();
        equal([end.text, end.finishReason], ["Hm", "cancelled"]);
      }),
    slow_server: () =>
      playing(at, async (_, talk) => {
        const times = [];
        const turn = talk.say("slow");
        for await (const event of turn) if (event.kind === "token") times.push(performance.now());
        equal(turn.text, "a b c d e f g h i j");
        const apart = times.filter((time, index) => index > 0 && time - times[index - 1] > 20);
        check(apart.length >= 5, `tokens came ${apart.length + 1} times`);
      }),
    server_stall: () =>
      playing(atFaults, async (client, talk) => {
        const turn = quick(() => talk.say("fault stall"));
        await firstToken(turn);
        await pause(500);
        const health = quick(() => client.health());
        await within(FAULT_LIMIT_MS, health);
        equal((await within(FAULT_LIMIT_MS, turn.finish())).text, "Hm again.");
      }),
    async server_restart() {
      let numLost = 0;
      await playing(
        atFaults,
        async (client, talk) => {
          const second = await client.open("tobin", { playerId: "ada" });
          const waiting = quick(() => second.say("wait"));
          const turn = quick(() => talk.say("fault restart"));
          const codes = Promise.all([codeOf(turn.finish()), codeOf(waiting.finish())]);
          equal(await within(FAULT_LIMIT_MS, codes), ["NPC313", "NPC313"]);
          equal(numLost, 1);
          await reconnected(client);
          check(["NPC302", "NPC313"].includes(await codeOf(talk.say("Are you there?").finish())), "an old conversation");
          const again = await client.open("mara", { playerId: "ada" });
          equal(await said(again, "Back again."), "Back again.");
        },
        {},
        { onLost: () => numLost++ },
      );
    },
    unknown_kind_from_server: fault("fault unknown_kind", ["NPC203"]),
    unknown_field_from_server: fault("fault unknown_field", []),
    reply_to_unknown_request: fault("fault unknown_request", []),
    replayed_reply: fault("fault replay", [], "Next."),
    truncated_frame: fault("fault truncated", ["NPC201", "NPC202", "NPC313"]),
    random_frame: fault("fault random", ["NPC201", "NPC202", "NPC203", "NPC206", "NPC313"]),
    oversized_frame: fault("fault oversized", ["NPC201", "NPC202", "NPC206", "NPC313"]),
    fragmented_tcp: () =>
      playing(addresses[`${prefix}_fragmented`], async (_, talk) =>
        equal(await heard(talk.say("Steel is dear. Buy now!")), TWO_SENTENCES),
      ),
    async close_in_mid_turn() {
      await playing(at, async (client, talk) => {
        const turn = talk.say("wait");
        await firstToken(turn);
        const closed = talk.close().then(() => turn.end?.finishReason);
        equal(await closed, "cancelled");
        equal(await codeOf(talk.say("Are you there?").finish()), "NPC303");
        const second = await client.open("mara", { playerId: "ada" });
        const open = second.say("wait");
        await firstToken(open);
        quick(() => client.close());
        equal(await codeOf(open.finish()), "NPC313");
      });
      await playing(atFaults, async (_, talk) => {
        equal(await within(FAULT_LIMIT_MS, codeOf(talk.say("fault hangup").finish())), "NPC313");
      });
    },
    async start_stop_200() {
      let before = null;
      for (let number = 0; number < 200; number++) {
        const client = new NpcClient(at);
        await client.connect();
        await client.health();
        if (number % 4 === 0) {
          const talk = await client.open("mara", { playerId: "ada" });
          await firstToken(talk.say("wait"));
        }
        client.close();
        if (number === 19) before = await world.usage();
      }
      const after = await world.usage();
      if (before === null || after === null) return;
      equal([after.threads, after.descriptors], [before.threads, before.descriptors]);
      check(after.bytes - before.bytes < 20e6, `memory grew by ${after.bytes - before.bytes} bytes`);
    },
  };
}

/** Run every case; the number that failed. */
export async function run(world, label = "") {
  let numFailed = 0;
  for (const [name, play] of Object.entries(cases(world))) {
    try {
      const skipped = await within(CASE_LIMIT_MS, play());
      world.print(skipped === undefined ? `ok ${label}${name}` : `skip ${label}${name}: ${skipped}`);
    } catch (error) {
      numFailed++;
      world.print(`FAIL ${label}${name}: ${String(error).replaceAll(/\s+/g, " ")}`);
    }
  }
  return numFailed;
}

// What no conformance case asks: timeouts, reconnecting by itself, abort before the start, the CommonJS build.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { decode, encode } from "@msgpack/msgpack";
import { WebSocketServer } from "ws";
import { NpcClient, NpcError } from "../dist/esm/node.js";

const LIMITS = {
  max_frame_bytes: 65536,
  max_message_depth: 16,
  max_text_chars: 500,
  max_conversations: 8,
  client_timeout_s: 600,
  turn_deadline_s: 0.05,
  action_timeout_s: 1,
};
const REPLIES = {
  hello: { kind: "welcome", protocol_version: 1, engine_version: "0", limits: LIMITS },
  open_conversation: { kind: "conversation_opened", conversation_id: "c1", greeting: "" },
};

/** A server that answers what `replies` has and nothing else. */
async function serve(replies = REPLIES) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await new Promise((resolve) => server.once("listening", resolve));
  const heard = [];
  server.on("connection", (socket) => {
    socket.on("message", (data) => {
      const request = decode(data);
      heard.push(request);
      const reply = replies[request.kind];
      if (reply) socket.send(encode({ ...reply, request_id: request.request_id }));
    });
  });
  after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { server, heard, address: `ws://127.0.0.1:${server.address().port}` };
}

test("a request that is not answered fails with NPC311, and the connection stays usable", async () => {
  const { address } = await serve();
  const client = new NpcClient(address, { timeoutMs: 1000 });
  await client.connect();
  await assert.rejects(client.health(), { code: "NPC311" });
  assert.ok(await client.open("mara", { playerId: "ada" }));
  client.close();
});

test("a turn that falls silent fails with NPC311", async () => {
  const { address } = await serve();
  const client = new NpcClient(address, { timeoutMs: 1000 });
  await client.connect();
  const talk = await client.open("mara", { playerId: "ada" });
  await assert.rejects(talk.say("Hello?").finish(), { code: "NPC311" });
  client.close();
});

test("an answer of another kind and one with a wrong field fail with NPC202", async () => {
  const replies = { ...REPLIES, health: REPLIES.open_conversation, metrics: { kind: "metrics_report", text: 7 } };
  const { address } = await serve(replies);
  const client = new NpcClient(address);
  await client.connect();
  await assert.rejects(client.health(), { code: "NPC202" });
  await assert.rejects(client.metrics(), { code: "NPC202" });
  client.close();
});

test("a turn that was aborted before it began is not sent", async () => {
  const { address, heard } = await serve();
  const client = new NpcClient(address);
  await client.connect();
  const talk = await client.open("mara", { playerId: "ada" });
  await assert.rejects(talk.say("Hello?", { signal: AbortSignal.abort() }).finish(), { name: "AbortError" });
  client.close();
  assert.deepEqual(heard.map((request) => request.kind), ["hello", "open_conversation"]);
});

test("with reconnect, a client that lost its server connects again", async () => {
  const { server, address } = await serve();
  const connected = [];
  const lost = [];
  let again;
  const isBack = new Promise((resolve) => (again = resolve));
  const client = new NpcClient(address, {
    reconnect: true,
    onConnected: (welcome) => connected.push(welcome) === 2 && again(),
    onLost: (error) => lost.push(error.code),
  });
  await client.connect();
  for (const socket of server.clients) socket.terminate();
  await isBack;
  assert.deepEqual(lost, ["NPC313"]);
  assert.ok(await client.open("mara", { playerId: "ada" }));
  client.close();
});

test("nobody there: NPC313 over WebSocket, NPC311 over ZeroMQ, which goes on trying", async () => {
  const { server, address } = await serve();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(new NpcClient(address).connect(), { code: "NPC313" });
  const port = new URL(address).port;
  await assert.rejects(new NpcClient(`tcp://127.0.0.1:${port}`, { timeoutMs: 100 }).connect(), { code: "NPC311" });
});

for (const address of ["nonsense", "tcp://", "ws://"]) {
  test(`the address ${address} fails with NPC313`, async () => {
    await assert.rejects(new NpcClient(address).connect(), { code: "NPC313" });
  });
}

test("without a connection every request fails with NPC313", async () => {
  const client = new NpcClient("ws://127.0.0.1:1");
  await assert.rejects(client.health(), (error) => error instanceof NpcError && error.code === "NPC313");
});

test("the CommonJS build has the same names", async () => {
  const cjs = createRequire(import.meta.url)("../dist/cjs/node.js");
  const esm = await import("../dist/esm/node.js");
  assert.deepEqual(Object.keys(cjs).filter((name) => name !== "__esModule").sort(), Object.keys(esm).sort());
});

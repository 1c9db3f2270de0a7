// node conformance/node.mjs ADDRESS_JSON: every case in Node.js, over ZeroMQ and over WebSocket.
import { readFileSync, readdirSync } from "node:fs";
import { decode, encode } from "@msgpack/msgpack";
import { WebSocket } from "ws";
import { Dealer } from "zeromq";
import { ActionFailed, NpcClient } from "../dist/esm/node.js";
import { run } from "./cases.mjs";

const addresses = JSON.parse(process.argv[2]);
const hello = (version) => encode({ kind: "hello", request_id: version, protocol_version: version });

async function zmqHello(address, versions) {
  const socket = new Dealer({ linger: 0 });
  socket.connect(address);
  const answers = [];
  for (const version of versions) {
    await socket.send(hello(version));
    answers.push(decode((await socket.receive())[0]));
  }
  socket.close();
  return answers;
}

async function webSocketHello(address, versions) {
  const socket = new WebSocket(address);
  const next = (name) => new Promise((resolve) => socket.once(name, resolve));
  await next("open");
  const answers = [];
  for (const version of versions) {
    socket.send(hello(version));
    answers.push(decode(await next("message")));
  }
  socket.close();
  return answers;
}

async function usage() {
  // Sockets that are closing are gone a moment later.
  await new Promise((resolve) => setTimeout(resolve, 700));
  globalThis.gc?.();
  try {
    const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    return { threads, descriptors: readdirSync("/proc/self/fd").length, bytes: process.memoryUsage.rss() };
  } catch {
    return null;
  }
}

const world = { NpcClient, ActionFailed, addresses, usage, print: (line) => console.log(line) };
let numFailed = await run({ ...world, prefix: "zmq", rawHello: zmqHello });
numFailed += await run({ ...world, prefix: "ws", rawHello: webSocketHello }, "websocket/");
process.exitCode = numFailed > 0 ? 1 : 0;

// node conformance/browser.mjs ADDRESS_JSON: every case in headless Chromium, over WebSocket.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const LABEL = "browser/";
const addresses = JSON.parse(process.argv[2]);
const folder = dirname(fileURLToPath(import.meta.url));
const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
  (path) => path && existsSync(path),
);
if (executablePath === undefined) {
  console.log(`skip ${LABEL}hello: no Chromium; install Debian's package chromium, or name its program in CHROMIUM`);
  process.exit(0);
}

const bundled = await build({
  stdin: { contents: await pageProgram(), resolveDir: folder },
  bundle: true,
  format: "iife",
  globalName: "conformance",
  target: "es2022",
  write: false,
});
const browser = await chromium.launch({
  executablePath,
  args: [
    ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    ...["--disable-component-update", "--disable-sync"],
  ],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error}`));
  await page.exposeFunction("print", (line) => console.log(line));
  await page.addScriptTag({ content: bundled.outputFiles[0].text });
  const numFailed = await page.evaluate(
    ([addresses, label]) => globalThis.conformance.main(addresses, label),
    [addresses, LABEL],
  );
  process.exitCode = numFailed > 0 ? 1 : 0;
} finally {
  await browser.close();
}

async function pageProgram() {
  return `
    import { decode, encode } from "@msgpack/msgpack";
    import { ActionFailed, NpcClient } from "../dist/npc-engine-client.js";
    import { run } from "./cases.mjs";

    async function rawHello(address, versions) {
      const socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      const next = (name) => new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
      await next("open");
      const answers = [];
      for (const version of versions) {
        socket.send(encode({ kind: "hello", request_id: version, protocol_version: version }));
        answers.push(decode((await next("message")).data));
      }
      socket.close();
      return answers;
    }

    export const main = (addresses, label) =>
      run(
        {
          ...{ NpcClient, ActionFailed, addresses, rawHello },
          prefix: "ws",
          // A page cannot count threads and descriptors.
          usage: async () => null,
          print: (line) => globalThis.print(line),
        },
        label,
      );
  `;
}

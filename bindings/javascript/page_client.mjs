// The browser client as the playtest page carries it: node page_client.mjs prints it. build.mjs writes it.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));

/** The text of npc_engine/playtest/web/npc-engine-client.js. */
export async function pageClient() {
  const licence = readFileSync(join(root, "node_modules/@msgpack/msgpack/LICENSE"), "utf8").trim();
  const bundled = await build({
    entryPoints: [join(root, "src/browser.ts")],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    banner: { js: `/* Made from bindings/javascript by build.mjs. It holds @msgpack/msgpack:\n\n${licence}\n*/` },
    write: false,
  });
  return bundled.outputFiles[0].text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(await pageClient());

// Builds dist/: ES modules, CommonJS, their types, and one file for pages without a bundler; and the playtest page's copy.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { pageClient } from "./page_client.mjs";

const root = dirname(fileURLToPath(import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript")), "tsc.js");
const run = (...options) =>
  execFileSync(process.execPath, [tsc, "-p", root, ...options], { stdio: "inherit" });

rmSync(join(root, "dist"), { recursive: true, force: true });
run();
run("--module", "commonjs", "--moduleResolution", "node10", "--outDir", join(root, "dist/cjs"));
mkdirSync(join(root, "dist/cjs"), { recursive: true });
// Without it Node.js would read the CommonJS files as ES modules.
writeFileSync(join(root, "dist/cjs/package.json"), '{ "type": "commonjs" }\n');
await build({
  entryPoints: [join(root, "src/browser.ts")],
  outfile: join(root, "dist/npc-engine-client.js"),
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  logLevel: "warning",
});
writeFileSync(join(root, "../../npc_engine/playtest/web/npc-engine-client.js"), await pageClient());

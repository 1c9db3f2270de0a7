#!/bin/sh
# conformance.sh ADDRESS_JSON: the cases of ../CONFORMANCE.md in Node.js (ZeroMQ, WebSocket) and in Chromium (WebSocket).
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund >&2
[ -n "$(find dist/npc-engine-client.js -newer package.json 2>/dev/null)" ] &&
  [ -z "$(find src build.mjs tsconfig.json -newer dist/npc-engine-client.js)" ] || node build.mjs >&2
status=0
node --expose-gc conformance/node.mjs "$1" || status=1
node conformance/browser.mjs "$1" || status=1
exit $status

#!/bin/sh
# Runs the conformance cases with a headless Godot 3: conformance.sh ADDRESS_JSON [CASE]
#
# ADDRESS_JSON is the line that `npc-engine conformance-server` prints. GODOT names another program
# than godot3-server. Exits with 0 where no case failed and no script error was printed.
set -u
if [ $# -lt 1 ]; then
    echo "usage: conformance.sh ADDRESS_JSON [CASE]" >&2
    exit 2
fi
project=$(cd "$(dirname "$0")/godot3" && pwd) || exit 2
home=$(mktemp -d) || exit 2
trap 'rm -rf "$home"' EXIT
# A home of its own: the engine writes its settings there.
HOME="$home" XDG_CONFIG_HOME="$home" XDG_DATA_HOME="$home" XDG_CACHE_HOME="$home" \
    NPC_ADDRESSES="$1" NPC_CASE="${2:-}" \
    "${GODOT:-godot3-server}" --path "$project" -s conformance/run_conformance.gd 2>"$home/errors"
code=$?
if grep -q "SCRIPT ERROR\|ObjectDB\|Leaked" "$home/errors"; then
    cat "$home/errors" >&2
    exit 1
fi
exit $code

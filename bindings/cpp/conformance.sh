#!/bin/sh
# Builds the conformance program and runs all cases: conformance.sh ADDRESS_JSON [CASE]
#
# ADDRESS_JSON is the line that `npc-engine conformance-server` prints. NPC_ENGINE_BUILD_DIR names another build folder than
# build/, NPC_ENGINE_BUILD_TYPE another build type than None, which does not optimise and so compiles fast. Exits with
# 1 where a case failed and with 2 where nothing could be built.
set -u
if [ $# -lt 1 ]; then
    echo "usage: conformance.sh ADDRESS_JSON [CASE]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd) || exit 2
build=${NPC_ENGINE_BUILD_DIR:-$here/build}
mkdir -p "$build" || exit 2
{
    cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE="${NPC_ENGINE_BUILD_TYPE:-None}" &&
        cmake --build "$build" --target npc_engine_conformance -j 1
} >"$build/conformance.log" 2>&1 || {
    cat "$build/conformance.log" >&2
    exit 2
}
exec "$build/tests/npc_engine_conformance" "$@"

#!/bin/sh
# Runs the cases of bindings/CONFORMANCE.md: conformance.sh ADDRESS_JSON [CASE ...]
set -e
folder=$(cd "$(dirname "$0")" && pwd)
"$folder/build.sh"
exec mono "$folder/build~/NpcEngine.Conformance.exe" "$@"

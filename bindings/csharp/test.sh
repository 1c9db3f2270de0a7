#!/bin/sh
# Builds and runs the tests of this binding: test.sh [PART OF A NAME ...]
set -e
folder=$(cd "$(dirname "$0")" && pwd)
"$folder/build.sh"
python3 "$folder/Tests~/make_metas.py" --check
exec mono --debug "$folder/build~/NpcEngine.Tests.exe" "$folder/../../tests/wire" "$@"

#!/bin/sh
# Builds the library and its test programs with Mono into build~/, unless they are newer than every source.
set -e
cd "$(dirname "$0")"
if ! command -v mcs >/dev/null || ! command -v mono >/dev/null; then
    echo "mcs and mono are needed: apt-get install mono-mcs mono-runtime libmono-system-core4.0-cil" >&2
    exit 1
fi
out=build~
if [ -f $out/done ] && [ -z "$(find Runtime Samples~ Godot~ Tests~ build.sh -newer $out/done -print -quit)" ]; then
    exit 0
fi
mkdir -p $out
# Built aside and renamed last, so that two builds at once do no harm.
part=$(mktemp -d $out/part.XXXXXX)
trap 'rm -rf "$part"' EXIT
touch "$part/done"
flags="-langversion:7.2 -warnaserror -warn:4 -debug -optimize+"
library="-r:$part/NpcEngine.dll"
find Runtime -name '*.cs' | sort | xargs mcs $flags -target:library -out:"$part/NpcEngine.dll"
# Unity assigns what it serializes, and calls what it finds; a compiler sees neither.
mcs $flags -nowarn:0649,0414 $library -target:library -out:"$part/UnitySample.dll" Tests~/Sample/UnityStub.cs Samples~/TalkingCharacter/*.cs
mcs $flags $library -target:library -out:"$part/GodotSample.dll" Tests~/Sample/GodotStub.cs Godot~/*.cs
mcs $flags $library -r:"$part/UnitySample.dll" -out:"$part/NpcEngine.Tests.exe" Tests~/*.cs Tests~/Unit/*.cs
mcs $flags $library -out:"$part/NpcEngine.Conformance.exe" Tests~/*.cs Tests~/Conformance/*.cs
for file in "$part"/*; do mv "$file" $out/; done

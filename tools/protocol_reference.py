"""Writes what is generated from the protocol's models and tables: docs/protocol.md's reference and tests/wire/.

python tools/protocol_reference.py            write
python tools/protocol_reference.py --check    exit with 1 where a file is out of date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wire_examples import ALTERNATIVES, EXAMPLES, REFUSED

from npc_engine import errors
from npc_engine.protocol import codec, turn_state
from npc_engine.protocol.messages import PROTOCOL_VERSION, REPLIES, REQUESTS, Message

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "protocol.md"
VECTORS = ROOT / "tests" / "wire"

_LIMITS = codec.Limits()


def main(arguments: list[str] | None = None) -> int:
    """Write or check the generated files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for path, text in generated_files().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


def generated_files() -> Mapping[Path, str]:
    """Every generated file with the text that it should hold."""
    return {
        VECTORS / "messages.json": _json({"protocol_version": PROTOCOL_VERSION, "messages": list(_message_vectors())}),
        VECTORS / "refused.json": _json(
            {
                "protocol_version": PROTOCOL_VERSION,
                "frames": [{"name": name, "hex": frame.hex(), "code": code} for name, frame, code in REFUSED],
            }
        ),
        DOCUMENT: _document(DOCUMENT.read_text(encoding="utf-8")),
    }


def _message_vectors() -> Iterator[dict[str, Any]]:
    for name, message in EXAMPLES:
        yield _vector(name, codec.pack(message, _LIMITS), message, is_canonical=True)
    for name, frame, message in ALTERNATIVES:
        yield _vector(name, frame, message, is_canonical=False)


def _vector(name: str, frame: bytes, message: Message, *, is_canonical: bool) -> dict[str, Any]:
    direction = "client_to_server" if message.kind in REQUESTS else "server_to_client"
    return {
        "name": name,
        "direction": direction,
        "canonical": is_canonical,
        "hex": frame.hex(),
        "meaning": message.model_dump(),
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


def _document(text: str) -> str:
    sections = {
        "client to server": "\n\n".join(_reference(model) for model in REQUESTS.values()),
        "server to client": "\n\n".join(_reference(model) for model in REPLIES.values()),
        "connection": f"```mermaid\n{turn_state.diagram(turn_state.CONNECTION)}\n```",
        "conversation": f"```mermaid\n{turn_state.diagram(turn_state.CONVERSATION)}\n```",
        "errors": "\n".join(_error_table()),
    }
    for name, body in sections.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", text)
        if count != 1:
            raise SystemExit(f"{DOCUMENT} has {count} sections named {name!r}; it needs one")
    return text


def _reference(model: type[Message]) -> str:
    schema = model.model_json_schema()
    kind = schema["properties"]["kind"]["const"]
    example = next(message for _, message in EXAMPLES if message.kind == kind)
    lines = [f"#### `{kind}`", "", (model.__doc__ or "").strip(), "", *_field_table(schema, schema)]
    for name, nested in schema.get("$defs", {}).items():
        if name != "JsonValue":
            lines += ["", f"`{name}`:", "", *_field_table(nested, schema)]
    shown = json.dumps(example.model_dump(), ensure_ascii=False)
    return "\n".join([*lines, "", f"```json\n{shown}\n```"])


def _field_table(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    yield "| field | type | when absent | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        if name == "kind":
            continue
        absent = "refused" if name in required else f"`{json.dumps(field.get('default')).replace('null', 'nil')}`"
        yield f"| `{name}` | {_type(field)} | {absent} | {field.get('description', '')} |"


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field:
        return f"map `{field['$ref'].rsplit('/', 1)[1]}`"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    match field["type"]:
        case "string":
            least, most = field.get("minLength", 0), field.get("maxLength")
            return "text" + (f", {least} to {most} characters" if most else ", not empty" if least else "")
        case "integer":
            least, most = field.get("minimum"), field.get("maximum")
            bounds = f", {least} to {most}" if most is not None else f", at least {least}" if least is not None else ""
            return f"integer{bounds}"
        case "array":
            return f"array of {_type(field['items'])}"
        case other:
            return {"object": "map of data", "number": "float", "boolean": "boolean", "null": "nil"}[other]


def _error_table() -> Iterator[str]:
    yield "| code | name | when |"
    yield "|---|---|---|"
    groups = ("NPC2", "NPC3", "NPC5")
    found = [error for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "code")]
    for error in sorted(found, key=lambda each: each.code):
        if (error.code.startswith(groups) and not error.code.endswith("00")) or error is errors.InternalError:
            yield f"| `{error.code}` | {error.__name__} | {(error.__doc__ or '').strip().splitlines()[0]} |"


if __name__ == "__main__":
    sys.exit(main())

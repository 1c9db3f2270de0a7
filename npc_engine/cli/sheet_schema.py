"""The published JSON Schema of sheets."""

from __future__ import annotations

import json

from npc_engine.sheets.schema import CharacterSheet

SCHEMA_FILE = "character-1.json"


def json_schema() -> str:
    """The published JSON Schema, as the text of its file."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **CharacterSheet.model_json_schema(by_alias=True),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

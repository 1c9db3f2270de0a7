"""Make the folder that onnxruntime-genai runs, from the same GGUF file: `python -m tools.inference_bench.genai_export`.

    peers/bin/pip install torch transformers
    python -m tools.inference_bench.genai_export --gguf FILE --peer-python peers/bin/python --out genai-tiny

Its builder reads no quantized GGUF, so the weights are written as a float32 safetensors folder first; then the builder,
in the peer's Python, quantizes them to int4 in blocks of 32, symmetric, accuracy level 4, which is its CPU default.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from npc_engine.errors import NpcEngineError
from npc_engine.models.build import open_weights
from npc_engine.models.weights import WeightSource

_BUILDER = (
    "-p", "int4", "-e", "cpu",
    "--extra_options", "int4_block_size=32", "int4_accuracy_level=4", "int4_is_symmetric=true",
)  # fmt: skip
# GGUF's names of a layer's tensors, and the published ones.
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def main() -> int:
    """Write the safetensors folder, run the builder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True, help="the file that the model was built from")
    parser.add_argument("--peer-python", type=Path, required=True, help="has onnxruntime-genai, torch, transformers")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; OUT/source is the safetensors folder")
    options = parser.parse_args()
    try:
        source = write_published(open_weights(options.gguf), options.out / "source")
    except (NpcEngineError, OSError) as error:
        print(f"genai_export: {error}", file=sys.stderr)
        return 2
    command = [str(options.peer_python), "-m", "onnxruntime_genai.models.builder", "-i", str(source)]
    command += ["-o", str(options.out), "-c", str(options.out / "cache"), *_BUILDER]
    return subprocess.run(command, check=False).returncode


def write_published(weights: WeightSource, folder: Path) -> Path:
    """Write the weights, dequantized to float32, as the folder that their publisher would.

    Returns:
        The folder, with config.json, model.safetensors and tokenizer.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        published_name(name): np.ascontiguousarray(tensor.floats()) for name, tensor in weights.tensors.items()
        if published_name(name)
    }  # fmt: skip
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(published_config(weights), indent=1) + "\n", encoding="utf-8")
    tokenizer = weights.load_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    eos = tokenizer.id_to_token(weights.eos_token_ids[0])
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos, "pad_token": eos}) + "\n",
        encoding="utf-8",
    )
    return folder


def published_name(name: str) -> str:
    """The published name of a GGUF tensor; empty for one that is not a weight, such as RoPE's factors."""
    stem, _, suffix = name.rpartition(".")
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.{suffix}"
    if stem.startswith("blk."):
        _, layer, part = stem.split(".", 2)
        if part in _LAYER:
            return f"model.layers.{layer}.{_LAYER[part]}.{suffix}"
    return ""


def published_config(weights: WeightSource) -> dict[str, Any]:
    """config.json of the family."""
    config = weights.config
    family, kind = {"llama": ("LlamaForCausalLM", "llama"), "qwen2": ("Qwen2ForCausalLM", "qwen2")}[config.architecture]
    # The largest inverse frequency but one is theta ** (-2 / head_dim).
    theta = float(config.inverse_frequencies[1] ** (-config.head_dim / 2))
    eos = weights.eos_token_ids[0]
    return {
        "architectures": [family],
        "model_type": kind,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_context_tokens,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": round(theta, 3),
        "hidden_act": "silu",
        "attention_bias": config.architecture == "qwen2",
        "tie_word_embeddings": "output.weight" not in weights.tensors,
        "bos_token_id": eos,
        "eos_token_id": eos,
        "torch_dtype": "float32",
    }


if __name__ == "__main__":
    sys.exit(main())

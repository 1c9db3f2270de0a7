"""Build a model folder from a source file: the graph, its numbers, its tokenizer and chat template.

The caller gives an empty folder and installs it by a rename; after an error the folder holds unfinished files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from npc_engine.errors import InvalidModelFile
from npc_engine.inference.onnx_session import int8_products_saturate
from npc_engine.inference.spec import DecoderSpec, EncoderSpec, Precision
from npc_engine.models.adapters import stack_adapters
from npc_engine.models.cache import disk_errors
from npc_engine.models.chat_template import choose_template
from npc_engine.models.encoder_graph import write_encoder_graph
from npc_engine.models.gguf import open_gguf
from npc_engine.models.graph import TOP_K, DecoderGraph, count_weights, write_decoder_graph
from npc_engine.models.graph_writer import Progress
from npc_engine.models.hf import open_hf_decoder, open_hf_encoder
from npc_engine.models.lora import merge, read_adapter
from npc_engine.models.prefill_gate import CALIBRATION, measure, talk_ids
from npc_engine.models.prefill_graph import MAX_CODE, MAX_CODE_SATURATING, measure_peaks, write_prefill_graph
from npc_engine.models.tokenizer import ChatTokenizer, read_tokenizer
from npc_engine.models.weights import WeightSource

MAX_SENTENCE_TOKENS = 256
"""Tokens a sentence embedding is made of at most. Source: the model card of all-MiniLM-L6-v2."""


def build_decoder(
    source: Path,
    out: Path,
    *,
    precision: Precision = "int4",
    chat_template: str | None = None,
    adapter: Path | None = None,
    adapters: Mapping[str, Path] = MappingProxyType({}),
    progress: Progress | None = None,
) -> DecoderSpec:
    """Write decoder.onnx, decoder.onnx.data, decoder.json, tokenizer.json and chat_template.json.

    At int4 and int8 a prefill graph is added, prefill.onnx and prefill.onnx.data, if it passes `prefill_gate`. That
    loads the graphs one after the other, so it takes as much memory as running the model.

    Args:
        source: A GGUF file, a folder that holds one, or a safetensors folder.
        out: An existing, empty folder.
        precision: Of the weights. int4 and int8 run on the CPU, fp16 on CUDA; fp32 is the reference.
        chat_template: A built-in template's name; None picks by vocabulary.
        adapter: A LoRA adapter's folder, merged into the source's weights; None leaves them as they are.
        adapters: LoRA adapters' folders by name, each chosen at run time; none leaves the graph as it is without them.
        progress: Called with (weights done, weights in all).

    Returns:
        What was written, as decoder.json has it: `prefill_precision` is `none` where the gate was not passed, and
        `prefill_kl_nats` says by how much.

    Raises:
        InvalidModelFile: The source cannot be read.
        CorruptModel: A graph that was written does not load, or fails its start-up check on this processor.
        UnsupportedArchitecture: It is no Llama or Qwen model.
        UnsupportedTensor: A tensor is missing, misshapen, or of an unreadable type.
        UnsupportedTokenizer: The vocabulary, or its chat template, is not supported.
        InvalidAdapter, UnsupportedAdapter, AdapterMismatch: The adapter, before anything is written.
        DiskFull: No room in `out`.
        ModelError: `out` cannot be written for another reason.
    """
    weights = open_weights(source)
    if adapter is not None:
        weights = merge(weights, read_adapter(adapter))
    stack = stack_adapters(weights, adapters) if adapters else None
    tokenizer = weights.load_tokenizer()
    template = choose_template(chat_template, tokenizer, eos_token_ids=weights.eos_token_ids)
    config = weights.config
    stop_ids = {token_id for token in template.stop if (token_id := tokenizer.token_to_id(token)) is not None}
    spec = DecoderSpec(
        architecture=config.architecture,
        precision=precision,
        kv_dtype="float16" if precision == "fp16" else "float32",
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        hidden_size=config.hidden_size,
        vocab_size=config.vocab_size,
        max_context_tokens=config.max_context_tokens,
        top_k=min(TOP_K, config.vocab_size),
        eos_token_ids=tuple(sorted(stop_ids)),
        adapters=stack.names if stack else (),
        adapter_ranks=stack.ranks if stack else (),
    )
    prefills = precision in ("int4", "int8")
    total = count_weights(weights) + (count_weights(weights, layers_only=True) if prefills else 0)
    with disk_errors(out):
        graph = write_decoder_graph(
            weights, out, precision=precision, total_weights=total, adapters=stack, progress=progress
        )
        (out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        template.save(out / "chat_template.json")
        if prefills:
            spec = _add_prefill(graph, spec, out)
        spec.save(out / "decoder.json")
    return spec


def _add_prefill(graph: DecoderGraph, spec: DecoderSpec, out: Path) -> DecoderSpec:
    """Write the prefill graph, measure it against the decode graph, and delete it if it is too far off."""
    ids = talk_ids(ChatTokenizer.load(out), CALIBRATION, max_tokens=spec.max_context_tokens)
    max_code = MAX_CODE_SATURATING if int8_products_saturate() else MAX_CODE
    write_prefill_graph(graph, out, max_code=max_code, peaks=measure_peaks(graph, out, ids))
    with_graph = replace(spec, prefill_precision="w8a8", prefill_max_code=max_code)
    with_graph.save(out / "decoder.json")
    result = measure(out)
    if result.passed:
        return replace(with_graph, prefill_kl_nats=result.kl_nats, prefill_agreement=result.agreement)
    for name in ("prefill.onnx", "prefill.onnx.data"):
        (out / name).unlink()
    return replace(spec, prefill_kl_nats=result.kl_nats, prefill_agreement=result.agreement)


def build_encoder(source: Path, out: Path, *, progress: Progress | None = None) -> EncoderSpec:
    """Write encoder.onnx, encoder.json and tokenizer.json.

    The tokenizer neither truncates nor pads: whoever batches does.

    Args:
        source: A BERT sentence encoder's folder: config.json, safetensors, tokenizer.json.
        out: An existing, empty folder.
        progress: Called with (weights done, weights in all).

    Raises:
        InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor, DiskFull: As `build_decoder`.
    """
    encoder = open_hf_encoder(source)
    tokenizer = read_tokenizer(source / "tokenizer.json")
    spec = EncoderSpec(
        architecture="bert",
        hidden_size=encoder.config.hidden_size,
        max_tokens=min(encoder.config.max_positions, MAX_SENTENCE_TOKENS),
    )
    with disk_errors(out):
        write_encoder_graph(encoder, out / "encoder.onnx", progress=progress)
        (out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        spec.save(out / "encoder.json")
    return spec


def open_weights(source: Path) -> WeightSource:
    """Read the header of a GGUF file, of the one GGUF file in a folder, or of a safetensors folder.

    Raises:
        InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor: As `build_decoder`.
    """
    if not source.is_dir():
        return open_gguf(source)
    if any(source.glob("*.safetensors")):
        return open_hf_decoder(source)
    files = sorted(source.glob("*.gguf"))
    if len(files) == 1:
        return open_gguf(files[0])
    raise InvalidModelFile(f"{source}: holds neither safetensors nor a single GGUF file", hint="name the file itself")

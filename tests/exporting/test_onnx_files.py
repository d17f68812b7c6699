"""ONNX files in onnxruntime against what the generators themselves give."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.exporting.models import CHANGING, CLASSES, CLIPS, FROM_NOISE, TEXT, model_of

from sparring.data.selfies_symbols import SelfiesSymbols
from sparring.errors import RunError, SettingError
from sparring.exporting import export
from sparring.exporting.export import compare
from sparring.foreign_generators import ForeignGenerator
from sparring.randomness import key
from sparring.tasks import filming, generate, sequences, video

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def session_of(path: Path) -> Any:
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def about(path: Path) -> dict[str, str]:
    found: dict[str, str] = session_of(path).get_modelmeta().custom_metadata_map
    return found


def distance(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.uint8
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("name", FROM_NOISE)
def test_pictures_from_noise_are_those_of_sample_at_any_batch(tmp_path: Path, name: str) -> None:
    model, blueprint = model_of(FROM_NOISE[name]), FROM_NOISE[name]
    assert isinstance(blueprint, generate.Blueprint)
    made = export(model, tmp_path / "g.onnx", "onnx")
    assert made.difference <= 1
    pictures = model.sample(9, seed=4)
    assert isinstance(pictures, torch.Tensor)
    wanted = pictures.permute(0, 2, 3, 1).numpy()
    assert np.ptp(wanted) > 20
    z, label = (drawn.numpy() for drawn in blueprint.latents(0, 4))
    for n in (1, 2, 9):
        given = {"z": z[:n], **({"label": label[:n]} if blueprint.classes else {})}
        assert distance(session_of(tmp_path / "g.onnx").run(["image"], given)[0], wanted[:n]) <= 1


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_those_of_sample_whatever_their_length(tmp_path: Path, name: str) -> None:
    model, blueprint = model_of(CLIPS[name]), CLIPS[name]
    assert isinstance(blueprint, video.Blueprint)
    assert export(model, tmp_path / "g.onnx", "onnx").difference <= 1
    session = session_of(tmp_path / "g.onnx")
    z, label = (drawn.numpy() for drawn in blueprint.latents(0, 4))
    for n, frames in ((1, 1), (2, 9)):
        clips = model.sample(n, seed=4, frames=frames, fps=5)
        assert isinstance(clips, torch.Tensor)
        camera = filming.Camera(model.generator, blueprint, 4, model.take(frames=frames, fps=5))
        noise = torch.stack([torch.stack([camera.vector(i, at) for at in range(20)]) for i in range(n)]).numpy()
        times = np.tile(np.arange(frames, dtype=np.float32) / 5, (n, 1))
        given = {"content": z[:n], "motion": noise, "times": times}
        given |= {"label": label[:n]} if blueprint.classes else {}
        assert distance(session.run(["clip"], given)[0], clips.permute(0, 1, 3, 4, 2).numpy()) <= 1


@pytest.mark.parametrize("name", CHANGING)
def test_changed_pictures_are_those_of_apply_at_any_size(tmp_path: Path, name: str) -> None:
    model, random = model_of(CHANGING[name]), torch.Generator().manual_seed(0)
    export(model, tmp_path / "g.onnx", "onnx")
    session = session_of(tmp_path / "g.onnx")
    channels = CHANGING[name].channels
    for height, width in ((23, 41), (64, 64), (90, 17)):
        picture = torch.randint(256, (channels, height, width), generator=random, dtype=torch.uint8)
        given, options = {"picture": picture.permute(1, 2, 0)[None].numpy()}, dict[str, Any]()
        if name == "inpaint":
            options["mask"] = torch.rand(height, width, generator=random) > 0.7
            given["mask"] = options["mask"][None].numpy().astype(np.uint8) * 255
        if name.startswith("translate"):
            options["strength"] = 0.75
            given["strength"] = np.full(1, 0.75, np.float32)
        if model.styles:
            options["style"] = "monet:0.25+munch:0.75"
            given["style"] = np.array([[0.25, 0.75]], np.float32)
        (made,) = session.run(["image"], given)
        wanted = model.apply(picture, **options).permute(1, 2, 0)[None].numpy()
        assert distance(made, wanted) <= 1
        assert (made[:, :height, :width] != given["picture"]).any()
        if name == "inpaint":
            known = ~options["mask"].numpy()
            assert np.array_equal(made[0][known], given["picture"][0][known])


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, temperature: float = 1.0, top_p: float = 1.0) -> list[str]:
    """What the loop of the card of g.onnx writes with the uniform numbers of `sample` for the seed 7."""
    monkeypatch.chdir(folder)
    code = Path("g.onnx.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 19

    class OurNumbers:
        def random(self, shape: tuple[int, int], dtype: object) -> np.ndarray:
            random = torch.Generator().manual_seed(key(7, "symbols", 0))
            return torch.rand(sequences.FORWARD, shape[1], generator=random)[: shape[0]].numpy()

    monkeypatch.setattr(np.random, "default_rng", lambda seed: OurNumbers())
    names: dict[str, Any] = {}
    exec(code.replace(", 1.0, 1.0\n", f", {temperature}, {top_p}\n"), names)
    assert (names["temperature"], names["top_p"]) == (temperature, top_p)
    return list(names["texts"])


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.9), (1.5, 0.8)])
def test_the_loop_of_the_card_writes_the_texts_of_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float, top_p: float
) -> None:
    model = model_of(TEXT)
    export(model, tmp_path / "g.onnx", "onnx")
    texts = written(tmp_path, monkeypatch, temperature, top_p)
    assert texts == model.sample(16, seed=7, temperature=temperature, top_p=top_p)
    assert len(set(texts)) > 4


def test_the_loop_of_the_card_writes_the_molecules_of_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selfies = pytest.importorskip("selfies")
    chemistry = pytest.importorskip("rdkit.Chem")
    symbols = selfies.get_semantic_robust_alphabet()
    described = SelfiesSymbols(sorted(symbols)[:20]).describe()
    model = model_of(sequences.Blueprint("molecules", described, 12, 64, 1, 64, 1, False))
    export(model, tmp_path / "g.onnx", "onnx")
    wanted = model.sample(16, seed=7)
    decoded = [selfies.decoder(text) for text in written(tmp_path, monkeypatch)]
    assert [chemistry.CanonSmiles(smiles) for smiles in decoded] == wanted
    assert "selfies.decoder" in (tmp_path / "g.onnx.md").read_text()


def test_log_probabilities_are_those_of_the_next_token_and_forbidden_ones_have_none(tmp_path: Path) -> None:
    model = model_of(TEXT)
    export(model, tmp_path / "g.onnx", "onnx")
    tokens = np.array([[1, 3, 4, 5]])
    (found,) = session_of(tmp_path / "g.onnx").run(["log_probabilities"], {"tokens": tokens})
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-5)
    assert np.isneginf(found[..., 1:3]).all()
    wanted, _ = model.generator(torch.tensor([[3, 4, 5, 6]]))
    np.testing.assert_allclose(np.exp(found), wanted.exp().numpy(), atol=1e-5)


def test_symbols_of_byte_pairs_are_their_bytes(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    vocabulary = {"kind": "bpe", "merges": ["Ġ t", "h e", "Ġt he", "Ã ©"]}
    model = model_of(sequences.Blueprint("text", vocabulary, 16, 64, 1, 64, 1, False))
    export(model, tmp_path / "g.onnx", "onnx")
    symbols = [bytes.fromhex(each) for each in json.loads(about(tmp_path / "g.onnx")["symbols"])]
    assert isinstance(model.blueprint, sequences.Blueprint)
    for text in ("the thé of the", "床前", " \n\t!"):
        tokens = model.blueprint.symbols.encode(text)
        assert b"".join(symbols[token - 3] for token in tokens).decode() == text


def test_half_precision_is_half_as_large_and_nearly_the_same(tmp_path: Path) -> None:
    model = model_of(FROM_NOISE["fast"])
    whole, half = (export(model, tmp_path / f"{name}.onnx", "onnx", name) for name in ("fp32", "fp16"))
    assert half.bytes < 0.55 * whole.bytes
    assert 0 < half.difference <= 4
    assert half.mean_difference < 0.2


def test_the_file_says_what_it_is_and_nothing_of_this_machine(tmp_path: Path) -> None:
    blueprint = FROM_NOISE["fast with classes"]
    model = model_of(blueprint)
    model.save(tmp_path / "mine.safetensors")
    type(model).load(tmp_path / "mine.safetensors").export(tmp_path / "g.onnx", to="onnx")
    told = about(tmp_path / "g.onnx")
    assert told["task"] == "generate"
    assert "AI-generated" in told["note"]
    assert json.loads(told["class_names"]) == list(CLASSES)
    assert json.loads(told["class_shares"]) == [0.5, 0.25, 0.25]
    assert len(told["weights_sha256"]) == 64
    assert str(tmp_path).encode() not in (tmp_path / "g.onnx").read_bytes()
    assert str(Path(__file__).parent.parent.parent).encode() not in (tmp_path / "g.onnx").read_bytes()
    first = (tmp_path / "g.onnx").read_bytes()
    type(model).load(tmp_path / "mine.safetensors").export(tmp_path / "g.onnx", to="onnx")
    assert (tmp_path / "g.onnx").read_bytes() == first


def test_evaluate_takes_the_file_and_draws_labels_as_often_as_in_the_data(tmp_path: Path) -> None:
    blueprint = generate.Blueprint("fast", (3, 4, 4), 8, 16, 1, ("a", "b"), (0.0, 1.0))
    model = model_of(blueprint)
    export(model, tmp_path / "g.onnx", "onnx")
    foreign = ForeignGenerator(tmp_path / "g.onnx")
    assert foreign.from_noise.shape == (3, 4, 4)
    assert foreign.classes == ("a", "b")
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(key(0, "latents", 0)))
    wanted = session_of(tmp_path / "g.onnx").run(None, {"z": z.numpy(), "label": np.ones(32, np.int64)})[0]
    assert np.array_equal(foreign.sample(32).permute(0, 2, 3, 1).numpy(), wanted)


def test_a_difference_is_an_error_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros, twos = torch.zeros(2, 4, dtype=torch.uint8), torch.full((2, 4), 2, dtype=torch.uint8)
    assert compare([zeros], [zeros + 1], "fp32") == (1, 1)
    with pytest.raises(RunError, match="differs from PyTorch by 2 of 255"):
        compare([zeros], [twos], "fp32")
    with pytest.raises(RunError, match="differs from PyTorch by nan"):
        compare([torch.tensor([torch.nan])], [torch.zeros(1)], "fp32")
    monkeypatch.setattr("sparring.exporting.onnx_files.Session.__call__", lambda self, given: twos)
    with pytest.raises(RunError, match="where PyTorch gives"):
        export(model_of(FROM_NOISE["fast"]), tmp_path / "g.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_done_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(TEXT)
    (tmp_path / "folder.onnx").mkdir()
    for path, to, precision, error, words in (
        ("g.onnx", "tflite", "fp32", SettingError, "onnx, torch, safetensors"),
        ("g.onnx", "onnx", "int4", SettingError, "fp32 or fp16"),
        ("g.pt2", "torch", "fp16", SettingError, "for ONNX files"),
        ("folder.onnx", "onnx", "fp32", RunError, "is a folder"),
        ("g.pt", "torch", "fp32", RunError, r"ends in \.pt2"),
        ("none/g.onnx", "onnx", "fp32", RunError, "there is no folder"),
    ):
        with pytest.raises(error, match=words):
            export(model, tmp_path / path, to, precision)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(RunError, match=r"pip install 'sparring\[export\]'"):
        export(model, tmp_path / "g.onnx", "onnx")

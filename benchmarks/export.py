"""What other precisions of an ONNX file are worth: size, time on one core, and by how much pictures differ.

    python benchmarks/export.py RUN...

For each run: the file as it is exported, with weights stored in half precision (`--precision fp16`), and with eight-bit
weights and activations (onnxruntime's dynamic quantisation).
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

import sparring
from sparring.exporting.facts import facts
from sparring.exporting.onnx_files import onnx_model, stored_in_half
from sparring.exporting.players import player_of

SIZES = {"n": 16, "height": 128, "width": 128, "length": 32}
REPEATS = 7


def session_of(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    torch.set_num_threads(1)
    print("| run | file | MB | ms a sample | largest difference | mean |\n| --- | --- | --- | --- | --- | --- |")
    for run in sys.argv[1:]:
        model = sparring.load(run)
        player, known = player_of(model.generator, model.blueprint), facts(model)
        given = player.given(SIZES, seed=5)
        wanted = player(given).numpy()
        feed = {name: x.numpy() for name, x in given.items()}
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: Path(folder) / f"{name}.onnx" for name in ("fp32", "fp16", "int8")}
            graph = onnx_model(player, known)
            onnx.save(graph, paths["fp32"])
            onnx.save(stored_in_half(graph), paths["fp16"])
            quantize_dynamic(paths["fp32"], paths["int8"], weight_type=QuantType.QUInt8)
            for name, path in paths.items():
                session = session_of(path)
                (made,) = session.run(None, feed)
                seconds = []
                for _ in range(REPEATS):
                    start = time.perf_counter()
                    session.run(None, feed)
                    seconds.append(time.perf_counter() - start)
                if made.dtype == np.uint8:
                    difference = np.abs(made.astype(int) - wanted.astype(int))
                else:
                    difference = np.abs(np.exp(made.astype(float)) - np.exp(wanted.astype(float)))
                print(
                    f"| {Path(run).name} | {name} | {path.stat().st_size / 1e6:.2f} | "
                    f"{1000 * min(seconds) / SIZES['n']:.3g} | {difference.max():.3g} | {difference.mean():.2g} |"
                )


if __name__ == "__main__":
    main()

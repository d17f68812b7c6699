"""The page of `examples/browser` in headless Chromium, with the files of the npm package onnxruntime-web.

ONNXRUNTIME_WEB names the folder of its `dist`; without it, or without Chromium, there is nothing to test.
"""

import base64
import io
import math
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.exporting.models import FROM_NOISE, model_of

from sparring.exporting import export

PAGE = Path(__file__).parent.parent.parent / "examples" / "browser"
DIST = os.environ.get("ONNXRUNTIME_WEB", "")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(not (DIST and BROWSER), reason="needs Chromium, and ONNXRUNTIME_WEB")

FIXED = "<script>Math.random = () => 0.5;</script>"
"""All numbers of z are then the same."""

SEEN = """<script>
const waiting = setInterval(() => {
  const canvas = document.querySelector("canvas");
  if (canvas) { clearInterval(waiting); document.title = canvas.toDataURL(); }
}, 50);
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_the_page_draws_what_onnxruntime_gives_here(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    shutil.copytree(PAGE, tmp_path / "page")
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(Path(DIST) / name, tmp_path / "page")
    page = tmp_path / "page/index.html"
    page.write_text(page.read_text().replace("</head>", f"{FIXED}</head>").replace("</body>", f"{SEEN}</body>"))
    export(model_of(FROM_NOISE["skip with classes"]), tmp_path / "page/generator.onnx", "onnx")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "page")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        browser = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
        address = f"http://127.0.0.1:{server.server_port}/"
        done = subprocess.run(
            [*browser, "--virtual-time-budget=20000", "--dump-dom", address],
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.shutdown()
    assert "16 pictures of 8x8" in done.stdout
    found = re.search(r"<title>data:image/png;base64,([^<]+)</title>", done.stdout)
    assert found is not None
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))
    z = np.full((1, 8), math.sqrt(-2 * math.log(0.5)) * math.cos(math.pi), np.float32)
    session = runtime.InferenceSession(str(tmp_path / "page/generator.onnx"))
    (image,) = session.run(None, {"z": z, "label": np.zeros(1, np.int64)})
    assert np.abs(seen.astype(int) - image[0].astype(int)).max() <= 1

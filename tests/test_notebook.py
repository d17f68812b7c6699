"""The notebook of `examples/` runs from top to bottom, with seconds of training instead of minutes."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'sparring[dev]'")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'sparring[dev]'")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'sparring[dev]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'sparring[export]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'sparring[export]'")

NOTEBOOK = Path(__file__).parents[1] / "examples" / "from_data_to_edited_picture.ipynb"


def test_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_runs_from_data_to_an_edited_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for name, value in {
        "MINUTES": "0.05",
        "OUT": str(out),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # A cell that fails raises CellExecutionError, which shows the cell and its traceback.
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    cells = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    without_pictures = {"setup", "train", "judge"}
    for name, outputs in cells.items():
        assert any("image/png" in output.get("data", {}) for output in outputs) == (name not in without_pictures), name
    said = "".join(output.get("text", "") for output in cells["export"])
    difference = int(said.rpartition("largest difference: ")[2])
    assert difference <= 1  # of 255; a value halfway between two bytes may be rounded the other way

    assert (out / "run" / "generator.safetensors").is_file()
    assert (out / "before-after.png").stat().st_size > 0
    session = onnxruntime.InferenceSession(out / "digits.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["z"]

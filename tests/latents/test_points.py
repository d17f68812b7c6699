from pathlib import Path

import numpy as np
import pytest
import torch

from sparring import Model, RunError, SettingError
from sparring.latents.points import find, read, samples, write


def test_points_are_samples_of_seeds(model: Model) -> None:
    found = find(model, ["3", "5:2", "0:40-42"])
    wanted = torch.cat([model.latents(1, 3), model.latents(1, 5, 2), model.latents(3, 0, 40)])
    assert torch.equal(found.z, wanted)
    assert found.names == ("3:0", "5:2", "0:40", "0:41", "0:42")
    assert torch.equal(found.pictures(model)[2:], model.sample(3, seed=0, start=40))


def test_what_was_written_is_read_again(conditional: Model, tmp_path: Path) -> None:
    points = samples(conditional, 5, seed=1)
    path = tmp_path / "new" / "z.npz"
    write(points, path)
    found = find(conditional, [f"{path}:1-3"])
    assert torch.equal(found.z, points.z[1:4])
    assert torch.equal(found.pictures(conditional), points.pictures(conditional)[1:4])
    assert found.names == points.names[1:4]


def test_arrays_of_ones_own_are_points(model: Model, conditional: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.ones(8))
    assert torch.equal(find(model, [str(tmp_path / "z.npy")]).z, torch.ones(1, 8))
    with pytest.raises(SettingError, match="--label"):
        read(conditional, tmp_path / "z.npy")
    np.save(tmp_path / "z.npy", np.ones((2, 9)))
    with pytest.raises(SettingError, match=r"z\.npy.*\(n, 8\)"):
        read(model, tmp_path / "z.npy")
    np.save(tmp_path / "z.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(RunError, match=r"z\.npy"):
        read(model, tmp_path / "z.npy")
    np.savez(tmp_path / "other.npz", images=np.ones(3))
    with pytest.raises(RunError, match="under the name z"):
        read(model, tmp_path / "other.npz")
    with pytest.raises(RunError, match="No such file"):
        read(model, tmp_path / "gone.npz")


def test_labels_replace_those_that_were_drawn(conditional: Model, model: Model) -> None:
    found = find(conditional, ["4"], ["dog", "cat", "2"])
    assert found.classes is not None
    assert found.classes.argmax(1).tolist() == [1, 0, 2]
    assert torch.equal(found.z[0], found.z[2])
    assert torch.equal(find(conditional, ["4:0-2"], ["cat"]).pictures(conditional), conditional.sample(3, 4, label=0))
    with pytest.raises(SettingError, match="one for all"):
        find(conditional, ["4:0-2"], ["cat", "dog"])
    with pytest.raises(SettingError, match="no classes"):
        find(model, ["4"], ["cat"])


@pytest.mark.parametrize("text", ["-1", "seven", "0:5-2", "0:0-99999999", "photo.png", "", ":3", "9" * 30])
def test_what_is_no_point_is_said(model: Model, text: str) -> None:
    with pytest.raises(SettingError):
        find(model, [text])

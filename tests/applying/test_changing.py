import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from tests.applying.apparatuses import Fake, Filler, Negative, Network
from torch import Tensor

from sparring.applying import apply_to_picture
from sparring.errors import DataError, SettingError


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(load_sample_image("flower.jpg")[100:160, 200:280])  # 80 x 60


def test_what_changes_nothing_gives_back_every_value() -> None:
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    assert torch.equal(apply_to_picture(Fake(channels=1), ramp), ramp)
    assert torch.equal(apply_to_picture(Negative(channels=1), ramp), 255 - ramp)
    assert torch.equal(apply_to_picture(Negative(), ramp), 255 - ramp)  # as RGB and back
    colours = ramp.reshape(1, 256).expand(3, 256)[:, None]
    assert torch.equal(apply_to_picture(Negative(), colours), 255 - colours)


def test_colours_go_through_a_generator_of_grey_one_by_one(photo: Image.Image) -> None:
    fake = Negative(channels=1)
    result = apply_to_picture(fake, photo)
    assert fake.seen == [(3, 1, 60, 80)]
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), 255 - np.asarray(photo))


def test_tensors_and_images_are_the_same_thing(photo: Image.Image) -> None:
    network = Network(scale=2)
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    from_tensor = apply_to_picture(network, tensor)
    assert from_tensor.shape == (3, 120, 160)
    assert np.array_equal(np.asarray(apply_to_picture(network, photo)), from_tensor.permute(1, 2, 0).numpy())
    assert apply_to_picture(network, torch.cat([tensor, tensor[:1]])).shape == (4, 120, 160)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_come_back(photo: Image.Image, mode: str) -> None:
    picture = photo.convert(mode)
    if "A" in mode:
        picture.putalpha(Image.linear_gradient("L").resize(photo.size))
    for channels in (1, 3):
        result = apply_to_picture(Negative(channels=channels, scale=2), picture)
        assert (result.mode, result.size) == (mode, (160, 120))
        if "A" in mode:
            wanted = picture.getchannel("A").resize((160, 120), Image.Resampling.LANCZOS)
            assert np.array_equal(np.asarray(result.getchannel("A")), np.asarray(wanted))


@pytest.mark.parametrize(("mode", "becomes"), [("P", "RGB"), ("1", "L"), ("CMYK", "RGB")])
def test_other_modes_become_the_nearest(photo: Image.Image, mode: str, becomes: str) -> None:
    assert apply_to_picture(Fake(), photo.convert(mode)).mode == becomes


def mask_of(kind: str, hole: Tensor) -> Image.Image | Tensor:
    if kind == "image":
        return Image.fromarray(np.where(hole.numpy(), 128, 127).astype(np.uint8))
    if kind == "strokes":  # white ones on a transparent layer
        return Image.fromarray(np.where(hole.numpy()[..., None], 255, 0).astype(np.uint8).repeat(4, axis=2), "RGBA")
    return {"bool": hole, "float": hole[None].float(), "uint8": torch.where(hole, 255, 0).to(torch.uint8)}[kind]


@pytest.mark.parametrize("kind", ["image", "strokes", "bool", "float", "uint8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_outside_of_holes_nothing_changes(photo: Image.Image, kind: str, channels: int) -> None:
    hole = torch.zeros(60, 80, dtype=torch.bool)
    hole[20:30, 30:50] = True
    for picture in (photo, photo.convert("L")):
        result = np.asarray(apply_to_picture(Filler(channels), picture, mask_of(kind, hole)))
        before = np.asarray(picture)
        assert np.array_equal(result[~hole.numpy()], before[~hole.numpy()])
        known = before[~hole.numpy()].mean(axis=0)
        assert np.abs(result[25, 40] - known).max() <= 1


def test_transparent_pixels_are_holes_and_become_opaque(photo: Image.Image) -> None:
    picture = photo.convert("RGBA")
    alpha = np.full((60, 80), 255, np.uint8)
    alpha[:5], alpha[5:10] = 0, 200
    picture.putalpha(Image.fromarray(alpha))
    result = apply_to_picture(Filler(), picture)
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result)[10:], np.asarray(photo)[10:])
    assert np.abs(np.asarray(result)[:10] - np.asarray(photo)[10:].mean((0, 1))).max() <= 1
    kept = apply_to_picture(Filler(), picture, torch.arange(60)[:, None].expand(60, 80) == 30)
    assert np.array_equal(np.asarray(kept.getchannel("A")), alpha)


def test_masks_that_cannot_be_used_are_refused_with_a_sentence(photo: Image.Image) -> None:
    with pytest.raises(DataError, match=r"no transparent pixels.*--mask"):
        apply_to_picture(Filler(), photo)
    with pytest.raises(DataError, match="no transparent pixels"):
        apply_to_picture(Filler(), photo.convert("RGBA"))
    with pytest.raises(DataError, match="mask has 60x80 pixels and the picture 80x60"):
        apply_to_picture(Filler(), photo, Image.new("L", (60, 80)))
    with pytest.raises(DataError, match="covers all"):
        apply_to_picture(Filler(), photo, Image.new("L", (80, 60), "white"))
    with pytest.raises(DataError, match=r"\(2, 3, 4\)"):
        apply_to_picture(Filler(), photo, torch.zeros(2, 3, 4))
    with pytest.raises(SettingError, match="no mask"):
        apply_to_picture(Fake(), photo, Image.new("L", (80, 60)))


def test_no_pictures_are_refused_with_a_sentence() -> None:
    for wrong in (torch.zeros(3, 4, 4), torch.zeros(5, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)):
        with pytest.raises(DataError, match="uint8"):
            apply_to_picture(Fake(), wrong)
    with pytest.raises(DataError, match="its result would have 16000x16000 pixels"):
        apply_to_picture(Fake(channels=1, scale=4), Image.new("L", (4000, 4000)))


def test_exif_profile_and_resolution_come_along(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    picture = photo.copy()
    picture.info = {"exif": exif.tobytes(), "icc_profile": b"\0" * 16 + b"RGB " + b"\0" * 108, "dpi": (300, 300)}
    result = apply_to_picture(Fake(), picture)
    assert result.size == (60, 80)
    assert np.array_equal(np.asarray(result), np.rot90(np.asarray(photo), -1))
    assert dict(result.getexif()) == {0x0112: 1, 0x010F: "Maker"}
    assert result.info["icc_profile"] == picture.info["icc_profile"]
    assert result.info["dpi"] == (300, 300)


def test_smaller_tiles_where_memory_runs_out() -> None:
    class Greedy(Fake):
        def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
            if max(pictures.shape[2:]) > 100:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return pictures

    picture = torch.randint(0, 256, (3, 200, 300), dtype=torch.uint8)
    assert torch.equal(apply_to_picture(Greedy(), picture), picture)

    class Impossible(Fake):
        def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        apply_to_picture(Impossible(), picture)

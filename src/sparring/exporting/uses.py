"""How an exported file is used, in lines of Python that run as they stand."""

import json
import math
from collections.abc import Mapping

from sparring.exporting.players import Player

USUAL_FRAMES = 32
"""Of the clip that is made to show how."""

MORE_ANCHORS = 12
"""Of the motion, than lie within a clip; more than are needed do no harm."""

PICTURES = """\
import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{file}")
z = np.random.default_rng(0).standard_normal((16, {z_dim})).astype(np.float32)
{label}(images,) = session.run(["image"], {{"z": z{given}}})
for number, image in enumerate(images):
    Image.fromarray(image{squeeze}).save(f"{{number}}.png")
"""

CLIPS = """\
import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{file}")
random, times = np.random.default_rng(0), np.arange({frames}, dtype=np.float32)[None] / {rate}
content = random.standard_normal((1, {z_dim})).astype(np.float32)
motion = random.standard_normal((1, {anchors}, {motion_dim})).astype(np.float32)
{label}(clips,) = session.run(["clip"], {{"content": content, "motion": motion, "times": times{given}}})
frames = [Image.fromarray(frame{squeeze}) for frame in clips[0]]
frames[0].save("clip.gif", save_all=True, append_images=frames[1:], duration=1000 / {rate}, loop=0)
"""

CHANGED = """\
import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{file}")
picture = np.asarray(Image.open("photo.jpg").convert("{mode}"))[None]{grey}
{more}(image,) = session.run(["image"], {{"picture": picture{given}}})
Image.fromarray(image[0]{squeeze}).save("changed.png")
"""

MASK = """\
mask = np.asarray(Image.open("holes.png").convert("L"))[None]  # white where to fill
"""

STRENGTH = """\
strength = np.ones(1, np.float32)
"""

STYLE = """\
style = np.eye({styles}, dtype=np.float32)[[0]]  # {first}
"""

TEXTS = """\
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
about = session.get_modelmeta().custom_metadata_map
symbols, longest = [bytes.fromhex(each) for each in json.loads(about["symbols"])], int(about["longest"])
numbers, temperature, top_p = np.random.default_rng(0).random((16, longest), np.float32), 1.0, 1.0
tokens, ended = np.ones((len(numbers), 1), np.int64), np.zeros(len(numbers), bool)  # 1 is START
for place in range(longest):
    (found,) = session.run(None, {{"tokens": tokens}})
    chances = np.exp(found[:, -1] / temperature)
    rising = np.sort(chances)
    sums = rising.cumsum(1)
    least = np.take_along_axis(rising, (sums <= (1 - top_p) * sums[:, -1:]).sum(1, keepdims=True), 1)
    chances = np.where(chances < least, 0, chances).cumsum(1)  # the rarest, 1 - top_p of all at most, never come
    token = (chances <= numbers[:, place, None] * chances[:, -1:]).sum(1) * ~ended  # 0 is END
    tokens, ended = np.concatenate([tokens, token[:, None]], 1), ended | (token == 0)
texts = [b"".join(symbols[token - 3] for token in row[1:] if token).decode(errors="replace") for row in tokens]
"""

PROGRAM = """\
import torch

program = torch.export.load("{file}").module()
{given}
with torch.no_grad():
    {output} = program({names})
"""

WEIGHTS = """\
import sparring

model = sparring.load("{file}")
"""

IN_TORCH = {
    "z": "z = torch.randn(16, {z_dim})",
    "content": "content = torch.randn(16, {z_dim})",
    "motion": "motion = torch.randn(16, 20, {motion_dim})",
    "times": "times = torch.zeros(16, 1)  # seconds",
    "label": "label = torch.zeros(16, dtype=torch.int64)",
    "picture": "picture = torch.randint(256, (1, 240, 320, {channels}), dtype=torch.uint8)  # a picture",
    "mask": "mask = torch.zeros(1, 240, 320, dtype=torch.uint8)\nmask[:, 100:140, 100:180] = 255  # where to fill",
    "strength": "strength = torch.ones(1)",
    "style": "style = torch.eye({styles})[:1]",
    "tokens": "tokens = torch.ones(16, 1, dtype=torch.int64)  # START",
}


def use(player: Player, to: str, file: str, facts: Mapping[str, str]) -> str:
    """The lines for a file, in a block of Markdown, and what to know besides."""
    match to:
        case "onnx":
            return f"{block(in_onnxruntime(player, file, facts))}\n\n{besides(player, facts)}"
        case "torch":
            return f"{block(in_torch(player, file))}\n\nNothing but PyTorch is needed. {besides(player, facts)}"
        case _:
            return (
                f"{block(WEIGHTS.format(file=file))}\n\nThe file is read by `sparring.load` and by all commands that "
                "take a run; the weights alone by `safetensors.torch.load_file`. What network they belong to is JSON "
                "in the metadata, under `sparring generator 1`."
            )


def in_onnxruntime(player: Player, file: str, facts: Mapping[str, str]) -> str:
    """Python that needs onnxruntime, NumPy and Pillow."""
    names = [entry.name for entry in player.inputs]
    if names[0] == "tokens":
        return TEXTS.format(file=file)
    channels = player.axes[-1]
    squeeze = ".squeeze(-1)" if channels == 1 else ""
    if names[0] == "content":
        frames, rate, spacing = USUAL_FRAMES, float(facts["rate"]), float(facts["spacing"])
        return CLIPS.format(
            file=file,
            frames=frames,
            rate=f"{rate:g}",
            z_dim=facts["z_dim"],
            motion_dim=facts["motion_dim"],
            anchors=MORE_ANCHORS + math.ceil(frames / rate / spacing),
            label="label = np.zeros(1, np.int64)\n" if "label" in names else "",
            given=', "label": label' if "label" in names else "",
            squeeze=squeeze,
        )
    if names[0] == "z":
        label = "label = np.zeros(16, np.int64)\n" if "label" in names else ""
        given = ', "label": label' if label else ""
        z_dim = player.inputs[0].axes[1]
        return PICTURES.format(file=file, z_dim=z_dim, label=label, given=given, squeeze=squeeze)
    more = (MASK if "mask" in names else "") + (STRENGTH if "strength" in names else "")
    if "style" in names:
        styles = json.loads(facts["styles"])
        more += STYLE.format(styles=len(styles), first=" ".join(str(styles[0]).split()))
    given = "".join(f', "{name}": {name}' for name in names[1:])
    mode, grey = ("L", "[..., None]") if channels == 1 else ("RGB", "")
    return CHANGED.format(file=file, mode=mode, grey=grey, more=more, given=given, squeeze=squeeze)


def in_torch(player: Player, file: str) -> str:
    """Python that needs PyTorch alone."""
    sizes = {"z_dim": 0, "motion_dim": 0, "channels": player.axes[-1], "styles": 0}
    for entry in player.inputs:
        sizes |= {
            {"z": "z_dim", "content": "z_dim", "motion": "motion_dim", "style": "styles"}.get(
                entry.name, "other"
            ): entry.axes[-1]
        }
    given = "\n".join(IN_TORCH[entry.name].format(**sizes) for entry in player.inputs)
    names = ", ".join(entry.name for entry in player.inputs)
    return PROGRAM.format(file=file, given=given, output=player.output, names=names)


def besides(player: Player, facts: Mapping[str, str]) -> str:
    """What to know of the inputs."""
    match player.inputs[0].name:
        case "z":
            return "Truncation is `z` times a number: below 1 pictures vary less, and are not better."
        case "content":
            return (
                "The same motion with another content is another thing that moves alike. Times may lie as close "
                "together as you like, and a clip may be as long as there are anchors of its motion."
            )
        case "picture":
            return (
                "Pictures have any height and width; what is needed to bring them to the sizes of the network's grids, "
                "and to take it away again, is in the file. Large pictures need memory for all of their maps at once."
            )
        case _:
            written = " They are SELFIES: `selfies.decoder(text)` gives SMILES." if facts["task"] == "molecules" else ""
            return f"Uniform numbers say which symbols come: the same ones give the same texts.{written}"


def block(code: str) -> str:
    """Code in Markdown."""
    return f"```python\n{code.strip()}\n```"

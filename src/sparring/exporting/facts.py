"""What an exported file says of itself: facts about a generator and where it comes from, as text by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sparring.exporting.players import symbols_of
from sparring.tasks import generate, graphs, restore, sequences, translate, video
from sparring.training.files import checksum, read_json

if TYPE_CHECKING:
    from sparring.model import Model

AI_GENERATED = "What this model makes is AI-generated."


def facts(model: "Model") -> dict[str, str]:
    """What the metadata of an export holds; lists are JSON. No path is in it, and nothing depends on a seed."""
    from sparring import __version__

    found = {"task": model.blueprint.describe()["task"], "sparring": __version__, "note": AI_GENERATED}
    if model.origin is not None:
        found["weights_sha256"] = checksum(model.origin)
        found |= where_from(model.origin.parent)
    return found | about(model.blueprint)


def where_from(folder: Path) -> dict[str, str]:
    """The run and the data, by name, if the folder is that of a run."""
    path = folder / "data.json"
    if not path.is_file():
        return {}
    data: Mapping[str, str] = read_json(path)
    names = {"data": data.get("name"), "data_fingerprint": data.get("fingerprint")}
    return {"run": folder.absolute().name} | {name: str(value) for name, value in names.items() if value}


def about(
    blueprint: generate.Blueprint
    | restore.Blueprint
    | translate.Blueprint
    | sequences.Blueprint
    | graphs.Blueprint
    | video.Blueprint,
) -> dict[str, str]:
    """What a user of the file needs to know beyond the shapes of inputs and outputs."""
    match blueprint:
        case generate.Blueprint() | video.Blueprint():
            found = {"network": blueprint.network, "z_dim": str(blueprint.z_dim)}
            if isinstance(blueprint, video.Blueprint):
                names = ("motion_dim", "spacing", "rate")
                found |= {name: f"{getattr(blueprint, name):g}" for name in names}
                found |= {} if blueprint.course is None else {"course": f"{blueprint.course:g}"}
            if isinstance(blueprint, generate.Blueprint) and blueprint.discriminator_features:
                found["discriminator_features"] = json.dumps(dict(blueprint.discriminator_features))
            if blueprint.classes:
                found |= {
                    "classes": str(len(blueprint.classes)),
                    "class_names": listed(blueprint.classes),
                    "class_shares": listed(blueprint.class_shares),
                }
            return found
        case restore.Blueprint():
            return {
                "damage": blueprint.damage,
                "scale": str(blueprint.scale),
                "protocol": json.dumps(dict(blueprint.protocol)),
            }
        case translate.Blueprint():
            return {"styles": listed(blueprint.styles)} if blueprint.styles else {}
        case graphs.Blueprint():
            return {"kinds": listed(blueprint.kinds), "atoms": str(blueprint.atoms)}
        case sequences.Blueprint():
            return {
                "longest": str(blueprint.longest),
                "end": "0",
                "start": "1",
                "first_symbol": "3",
                "vocabulary": str(blueprint.vocabulary["kind"]),
                "symbols": listed([symbol.hex() for symbol in symbols_of(blueprint)]),
            }


def listed(values: object) -> str:
    """A list as JSON, letters of all scripts as they are."""
    return json.dumps(values, ensure_ascii=False)

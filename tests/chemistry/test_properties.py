import math
from pathlib import Path

import numpy as np
import pytest

from sparring.errors import SettingError

pytest.importorskip("rdkit")

from sparring.chemistry.properties import USUAL, as_read, properties, scaled
from sparring.chemistry.rewards import OwnReward, PropertyReward, reward_of

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_aspirin_is_what_the_literature_says() -> None:
    found = {name: values[0] for name, values in properties([ASPIRIN]).items()}
    assert tuple(found) == USUAL
    assert found["qed"] == pytest.approx(0.550, abs=1e-3)  # Bickerton et al. 2012 by RDKit's implementation
    assert found["logp"] == pytest.approx(1.3101, abs=1e-4)
    assert found["sa"] == pytest.approx(1.58, abs=0.01)
    assert found["weight"] == pytest.approx(180.16, abs=0.01)
    assert found["tpsa"] == pytest.approx(63.6, abs=0.01)
    assert (found["rings"], found["hba"], found["hbd"]) == (1, 3, 1)


def test_a_natural_product_is_more_like_one_than_a_drug(capfd: pytest.CaptureFixture[str]) -> None:
    menthol, sulfa = properties(["CC1CCC(C(C)C)C(O)C1", "Nc1ccc(S(=O)(=O)Nc2ncccn2)cc1"], ["np"])["np"]
    assert menthol > 1 > 0 > sulfa
    assert capfd.readouterr() == ("", "")


def test_what_is_no_molecule_has_no_properties_and_no_reward() -> None:
    found = properties(["", "C(", "CCO"], ["qed"])["qed"]
    assert np.isnan(found).tolist() == [True, True, False]
    assert scaled("qed", found).tolist() == [0, 0, found[2]]
    assert as_read("qed", math.nan) == "-"
    with pytest.raises(SettingError, match="there is no property 'mass'"):
        properties(["C"], ["mass"])


def test_rewards_are_scaled_as_in_molgan() -> None:
    assert scaled("sa", np.array([5.0, 1.5, 3.25, 9.0, 1.0])).tolist() == pytest.approx([0, 1, 0.5, 0, 1])
    assert scaled("logp", np.array([-2.12178879609, 6.0429063424, 99.0])).tolist() == pytest.approx([0, 1, 1])
    assert PropertyReward("qed")([ASPIRIN, ""]).tolist() == pytest.approx([0.550, 0], abs=1e-3)
    with pytest.raises(SettingError, match="'weight' is no reward; there are qed, logp, sa, and your own"):
        reward_of("weight")


OWN = """
from rdkit import Chem
calls = []

def carbons(smiles):
    calls.append(smiles)
    return smiles.count("C") / 10

def rings(mol: Chem.Mol) -> float:
    return min(1, mol.GetRingInfo().NumRings() / 4)

def fails(smiles):
    return 1 / (len(smiles) - 3)

def nan(smiles):
    return float("nan")

def text(smiles):
    return "good"

def large(molecule):
    return 7
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_a_function_of_the_users_gets_smiles_or_molecules_each_once(own: Path) -> None:
    reward = reward_of(f"{own}:carbons")
    assert reward.name == "mine.py:carbons"
    assert reward(["CCO", "", "CCCC", "CCO"]).tolist() == [0.2, 0, 0.4, 0.2]
    assert reward(["CCCC"]).tolist() == [0.4]
    assert reward_of(f"{own}:rings")(["c1ccccc1", "CC"]).tolist() == [0.25, 0]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails", "mine.py:fails: raises ZeroDivisionError for the molecule CCO"),
        ("nan", "gives nan for the molecule CCO; a reward is a number from 0 to 1"),
        ("large", "gives 7 for the molecule CCO"),
        ("text", "gives 'good' for the molecule CCO; expected a number"),
        ("missing", "mine.py: it has no function missing"),
    ],
)
def test_a_function_that_goes_wrong_names_the_molecule(own: Path, function: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        reward_of(f"{own}:{function}")(["CCO"])


def test_a_file_is_copied_and_known_by_its_hash(own: Path, tmp_path: Path) -> None:
    reward = OwnReward(own, "carbons")
    (tmp_path / "run").mkdir()
    kept = reward.keep(tmp_path / "run")
    copied = reward_of(kept)
    assert isinstance(copied, OwnReward) and copied.digest == reward.digest
    assert copied(["CC"]).tolist() == [0.2]
    Path(kept.rpartition(":")[0]).write_text("def carbons(smiles): return 1")
    changed = reward_of(kept)
    assert isinstance(changed, OwnReward) and changed.digest != reward.digest


def test_a_file_that_is_no_program_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:")
    with pytest.raises(SettingError, match=r"broken.py: cannot be loaded: SyntaxError"):
        reward_of(f"{broken}:f")
    with pytest.raises(SettingError, match="say which function"):
        reward_of(str(broken))
    with pytest.raises(SettingError, match="cannot be read"):
        reward_of(f"{tmp_path}/none.py:f")

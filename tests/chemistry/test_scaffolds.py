import numpy as np
import pytest

from sparring.errors import SettingError

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

import selfies
from rdkit import Chem

from sparring.chemistry.filters import passes
from sparring.chemistry.fingerprints import fingerprints
from sparring.chemistry.scaffolds import brics, keeps, murcko, prompt_of, prompts_of


def canonical(symbols: list[str]) -> str:
    return str(Chem.CanonSmiles(selfies.decoder("".join(symbols))))


@pytest.mark.parametrize("scaffold", ["c1ccccc1", "O=C1CCCN1c1ccccc1", "c1ccc2[nH]ccc2c1", "C1CNCCN1", "CC"])
def test_a_prompt_is_the_scaffold_and_what_follows_is_bound_to_it(scaffold: str) -> None:
    prompts = prompts_of(scaffold)
    assert prompt_of(scaffold) == prompts[0]
    grown = set()
    for prompt in prompts:
        assert canonical(prompt) == Chem.CanonSmiles(scaffold)
        longer = canonical([*prompt, "[C]", "[C]", "[F]"])
        assert Chem.MolFromSmiles(longer).GetNumAtoms() == Chem.MolFromSmiles(scaffold).GetNumAtoms() + 3
        assert keeps(longer, scaffold)
        grown.add(longer)
    assert len(grown) == len(prompts)


def test_there_is_a_prompt_for_every_kind_of_atom_that_can_take_another() -> None:
    assert len(prompts_of("c1ccccc1")) == 1
    assert len(prompts_of("Cc1ccccc1")) == 4  # methyl, ortho, meta, para
    assert len(prompts_of("c1ccc2[nH]ccc2c1")) == 7


def test_whatever_is_written_behind_a_prompt_mostly_keeps_the_scaffold() -> None:
    rng = np.random.default_rng(0)
    alphabet = ["[C]", "[=C]", "[N]", "[O]", "[F]", "[Ring1]", "[Branch1]", "[=Branch1]", "[S]"]
    prompt = prompt_of("c1ccc(N2CCOCC2)cc1")
    made = [canonical([*prompt, *rng.choice(alphabet, 12)]) for _ in range(100)]
    assert sum(keeps(smiles, "c1ccc(N2CCOCC2)cc1") for smiles in made) >= 90


def test_keeping_is_about_substructures() -> None:
    assert keeps("Cc1ccccc1", "c1ccccc1")
    assert not keeps("CC1CCCCC1", "c1ccccc1")
    assert not keeps("", "C")
    assert not keeps("C(", "C")
    assert keeps("CC(=O)N", "[CX3](=O)[NX3]")  # a SMARTS
    with pytest.raises(SettingError, match="neither a SMILES nor a SMARTS"):
        keeps("C", "C((")


def test_a_scaffold_that_cannot_grow_says_so() -> None:
    with pytest.raises(SettingError, match="none of its atoms has a hydrogen"):
        prompt_of("FC(F)(F)F")
    with pytest.raises(SettingError, match="not a molecule that RDKit can read"):
        prompt_of("C(")


def test_parts_are_those_of_the_definitions() -> None:
    assert murcko("CC(=O)Nc1ccc(CC2CCCCC2)cc1") == "c1ccc(CC2CCCCC2)cc1"
    assert murcko("Cc1ccccc1") == ""  # one ring
    assert sorted(brics("CCOC(=O)c1ccccc1")) == sorted(["[1*]C([6*])=O", "[16*]c1ccccc1", "[3*]O[3*]", "[4*]CC"])


def test_fingerprints_and_filters_of_known_molecules() -> None:
    bits = fingerprints(["CCO", "OCC", "c1ccccc1"])
    assert bits.shape == (3, 1024)
    assert (bits[0] == bits[1]).all()
    assert (bits[0] != bits[2]).any()
    # Ethanol; a charge; a ring of eight; silicon; a nitro group (BRENK); a rhodanine (PAINS).
    odd = ["CCO", "C[NH3+]", "C1CCCCCCC1", "C[SiH3]", "O=[N+]([O-])c1ccccc1", "O=C1NC(=S)SC1=Cc1ccccc1"]
    assert passes(odd).tolist() == [True, False, False, False, False, False]

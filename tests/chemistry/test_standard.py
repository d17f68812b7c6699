import pytest

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from sparring.chemistry.standard import UnusableError, selfies_of


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C[I](C)C", r"SELFIES cannot write it: \[IH0\] with 3 bond\(s\) - a max\. of 1 bond\(s\) was specified$"),
        ("*CC", r"^SELFIES cannot write it: \* is no atom"),
    ],
)
def test_what_selfies_cannot_write_is_said_in_whole_words(smiles: str, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        selfies_of(smiles)

"""Molecules as sequences of SELFIES symbols: every sequence of them is a molecule (Krenn et al. 2020)."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from sparring.data.vocabularies import END, UNKNOWN
from sparring.errors import DataError

KIND = "selfies"
"""What `SelfiesSymbols.describe` calls itself."""

FIRST = UNKNOWN + 1
"""The token of the first symbol."""


class SelfiesSymbols:
    """A `Vocabulary` of SELFIES symbols: texts are SMILES, tokens count symbols from 3 on.

    constraints: how many bonds each element and charge has at most, which decides what a sequence means; those of the
    installed selfies by default. They are those of the run when a generator is loaded, whatever the package's are then.

    Source: Krenn et al. 2020, arXiv 1905.13741; selfies 2: Lo et al. 2023, arXiv 2302.03620.
    """

    def __init__(self, symbols: Sequence[str], constraints: Mapping[str, int] | None = None) -> None:
        from sparring.chemistry.toolkit import needed

        self.symbols = tuple(symbols)
        usual = needed("selfies").get_preset_constraints("default")
        self.constraints: dict[str, int] = dict(usual if constraints is None else constraints)
        self.size = FIRST + len(self.symbols)
        self._tokens = {symbol: FIRST + number for number, symbol in enumerate(self.symbols)}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """What `describe` gave."""
        return cls(description["symbols"], description["constraints"])

    def describe(self) -> dict[str, Any]:
        """JSON values: kind, symbols in the order of their tokens, constraints."""
        return {"kind": KIND, "symbols": list(self.symbols), "constraints": dict(self.constraints)}

    def encode(self, text: str) -> list[int]:
        """The tokens of a SMILES, standardised first; `UNKNOWN` for symbols that are not in the vocabulary.

        Raises: DataError if it is no molecule, or one that SELFIES cannot write.
        """
        return self.tokens(self.split(text))

    def tokens(self, symbols: Sequence[str]) -> list[int]:
        """The tokens of SELFIES symbols; `UNKNOWN` for those that are not in the vocabulary."""
        return [self._tokens.get(symbol, UNKNOWN) for symbol in symbols]

    def unknown(self, text: str) -> list[str]:
        """The symbols that a SMILES needs and the vocabulary lacks, each once. Raises: as `encode`."""
        return list(dict.fromkeys(symbol for symbol in self.split(text) if symbol not in self._tokens))

    def split(self, text: str) -> list[str]:
        """The SELFIES symbols of a SMILES. Raises: as `encode`."""
        from sparring.chemistry.standard import UnusableError, constrain, selfies_of, standard
        from sparring.chemistry.toolkit import needed

        constrain(self.constraints)
        try:
            return list(needed("selfies").split_selfies(selfies_of(standard(text).smiles)))
        except UnusableError as error:
            raise DataError(f"{text!r}: {error}") from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The canonical SMILES of tokens up to the first `END`; empty where no molecule is left.

        `START` and `UNKNOWN` stand for nothing.
        """
        from sparring.chemistry.standard import canonical, constrain
        from sparring.chemistry.toolkit import needed

        kept = list[str]()
        for token in tokens:
            if token == END:
                break
            if token >= FIRST:
                kept.append(self.symbols[token - FIRST])
        constrain(self.constraints)
        return canonical(needed("selfies").decoder("".join(kept)))

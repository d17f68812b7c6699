"""Molecules that are asked to hold a scaffold: a generator goes on from it, and what does not keep it is left out."""

import torch
from torch import Tensor, nn

from sparring.data.selfies_symbols import SelfiesSymbols
from sparring.errors import SettingError
from sparring.tasks.sequences import FORWARD, Blueprint, continued

TRIES = 20
"""Molecules that are written at most for each that is wanted."""

LEAST_TRIED = 16 * FORWARD


def grown(
    generator: nn.Module,
    blueprint: Blueprint,
    n: int,
    seed: int,
    scaffold: str,
    temperature: float,
    start: int = 0,
    top_p: float = 1.0,
) -> Tensor:
    """Molecules number `start` to `start + n - 1` of a seed that hold a scaffold, int64 (n, longest) on the CPU.

    scaffold: a SMILES, of which the largest fragment counts, without isotopes. What is written begins with it, in turn
    in each of the ways that leave another kind of atom to go on from (see `chemistry.scaffolds`), FORWARD molecules at
    a time.

    Raises: SettingError if it is no molecule, needs symbols that the generator has not got, or is too long, or if too
    few of what is written keep it.
    """
    from sparring.chemistry.scaffolds import contains, pattern
    from sparring.chemistry.standard import standard
    from sparring.chemistry.toolkit import Chem

    symbols = blueprint.symbols
    assert isinstance(symbols, SelfiesSymbols), "molecules are written in SELFIES"
    beginnings = _beginnings(symbols, scaffold, blueprint.longest)
    wanted = pattern(standard(scaffold).smiles)
    kept: list[Tensor] = []
    tried = 0
    while len(kept) < start + n and tried < max(TRIES * (start + n), LEAST_TRIED):
        begun = beginnings[tried // FORWARD % len(beginnings)]
        for tokens in continued(generator, blueprint, FORWARD, seed, temperature, begun, tried, top_p):
            mol = Chem.MolFromSmiles(symbols.decode(tokens.tolist()))
            if mol is not None and contains(mol, wanted):
                kept.append(tokens)
        tried += FORWARD
    if len(kept) < start + n:
        raise SettingError(
            f"scaffold {scaffold!r}: {len(kept):,} of {tried:,} molecules that began with it keep it, and "
            f"{start + n:,} are asked for: ask for fewer, or for a part of it"
        )
    return torch.stack(kept[start : start + n])


def _beginnings(symbols: SelfiesSymbols, scaffold: str, longest: int) -> list[Tensor]:
    """The scaffold as tokens int64 (P,), in each of the ways to write it that fit. Raises: SettingError as `grown`."""
    from sparring.chemistry.scaffolds import prompts_of
    from sparring.chemistry.standard import constrain

    constrain(symbols.constraints)
    prompts = prompts_of(scaffold)
    known = [prompt for prompt in prompts if not set(prompt) - set(symbols.symbols)]
    if not known:
        strangers = sorted(set(prompts[0]) - set(symbols.symbols))
        raise SettingError(
            f"scaffold {scaffold!r}: it needs what does not occur in the training data: {' '.join(strangers)}"
        )
    found = [torch.tensor(symbols.tokens(prompt)) for prompt in known if len(prompt) < longest - 1]
    if not found:
        raise SettingError(
            f"scaffold {scaffold!r}: {min(map(len, known))} symbols, and a whole molecule has at most {longest - 1}: "
            "take a part of it"
        )
    return found

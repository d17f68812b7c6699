"""Molecules as chemists know them: RDKit does the chemistry, `selfies` the encoding.

Nothing here is imported unless molecules are at hand: both packages come with the extra `molecules`.
"""

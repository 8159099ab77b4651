"""The unified social credit code of an organisation: 18 characters, the last of which checks the others."""

# GB 32100-2015, 5.1: digits and capital letters without I, O, S, V and Z, which are mistaken for digits.
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CHARACTERS = 18
# GB 32100-2015, annex A: weights of the first 17 characters, 3 to the power of the place, modulo 31.
_WEIGHTS = [pow(3, place, 31) for place in range(CHARACTERS - 1)]


def check_character(first: str) -> str:
    """The 18th character that belongs to the `first` 17 of ALPHABET. Raises ValueError (our fault) for others."""
    if len(first) != CHARACTERS - 1:
        raise ValueError("a credit code has 17 characters before its check character")
    total = sum(weight * ALPHABET.index(one) for weight, one in zip(_WEIGHTS, first, strict=True))
    return ALPHABET[-total % 31]


def is_valid(code: str) -> bool:
    """True for 18 characters of the alphabet whose last one is right."""
    if len(code) != CHARACTERS or not set(code) <= set(ALPHABET):
        return False
    return code[-1] == check_character(code[:-1])

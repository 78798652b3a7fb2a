"""Tokens as they are handed to clients of all kinds."""

import string

from fleet.control.tokens import hash_token, new_token


def test_no_client_takes_a_token_for_an_option():
    tokens = [new_token() for _ in range(200)]
    assert all(set(token) <= set(string.hexdigits) for token in tokens)
    assert len({hash_token(token) for token in tokens}) == len(tokens)

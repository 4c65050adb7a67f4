"""Tokens: made once, kept as digests in a file for one pair of eyes, known until revoked."""

import hmac
import json

import pytest

from devicelab.errors import ConfigError
from devicelab.service.auth import RIGHTS, ROLES, Tokens


def test_a_token_is_known_by_its_digest_only(tokens):
    token = tokens.add("ann", "operator", 5.0)
    assert token not in tokens.path.read_text()
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    assert (tokens.who(token).name, tokens.who(token).role) == ("ann", "operator")
    assert tokens.who(token + "x") is None
    assert tokens.who("") is None


def test_tokens_differ_and_carry_enough_chance(tokens):
    made = {tokens.add(f"n{number}", "search", 0) for number in range(20)}
    assert len(made) == 20
    assert min(map(len, made)) >= 43


def test_a_change_of_the_file_counts_at_once(tokens):
    reader = Tokens(tokens.path)
    assert reader.grants() == ()
    token = tokens.add("ann", "search", 0)
    assert reader.who(token) is not None
    tokens.revoke("ann")
    assert reader.who(token) is None
    tokens.path.unlink()
    assert reader.grants() == ()


def test_every_entry_is_compared_however_early_one_fits(tokens, monkeypatch):
    made = [tokens.add(f"n{number}", "search", 0) for number in range(5)]
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or a == b)
    assert tokens.who(made[0]).name == "n0"
    assert len(compared) == 5


@pytest.mark.parametrize("name", ["", "a b", "../x", "a;b", "$(id)", "x" * 65, "-a", "a\n"])
def test_names_are_checked(tokens, name):
    with pytest.raises(ConfigError, match="letters, digits"):
        tokens.add(name, "search", 0)


def test_names_the_way_out(tokens):
    tokens.add("ann", "search", 0)
    with pytest.raises(ConfigError, match="revoke it first"):
        tokens.add("ann", "operator", 0)
    with pytest.raises(ConfigError, match=r"'bob' has no token .* known: ann"):
        tokens.revoke("bob")
    tokens.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Tokens(tokens.path).grants()


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', json.dumps([{"name": "a"}])])
def test_a_damaged_file_is_named(tokens, content):
    tokens.path.write_text(content)
    tokens.path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no file of tokens"):
        tokens.grants()


def test_roles_grow():
    assert RIGHTS["read-only"] < RIGHTS["search"] < RIGHTS["operator"]
    assert "operate" not in RIGHTS["agent"]
    assert set(RIGHTS) == set(ROLES)

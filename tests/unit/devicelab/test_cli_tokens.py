"""fer-lab token: shown once, listed without its digest, revoked."""

import json

import pytest
from click.testing import CliRunner

from devicelab.cli import cli
from devicelab.service.auth import Tokens


@pytest.fixture
def fer_lab(tmp_path):
    def run(*arguments, code=0):
        result = CliRunner().invoke(cli, arguments, env={"FER_LAB_TOKENS": str(tmp_path / "tokens.json")})
        assert result.exit_code == code, result.output
        return result

    return run


def test_adds_lists_and_revokes(fer_lab, tmp_path):
    token = fer_lab("token", "add", "ann", "--role", "operator").stdout.strip()
    assert Tokens(tmp_path / "tokens.json").who(token).role == "operator"
    rows = json.loads(fer_lab("token", "list", "--json").stdout)
    assert [set(row) for row in rows] == [{"name", "role", "created_at"}]
    assert "operator" in fer_lab("token", "list").stdout
    fer_lab("token", "revoke", "ann")
    assert "nobody has a token yet" in fer_lab("token", "list", code=3).stderr


def test_bad_input_is_one_line(fer_lab):
    assert "letters, digits" in fer_lab("token", "add", "a/b", code=2).stderr
    assert "'bob' has no token" in fer_lab("token", "revoke", "bob", code=2).stderr
    fer_lab("token", "add", "ann", "--role", "king", code=2)

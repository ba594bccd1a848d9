"""Access: keys, rates, origins, TLS."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from commentwise.serving.http.access import RateLimit, find_key, parse_keys
from tests.serving.process import Server, started
from tests.waiting import until

EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"


def entry(name: str, key: str) -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys").write_text(f"{entry('boss', 'admin-key')}:admin\n")
    flags = ["--api-keys", f"{entry('ann', 'key-a')} {entry('bob', 'key-b')}", "--api-keys-file", str(folder / "keys")]
    with started(folder, "--model", str(tiny_bundle), *flags, "--cors-origins", EXTENSION) as server:
        yield server


def ask(server: Server, key: str | None, path: str = "/analyze", scheme: str = "Bearer") -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"{scheme} {key}"}
    body = {} if path.startswith("/admin") else {"text": "good"}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, trust_env=False)


def test_only_the_keys_give_access(server: Server) -> None:
    assert [ask(server, key).status_code for key in ("key-a", "key-b", "admin-key")] == [200] * 3
    assert ask(server, "key-a", scheme="bearer").status_code == 200
    for key in (None, "key", "key-a key-a", "key-c"):
        response = ask(server, key)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["error_type"] == "Unauthorized"
    assert ask(server, "key-a", scheme="Basic").status_code == 401


def test_only_health_checks_and_pages_are_open(server: Server) -> None:
    def status(path: str) -> int:
        return httpx.get(f"{server.url}{path}", trust_env=False).status_code

    assert [status(path) for path in ("/health", "/health/live", "/ping", "/v2/health/live", "/v2/health/ready")] == [
        200
    ] * 5
    assert [status(path) for path in ("/", "/docs", "/playground/style.css")] == [200] * 3
    assert [status(path) for path in ("/metrics", "/info", "/openapi.json", "/v2", "/nowhere", "/playground/")] == [
        401
    ] * 6
    assert ask(server, None, "/").status_code == 401  # a prediction, at the address of a page


def test_only_an_admin_s_key_reloads(server: Server) -> None:
    assert ask(server, "key-a", "/admin/reload").status_code == 403
    assert ask(server, None, "/admin/reload").status_code == 401
    assert ask(server, "admin-key", "/admin/reload").json()["swapped"] is False


def test_log_names_the_owner_and_never_the_key(server: Server) -> None:
    ask(server, "key-b")
    ask(server, "key-unknown")
    until(lambda: '"caller": "bob"' in server.log.read_text())  # the line comes after the answer
    log = server.log.read_text()
    assert "key-" not in log


def test_only_the_listed_origin_is_allowed(server: Server) -> None:
    def preflight(origin: str) -> httpx.Response:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        return httpx.options(f"{server.url}/analyze", headers=headers, trust_env=False)

    allowed = preflight(EXTENSION)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, EXTENSION)
    assert "access-control-allow-credentials" not in allowed.headers
    refused = preflight("https://example.org")
    assert (refused.status_code, refused.headers.get("access-control-allow-origin")) == (400, None)
    headers = {"Origin": EXTENSION, "Authorization": "Bearer key-a"}
    answer = httpx.post(f"{server.url}/analyze", json={"text": "good"}, headers=headers, trust_env=False)
    assert answer.headers["access-control-allow-origin"] == EXTENSION


def test_rate_limit_per_key(tiny_bundle: Path, tmp_path: Path) -> None:
    flags = ["--api-keys", f"{entry('ann', 'key-a')} {entry('bob', 'key-b')}", "--rate-limit", "0.01", "--open-metrics"]
    with started(tmp_path, "--model", str(tiny_bundle), *flags) as server:
        assert ask(server, "key-a").status_code == 200
        refused = ask(server, "key-a")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 50) == (429, True)
        assert ask(server, "key-b").status_code == 200
        assert httpx.get(f"{server.url}/metrics", trust_env=False).status_code == 200


def test_other_machines_without_keys_with_allow_anonymous(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--host", "0.0.0.0", "--allow-anonymous") as server:
        assert ask(server, None).status_code == 200


def test_tls(tiny_bundle: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(hours=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    flags = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with started(tmp_path, "--model", str(tiny_bundle), *flags) as server:
        assert "at https://127.0.0.1" in server.first_line
        url = f"https://localhost:{server.port}/analyze"
        command = ["curl", "--silent", "--cacert", str(tmp_path / "cert.pem"), "--json", '{"text": "good"}', url]
        assert '"positive"' in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_entry_that_the_command_prints_accepts_its_key() -> None:
    command = [sys.executable, "-m", "commentwise.serving.http.access", "ann@example.org", "--admin"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    key, made = (line.rpartition(": ")[2] for line in lines)
    assert key not in made
    found = find_key(parse_keys([made]), f"Bearer {key}".encode())
    assert found is not None
    assert (found.name, found.admin) == ("ann@example.org", True)


def test_rate_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("commentwise.serving.http.access.time.monotonic", lambda: now)
    limit = RateLimit(2)
    assert [limit.wait("ann") for _ in range(2)] == [0, 0]
    assert limit.wait("ann") == pytest.approx(0.5)
    assert limit.wait("bob") == 0
    now = 0.5
    assert limit.wait("ann") == 0
    assert limit.wait("ann") > 0
    now = 100
    assert [limit.wait("ann") > 0 for _ in range(3)] == [False, False, True]  # at most one second's worth

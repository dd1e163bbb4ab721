"""reliability.md section 4, "TLS", and section 8, "TLS server defaults", "TLS client defaults"."""

import datetime
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from proxy import FULL, ROOT, Proxy, until
from test_24_hostile_requests import Counted
from upstream import Upstream
from wire import Client

SERVER = pytest.mark.row("4: TLS", "8: TLS server defaults")
CLIENT = pytest.mark.row("8: TLS client defaults", lacks="x509-limbo")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
GET = b"GET /health HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n"
RECORD, HANDSHAKE, HELLO = 0x16, b"\x16\x03\x01", 1


def rsa_pair(folder):
    """With an RSA key every old way of key exchange would be possible."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
    (folder / "rsa.crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "rsa.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "rsa.crt", folder / "rsa.key"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Four workers behind one port."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = rsa_pair(folder)
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", WORKERS=4, TLS_CERT_FILE=cert,
               TLS_KEY_FILE=key, ADMIN_LISTEN=f"unix:{folder}/admin", CLIENT_HEADER_TIMEOUT=5) as p:
        yield p, up
    up.close()


def context(version=None, ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0", alpn=None):
    """A client that takes everything."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.set_ciphers(ciphers)
    c.options &= ~(ssl.OP_NO_COMPRESSION | ssl.OP_NO_SSLv3 | ssl.OP_NO_RENEGOTIATION)
    c.minimum_version = version or ssl.TLSVersion.MINIMUM_SUPPORTED
    if version:
        c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


def connect(p, c, name="localhost", session=None):
    sock = socket.create_connection(("127.0.0.1", p.claude_port), timeout=20)
    try:
        return c.wrap_socket(sock, server_hostname=name, session=session)
    except BaseException:
        sock.close()
        raise


def get(sock, host=b"localhost"):
    sock.sendall(GET % host)
    got = b""
    while data := sock.recv(65536):
        got += data
    return got.split(b"\r\n")[0]


# --- what the server takes ---

@SERVER
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_old_versions(server, version):
    p, _ = server
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):  # the server's alert
        connect(p, context(ssl.TLSVersion[version]))


@SERVER
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_versions(server, version):
    p, _ = server
    with connect(p, context(ssl.TLSVersion[version])) as s:
        assert s.version() == version.replace("_", ".")
        assert s.compression() is None
        assert get(s) == b"HTTP/1.1 200 OK"


@SERVER
def test_ciphers(server):
    """Each cipher that this OpenSSL knows, one by one: AEAD with ephemeral keys, and nothing else."""
    p, _ = server
    known = [c["name"] for c in context().get_ciphers() if c["protocol"] != "TLSv1.3"]
    taken, refused = [], []
    for name in known:
        try:
            with connect(p, context(ssl.TLSVersion.TLSv1_2, name + ":@SECLEVEL=0")) as s:
                taken.append(s.cipher()[0])
        except ssl.SSLError as e:
            if "NO_CIPHERS_AVAILABLE" in str(e):
                continue  # not without a password or a key that both sides know
            assert "HANDSHAKE_FAILURE" in str(e).upper()
            refused.append(name)
    assert {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"} < set(refused)
    assert sorted(taken) == ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
                             "ECDHE-RSA-CHACHA20-POLY1305"]


def s_client(p, *args, send=""):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{p.claude_port}", *args],
                          input=send, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@SERVER
@needs_openssl
@pytest.mark.parametrize("groups, key", [("", "X25519, 253"), ("P-384:X25519:P-256", "X25519, 253"),
                                         ("P-256", "ECDH, prime256v1"), ("P-521", None), ("ffdhe2048", None)])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_groups(server, version, groups, key):
    """X25519 first, whatever the client likes most; P-256 for those who have nothing else."""
    p, _ = server
    said = s_client(p, version, *(["-groups", groups] if groups else []))
    if key:
        assert f" Temp Key: {key}" in said
    else:
        assert " Temp Key" not in said and "handshake failure" in said


def talk(p, version, mark, send):
    """s_client until it says mark, then with this input to its end."""
    child = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{p.claude_port}", version],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    while mark not in said:
        data = os.read(child.stdout.fileno(), 65536)
        assert data, said
        said += data
    return said + child.communicate(send, timeout=30)[0]


@SERVER
@needs_openssl
def test_renegotiation(server):
    """The client asks for it: refused by an alert."""
    said = talk(server[0], "-tls1_2", b"Verify return code", b"R\n")
    assert b"RENEGOTIATING" in said and b"no renegotiation" in said


@SERVER
@needs_openssl
def test_no_early_data(server):
    """Tickets say that 0 bytes of early data are taken."""
    assert b"Max Early Data: 0" in talk(server[0], "-tls1_3", b"Max Early Data", b"Q\n")


@SERVER
@pytest.mark.parametrize("offered, chosen", [
    (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"),
    (["spdy/3", "http/1.1"], "http/1.1"), (None, None), (["http/1.0"], ""), (["h3", "ftp"], "")])
def test_alpn(server, offered, chosen):
    """ALPN decides; no overlap is an alert."""
    p, _ = server
    if chosen == "":
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            connect(p, context(alpn=offered))
        return
    with connect(p, context(alpn=offered)) as s:
        assert s.selected_alpn_protocol() == chosen
        if chosen != "h2":
            assert get(s) == b"HTTP/1.1 200 OK"


@SERVER
@pytest.mark.parametrize("sni", ["localhost", "elsewhere.test", None])
def test_names_do_not_matter(server, sni):
    """SNI unlike Host: neither is read for routing or authorization."""
    p, _ = server
    with connect(p, context(), sni) as s:
        assert get(s, b"another.test") == b"HTTP/1.1 200 OK"


# --- what breaks the protocol ---

def closed(sock, data):
    """Sends until the other side has closed; how many bytes it took."""
    sock.settimeout(20)
    sent = 0
    try:
        for piece in data:
            sock.sendall(piece)
            sent += len(piece)
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return sent


def huge_hello():
    yield HANDSHAKE + (16384).to_bytes(2, "big") + bytes([HELLO]) + b"\xff\xff\xff" + b"\x03\x03" + b"a" * 16378
    for _ in range(1000):
        yield HANDSHAKE + (16384).to_bytes(2, "big") + b"a" * 16384


BROKEN = {
    "huge ClientHello": huge_hello,
    "ClientHello in one-byte records": lambda: [HANDSHAKE + b"\x00\x01\x01"] + [HANDSHAKE + b"\x00\x01\xff"] * 20000,
    "record over its limit": lambda: [HANDSHAKE + b"\xff\xff" + b"a" * 65535],
    "empty records": lambda: [HANDSHAKE + b"\x00\x00"] * 20000,
    "unknown record": lambda: [b"\x63\x03\x01\x00\x05hello"],
    "alert": lambda: [b"\x15\x03\x01\x00\x02\x02\x28"],
    "application data": lambda: [b"\x17\x03\x03\x00\x05hello"],
    "SSL 2": lambda: [b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"a" * 37],
}


@SERVER
@pytest.mark.parametrize("name", BROKEN)
def test_broken_handshakes(server, name):
    """Closed soon, counted once, with little taken in; others do not notice."""
    p, up = server
    before = p.worker_kib()
    with Counted(p) as counted, socket.create_connection(("127.0.0.1", p.claude_port)) as sock:
        assert closed(sock, BROKEN[name]()) < 8 << 20
        assert until(lambda: counted.now() == {"tls": 1})
    assert p.worker_kib() - before < 2048
    with connect(p, context()) as s:
        assert get(s) == b"HTTP/1.1 200 OK"
    assert not up.requests


@SERVER
@pytest.mark.parametrize("record", [
    b"\x17\x03\x03\x00\x20" + b"\xa5" * 32, b"\x17\x03\x03\xff\xff" + b"\xa5" * 65535,
    b"\x16\x03\x03\x00\x04\x01\x00\x00\x00", b"\x14\x03\x03\x00\x01\x02", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["bad tag", "too long", "clear handshake", "change cipher spec", "clear text"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_bad_records_after_the_handshake(server, version, record):
    """The connection ends; nothing of the request before it reaches the upstream."""
    p, up = server
    with socket.create_connection(("127.0.0.1", p.claude_port), timeout=20) as sock:
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(ssl.TLSVersion[version]).wrap_bio(inward, outward, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outward.read())
                inward.write(sock.recv(65536))
        tls.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: 27\r\n\r\n{")
        sock.sendall(outward.read())
        closed(sock, [record])
    assert not up.requests


# --- tickets ---

@pytest.fixture
def within_an_hour():
    """Ticket keys change at the full hour, too."""
    left = 3600 - time.time() % 3600
    if left < 15:
        time.sleep(left + 1)


@SERVER
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_any_worker_resumes(server, within_an_hour, version):
    """Tickets of one worker are good at the others; a reload makes new keys, and old tickets cost a whole handshake, no more."""
    p, _ = server
    c = context(ssl.TLSVersion[version])

    def session_of():
        with connect(p, c) as s:
            assert get(s) == b"HTTP/1.1 200 OK"
            return s.session
    kept = session_of()
    for _ in range(24):  # all four, but for one case in 1,000
        with connect(p, c, session=kept) as s:
            assert s.session_reused
            assert get(s) == b"HTTP/1.1 200 OK"
    since = len(p.lines)
    p.kill(signal.SIGHUP)
    p.wait_reload(since)
    with connect(p, c, session=kept) as s:
        assert not s.session_reused
        assert get(s) == b"HTTP/1.1 200 OK"
    kept = session_of()
    for _ in range(8):
        with connect(p, c, session=kept) as s:
            assert s.session_reused


@SERVER
def test_a_secret_of_ones_own(tmp_path, within_an_hour):
    """TLS_TICKET_SECRET: two machines resume each other's sessions; with another secret they do not."""
    cert, key = rsa_pair(tmp_path)
    up = Upstream()
    settings = {"ANTHROPIC_BASE_URL": up.url, "SERVICES": "claude", "TLS_CERT_FILE": cert, "TLS_KEY_FILE": key}
    c = context(ssl.TLSVersion.TLSv1_2)
    with (Proxy(TLS_TICKET_SECRET="one", **settings) as one, Proxy(TLS_TICKET_SECRET="one", **settings) as two,
          Proxy(TLS_TICKET_SECRET="two", **settings) as other):
        with connect(one, c) as s:
            kept = s.session
        with connect(two, c, session=kept) as s:
            assert s.session_reused
        with connect(other, c, session=kept) as s:
            assert not s.session_reused
    up.close()


# --- the client's side ---

def hello_of(listener):
    """The ciphers and the versions that a ClientHello offers."""
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(20)
        data = b""
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
            data += sock.recv(65536)
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    n = int.from_bytes(data[at:at + 2], "big")
    ciphers = [int.from_bytes(data[i:i + 2], "big") for i in range(at + 2, at + 2 + n, 2)]
    at += 2 + n
    compressions = data[at + 1:at + 1 + data[at]]
    at += 1 + data[at] + 2
    extensions = {}
    while at < len(data):
        kind, n = int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 2:at + 4], "big")
        extensions[kind] = data[at + 4:at + 4 + n]
        at += 4 + n
    return ciphers, compressions, extensions


@CLIENT
def test_what_upstreams_are_offered():
    """TLS 1.2 and 1.3, AEAD with ephemeral keys, X25519 first, no compression, SNI."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        with Proxy(ANTHROPIC_BASE_URL=f"https://localhost:{listener.getsockname()[1]}",
                   SERVICES="claude") as p, Client(p.claude_port) as c:
            c.send_request("POST", "/v1/messages", {"x-api-key": "k"}, json={"model": "m", "messages": []})
            ciphers, compressions, extensions = hello_of(listener)
            assert c.head().status == 502
    reneg = 0x00FF
    aead = {0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9}
    assert set(ciphers) - {reneg} <= aead and set(ciphers) & {0x1301, 0x1302, 0x1303}
    assert compressions == b"\0"
    versions = extensions[43][1:]
    assert versions == b"\x03\x04\x03\x03"
    assert extensions[10][2:4] in (b"\x00\x1d", b"\x11\xec")  # or with ML-KEM, from OpenSSL 3.5 on
    assert b"localhost" in extensions[0]


@CLIENT
def test_verification_cannot_be_switched_off():
    """No setting, option or member of CONFIG_FILE does; the program has one call that sets the mode."""
    names = " ".join((ROOT / f).read_text() for f in
                     ("src/base/config.def", "src/options.def", "src/proxy/upstreams_file.c"))
    assert not re.search(r"(?i)insecure|verify|skip.?tls|no.?check", names)
    sources = "".join(f.read_text() for f in (ROOT / "src").rglob("*.c"))
    assert re.findall(r"SSL_CTX_set_verify\(([^)]*)\)", sources) == ["ctx, SSL_VERIFY_PEER, NULL"]
    assert "SSL_set_verify(" not in sources


# --- testssl.sh ---

# What it says of the test's own certificate, and of the name that the worker answers to.
OF_THE_TEST = {"cert_trust", "cert_chain_of_trust", "cert_expirationStatus", "cert_revocation",
               "DNS_CAArecord", "OCSP_stapling", "cert_ocspRevoked", "cert_subjectAltName",
               "cert_notAfter", "overall_grade"}


@SERVER
@pytest.mark.timeout(900)
@pytest.mark.skipif(not FULL, reason="CC_PROXY_FULL=1: a minute")
@pytest.mark.skipif(not shutil.which("testssl"), reason="needs testssl (Debian: testssl.sh)")
def test_testssl_finds_nothing_above_low(server, tmp_path):
    p, _ = server
    report = tmp_path / "testssl.json"
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
                    "--nodns", "none", "--jsonfile", report, f"localhost:{p.claude_port}"],
                   stdout=subprocess.DEVNULL, timeout=600, check=False)
    found = json.loads(report.read_text())
    said = {f["id"]: f["finding"] for f in found}
    assert said["TLS1_2"] == "offered" and said["TLS1_3"].startswith("offered"), said
    assert "heartbleed" in said and "ROBOT" in said  # it came to its end
    above = [f for f in found if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
             and f["id"].split(" ")[0] not in OF_THE_TEST]
    assert not above, above

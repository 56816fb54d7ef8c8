"""The server that clients are tried against: one process with a listener for each way in.

It is started twice: in development mode, which makes a project and a key, and then as configured,
since a listener that takes certificates has to name the project whose keys they stand for.
"""
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import authority
from place import TARGET

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
TOKEN_SECONDS = 6 * 3600
# What programs of clients are told: of this nothing may come from the environment we run in.
TOLD = {
    "BOOTSTRAP", "SECURITY_PROTOCOL", "MECHANISM", "USERNAME", "PASSWORD", "TOKEN", "TOKEN_FILE",
    "CA", "CERTIFICATE", "KEY", "KEY_AND_CERTIFICATE", "GROUP_PROTOCOL", "ISOLATION",
    "KEYTAB", "PRINCIPAL", "SERVICE", "KRB5_CONFIG", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME",
    "KRB5CCNAME",
}
# A member that is killed is given up after so long, where the server says and not the client.
SESSION_MS = 10_000


@dataclass
class Way:
    """A way in, as a client is told of it."""

    protocol: str
    mechanism: str


PLAIN = Way("SASL_PLAINTEXT", "PLAIN")
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
WAYS = {
    f"{protocol} {mechanism}": Way(protocol, mechanism)
    for protocol in ["SASL_PLAINTEXT", "SASL_SSL"]
    for mechanism in MECHANISMS
} | {"SSL, client certificate": Way("SSL", "")}
# Those of a server that was built with Kerberos.
KERBEROS_WAYS = {f"{protocol} GSSAPI": Way(protocol, "GSSAPI")
                 for protocol in ["SASL_PLAINTEXT", "SASL_SSL"]}


def free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{it.getsockname()[1]}" for it in sockets]
    for it in sockets:
        it.close()
    return addresses


class Process:
    """A server that runs, and what it logs."""

    def __init__(self, command, log, **environment):
        self.log = log
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=os.environ | environment
            )

    def wait_until(self, is_there):
        end = time.monotonic() + START_SECONDS_MAX
        while not is_there():
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()
                raise SystemExit(f"the server did not start: see {self.log}")
            time.sleep(0.1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS_MAX)


def answers(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def development(binary, data):
    """What a first start in development mode made: the credentials, and a key that signs tokens."""
    http, admin, kafka = free_addresses(3)
    server = Process(
        [binary, "dev", "--data", str(data), "--listen", http, "--admin-listen", admin,
         "--kafka-listen", kafka],
        TARGET / "server-first.log",
    )
    written = data / "dev-credentials.json"
    # It is written when the ports are bound.
    server.wait_until(written.exists)
    server.wait_until(lambda: answers(admin))
    try:
        credentials = json.loads(written.read_text())
        return credentials, signing_key(credentials)
    finally:
        server.stop()


def signing_key(credentials):
    path = f"/v1/tenants/{credentials['tenant']}/projects/{credentials['project']}/signing-keys"
    request = urllib.request.Request(
        credentials["admin_url"] + path,
        json.dumps({"name": "interop", "algorithm": "HS256"}).encode(),
        {"authorization": f"Bearer {credentials['admin_token']}",
         "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def token(key):
    """A JSON Web Token (RFC 7519) as a tenant's own backend makes it."""
    now = int(time.time())
    claims = {
        "sub": "interop", "aud": "mainstem", "iat": now, "exp": now + TOKEN_SECONDS,
        "scopes": ["events:publish", "events:subscribe", "admin:write"],
    }
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    head = {"alg": "HS256", "typ": "JWT", "kid": key["kid"]}
    text = ".".join(part(json.dumps(it).encode()) for it in (head, claims))
    secret = base64.b64decode(key["secret_base64"])
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


class Server:
    """The server as configured, and what clients have to be told for each way in."""

    def __init__(self, binary, name="server", more=None, kafka=None, listener=None, realm=None):
        """`name` is that of its folder; the others are configured besides."""
        self.realm = realm
        data = TARGET / name
        self.scratch = TARGET / f"{name}-scratch"
        for folder in (data, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        self.scratch.mkdir()
        credentials, key = development(binary, data)
        known = credentials["kafka"]
        self.key_id = known["username"]
        self.files = authority.make(TARGET / "certificates", known["username"])
        http, *listeners = free_addresses(4)
        self.addresses = dict(zip(["SASL_PLAINTEXT", "SASL_SSL", "SSL"], listeners))
        self.user = {"USERNAME": known["username"], "PASSWORD": known["password"]}
        self.token = token(key)
        (TARGET / "token").write_text(self.token)
        settings = self.config(data, http, credentials["project"]) | (more or {})
        settings["protocols"]["kafka"] |= kafka or {}
        for one in settings["protocols"]["kafka"]["listeners"]:
            one |= listener or {}
        config = TARGET / f"{name}.json"
        config.write_text(json.dumps(settings, indent=2))
        environment = realm.of_server() if realm else {}
        self.process = Process([binary, "serve", "--config", str(config)], TARGET / f"{name}.log",
                               **environment)
        self.process.wait_until(lambda: all(answers(it) for it in listeners))

    def config(self, data, http, project):
        tickets = self.tickets(project) if self.realm else {}
        certificates = {"ca": str(self.files.client_ca), "required": True, "projects": [project]}
        return {
            "data_dir": str(data),
            "edge": {
                "listen": http,
                "admin_listen": None,
                "tls": {"files": {"certificate": str(self.files.server),
                                  "key": str(self.files.server_key)}},
            },
            "protocols": {"kafka": {
                "consumer_session_ms": SESSION_MS,
                "consumer_heartbeat_ms": 1000,
                "listeners": [
                    {"listen": self.addresses["SASL_PLAINTEXT"]} | tickets,
                    {"listen": self.addresses["SASL_SSL"], "tls": True} | tickets,
                    {"listen": self.addresses["SSL"], "tls": True,
                     "client_certificates": certificates},
                ],
            }},
        }

    def tickets(self, project):
        """Settings of a listener that takes tickets besides; two principals stand for the key."""
        known = [it.replace(".", "\\.") for it in (self.realm.client, self.realm.brief)]
        rules = [f"RULE:[1:$1@$0]({it})s/.*/{self.key_id}/" for it in known]
        return {"mechanisms": [*MECHANISMS, "GSSAPI"],
                "kerberos": {"projects": [project], "principals": rules}}

    def environment(self, way):
        """What a client's program is told: it takes what this way in asks for."""
        told = {name: value for name, value in os.environ.items() if name not in TOLD} | {
            "BOOTSTRAP": self.addresses[way.protocol],
            "SECURITY_PROTOCOL": way.protocol,
            "MECHANISM": way.mechanism,
            "TMPDIR": str(self.scratch),
        }
        if way.mechanism == "OAUTHBEARER":
            told |= {"TOKEN": self.token, "TOKEN_FILE": str(TARGET / "token")}
        elif way.mechanism == "GSSAPI":
            told |= self.realm.of_client()
        elif way.mechanism:
            told |= self.user
        if "SSL" in way.protocol.split("_"):
            told["CA"] = str(self.files.server_ca)
        if way.protocol == "SSL":
            told |= {"CERTIFICATE": str(self.files.client), "KEY": str(self.files.client_key),
                     "KEY_AND_CERTIFICATE": str(self.files.client_both)}
        return told

    def strangers(self):
        """Who must not get in, or must not go on: the way, and what of it is wrong."""
        files, wrong = self.files, {"PASSWORD": self.user["PASSWORD"][:-1] + "_"}
        return {
            "wrong secret": ("SASL_SSL PLAIN", wrong),
            "wrong proof": ("SASL_PLAINTEXT SCRAM-SHA-512", wrong),
            "foreign certificate": ("SSL, client certificate", {
                "CERTIFICATE": str(files.stranger), "KEY": str(files.stranger_key),
                "KEY_AND_CERTIFICATE": str(files.stranger_both)}),
            "unknown server": ("SASL_SSL SCRAM-SHA-256", {"CA": str(files.client_ca)}),
        }

    def strangers_with_tickets(self):
        """As above: a ticket that does not count, or none."""
        realm, way = self.realm, "SASL_PLAINTEXT GSSAPI"
        return {
            "ticket of another service": (way, realm.of_client(service="other")),
            "principal without a key": (way, realm.of_client(realm.files.unnamed, realm.unnamed)),
            "no ticket": (way, realm.of_client(realm.folder / "none.keytab")),
        }

    def stop(self):
        self.process.stop()

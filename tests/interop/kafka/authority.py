"""Certificates for a day, by `openssl`: one authority for the server, another for clients."""
import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "1"
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass
class Files:
    server_ca: Path
    server: Path
    server_key: Path
    client_ca: Path
    client: Path
    client_key: Path
    # Java reads the key and its certificate from one file.
    client_both: Path
    # The same subject, signed by nobody who may.
    stranger: Path
    stranger_key: Path
    stranger_both: Path


def openssl(*arguments):
    told = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if told.returncode != 0:
        raise SystemExit(f"openssl {arguments[0]}: {told.stderr.strip()}")


def authority(folder, name):
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    openssl("req", "-x509", *CURVE, "-days", DAYS, "-subj", f"/CN={name}",
            "-keyout", key, "-out", certificate)
    return certificate, key


def signed(folder, name, subject, signer, *extensions):
    certificate, key, request = (folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
    added = [word for it in extensions for word in ("-addext", it)]
    openssl("req", *CURVE, "-subj", f"/CN={subject}", *added, "-keyout", key, "-out", request)
    ca, ca_key = signer
    openssl("x509", "-req", "-in", request, "-days", DAYS, "-copy_extensions", "copy",
            "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate)
    return certificate, key


def make(folder, key_id):
    """A server's certificate for this machine, and a client's that stands for the key."""
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = authority(folder, "servers-ca"), authority(folder, "clients-ca")
    server = signed(folder, "server", "localhost", ours,
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "extendedKeyUsage=serverAuth")
    client = pair(folder, "client", key_id, theirs)
    stranger = pair(folder, "stranger", key_id, ours)
    return Files(ours[0], *server, theirs[0], *client, *stranger)


def pair(folder, name, key_id, signer):
    """A client's certificate, its key, and both in one."""
    certificate, key = signed(folder, name, key_id, signer, "extendedKeyUsage=clientAuth")
    both = folder / f"{name}-both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, key, both

"""A realm of Kerberos on this machine for the time of a run: MIT's own KDC, with keytabs."""
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

NAME = "INTEROP.TEST"
START_SECONDS_MAX = 30
# How long a short ticket counts, and how far clocks may be apart.
BRIEF_SECONDS = 15
SKEW_SECONDS = 5
# Under which a client asks for the server: as it was told of it, or by the name of that address.
HOSTS = ["127.0.0.1", "localhost"]
PROGRAMS = ["kdb5_util", "kadmin.local", "krb5kdc", "kinit"]
# Where Debian has those for administrators, whoever runs this.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

CLIENT_CONFIG = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
clockskew = {skew}
[realms]
{realm} = {{
    kdc = {address}
}}
"""
KDC_CONFIG = """[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = {address}
[realms]
{realm} = {{
    database_name = {folder}/principals
    key_stash_file = {folder}/stash
    acl_file = {folder}/none
}}
[logging]
kdc = FILE:{folder}/kdc.log
"""


@dataclass
class Files:
    """Keytabs: the server's, and those of clients."""

    server: Path
    client: Path
    # Has a ticket for this server, and no rule makes a key of it.
    unnamed: Path
    # Gets tickets that end soon.
    brief: Path


def is_here():
    return all(shutil.which(it, path=PATH) for it in PROGRAMS)


class Realm:
    """`orders` and `brief` stand for the key, `unnamed` for nobody; `other` is a service that is
    not ours."""

    client = f"orders@{NAME}"
    brief = f"brief@{NAME}"
    unnamed = f"unnamed@{NAME}"

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.config = folder, folder / "krb5.conf"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        told = {"realm": NAME, "address": self.address, "folder": folder, "skew": SKEW_SECONDS}
        self.config.write_text(CLIENT_CONFIG.format(**told))
        (folder / "kdc.conf").write_text(KDC_CONFIG.format(**told))
        self.environment = {"KRB5_CONFIG": str(self.config), "PATH": PATH}
        self.run("kdb5_util", "create", "-s", "-r", NAME, "-P", os.urandom(16).hex())
        names = ("server", "client", "unnamed", "brief")
        self.files = Files(*(folder / f"{it}.keytab" for it in names))
        for host in HOSTS:
            self.principal(f"kafka/{host}", self.files.server)
            self.principal(f"other/{host}", folder / "other.keytab")
        self.principal("orders", self.files.client)
        self.principal("unnamed", self.files.unnamed)
        self.principal("brief", self.files.brief, "-maxlife", f'"{BRIEF_SECONDS} seconds"')
        self.kdc = self.start()

    def told(self):
        profile = {"KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}
        return os.environ | self.environment | profile

    def run(self, *command):
        told = subprocess.run(command, env=self.told(), capture_output=True, text=True)
        if told.returncode != 0:
            raise SystemExit(f"{command[0]}: {told.stderr.strip()}")

    def principal(self, name, keytab, *how):
        made = " ".join(["addprinc", "-randkey", *how, name])
        self.run("kadmin.local", "-r", NAME, "-q", made)
        self.run("kadmin.local", "-r", NAME, "-q", f"ktadd -k {keytab} {name}")
        if not keytab.exists():
            raise SystemExit(f"kadmin.local made no key of {name}")

    def start(self):
        with open(self.folder / "krb5kdc.log", "w") as output:
            kdc = subprocess.Popen(["krb5kdc", "-n", "-r", NAME], env=self.told(),
                                   stdout=output, stderr=output)
        host, port = self.address.split(":")
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return kdc
            except OSError:
                if time.monotonic() > end or kdc.poll() is not None:
                    kdc.kill()
                    raise SystemExit(f"the KDC did not start: see {self.folder}")
                time.sleep(0.1)

    def of_server(self):
        """What the server's environment says."""
        return {"KRB5_CONFIG": str(self.config), "KRB5_KTNAME": str(self.files.server),
                "KRB5RCACHEDIR": str(self.folder)}

    def of_client(self, keytab=None, principal=None, service="kafka"):
        """What a client's program is told; MIT's own library takes its tickets by the keytab."""
        keytab = str(keytab or self.files.client)
        return {"KRB5_CONFIG": str(self.config), "KEYTAB": keytab, "SERVICE": service,
                "PRINCIPAL": principal or self.client, "KRB5_CLIENT_KTNAME": keytab,
                "KRB5CCNAME": f"FILE:{self.folder}/{Path(keytab).stem}-{service}.cache"}

    def of_others(self):
        """What a client is told that tries tickets of others, too."""
        return {"UNNAMED": self.unnamed, "UNNAMED_KEYTAB": str(self.files.unnamed),
                "BRIEF": self.brief, "BRIEF_KEYTAB": str(self.files.brief),
                "BRIEF_SECONDS": str(BRIEF_SECONDS), "SKEW_SECONDS": str(SKEW_SECONDS)}

    def stop(self):
        self.kdc.terminate()
        self.kdc.wait(START_SECONDS_MAX)

#!/usr/bin/env python3
"""Copies a real Apache Kafka to a dev server of ours with `mainstem kafka mirror`, and compares.

    tests/interop/mirror/run.py path/to/mainstem

Kafka comes by Maven into target/interop/mirror and runs as one node (KRaft) on loopback. `Fill.java`
fills it: every codec, headers without a value, tombstones, transactions that were committed and given
up, records dated by the broker, dropped beginnings, groups, access rules, a SCRAM user.
"""
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[2] / "target" / "interop" / "mirror"
VERSION = "4.1.0"
WAIT_SECONDS = 90

BROKER = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
"""


def run(*command, **more):
    told = subprocess.run(command, capture_output=True, text=True, timeout=600, **more)
    if told.returncode != 0:
        last = (told.stdout + told.stderr).strip().splitlines()[-8:]
        raise RuntimeError(f"{Path(command[0]).name}: " + "\n".join(last))
    return told.stdout


def fetched():
    home = TARGET / "kafka"
    if not (home / "lib").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "pom.xml").write_text((HERE / "pom.xml").read_text().replace("VERSION", VERSION))
        run("mvn", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=home)
    return f"{home / 'lib'}/*"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_until(what, is_so):
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not in {WAIT_SECONDS} s")
        time.sleep(0.2)


def is_open(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child that is ended with the script."""

    def __init__(self, log, *command):
        self.log = open(log, "w")
        self.child = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def end(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            return self.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


def kafka(classes, home):
    port, controller = free_port(), free_port()
    settings = home / "server.properties"
    settings.write_text(BROKER.format(port=port, controller=controller, data=home / "kafka"))
    java = ["java", "-Xmx512M", "-cp", classes]
    tool = [*java, "kafka.tools.StorageTool"]
    cluster = run(*tool, "random-uuid").strip().splitlines()[-1]
    run(*tool, "format", "-t", cluster, "-c", str(settings), "--standalone")
    broker = Process(home / "kafka.log", *java, "kafka.Kafka", str(settings))
    wait_until("Kafka", lambda: is_open(port))
    return broker, f"127.0.0.1:{port}"


def mainstem(binary, home):
    listens = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    data = home / "mainstem"
    server = Process(
        home / "mainstem.log", binary, "dev", "--data", str(data),
        "--listen", listens[0], "--admin-listen", listens[1], "--kafka-listen", listens[2],
    )
    credentials = data / "dev-credentials.json"
    wait_until("the dev server", credentials.exists)
    wait_until("its listener", lambda: is_open(int(listens[2].rsplit(":", 1)[1])))
    return server, credentials


class Stage:
    def __init__(self, binary, classes, home):
        self.binary = binary
        self.classes = classes
        self.home = home
        self.broker, self.source = kafka(classes, home)
        self.server, self.credentials = mainstem(binary, home)

    def fill(self, verb, *where):
        java = ["java", "-Xmx256M", "-cp", self.classes, str(HERE / "Fill.java")]
        run(*java, verb, *(where or [self.source]))

    def target(self):
        """The target's address, and a file of settings with its password in it."""
        told = json.loads(self.credentials.read_text())["kafka"]
        settings = self.home / "target.properties"
        settings.write_text(
            f"security.protocol={told['security_protocol']}\nsasl.mechanism={told['mechanism']}\n"
            "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
            f"username=\"{told['username']}\" password=\"{told['password']}\";\n"
        )
        settings.chmod(0o600)
        return told["bootstrap"], str(settings)

    def ours(self, verb, *more):
        address, settings = self.target()
        command = [self.binary, "kafka", verb, "--from", self.source, "--format", "json"]
        command += ["--to", address, "--to-config", settings, *more]
        told = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if not told.stdout:
            raise RuntimeError(f"{verb}: {told.stderr}")
        return told.returncode, json.loads(told.stdout)


def records(report):
    parts = (part for topic in report["topics"].values() for part in topic["partitions"].values())
    return sum(part["records"] for part in parts)


def problems(report):
    found = list(report["problems"])
    for name, topic in report["topics"].items():
        for index, part in topic["partitions"].items():
            if "problem" in part:
                found.append(f"{name}/{index}: {part['problem']}")
    return found


def check(what, is_so, more=""):
    print(("yes  " if is_so else "NO   ") + what, flush=True)
    if not is_so:
        raise RuntimeError(f"{what}: {more}")


def steps(stage):
    stage.fill("first")
    code, first = stage.ours("mirror")
    check("everything is copied", code == 0, problems(first))
    check("as many records as are there", records(first) == 1193 + 60, records(first))
    check("both groups are copied", sorted(first["groups"]) == ["billing", "reports"], first)
    notices = "\n".join(first["notices"])
    check("the user is named, the password not", "alice" in notices and "secret" not in notices)
    # The dev server's listener leaves access to people.
    check("access rules that are not taken are named", "User:alice on plain" in notices, notices)
    code, told = stage.ours("verify")
    check("both sides are equal", code == 0, problems(told))
    check("digests were made", all(
        part["source_digest"] == part["target_digest"]
        for name in ("plain", "paid", "dated") for part in told["topics"][name]["partitions"].values()
    ))
    code, again = stage.ours("mirror")
    check("again, nothing is copied", code == 0 and records(again) == 0, problems(again))
    stage.fill("more")
    code, told = stage.ours("verify")
    check("what is missing is told", code == 1 and problems(told))
    code, rest = stage.ours("mirror")
    check("it goes on where it stopped", code == 0 and records(rest) == 1260, (problems(rest), records(rest)))
    code, told = stage.ours("verify")
    check("both sides are equal again", code == 0, problems(told))
    follow(stage)
    stage.fill("stray", *stage.target())
    code, told = stage.ours("verify")
    check("a record of the target's own is told", code == 1 and problems(told), told)
    code, told = stage.ours("mirror", "--topic", "plain")
    check("one topic alone is copied still", code == 0 and list(told["topics"]) == ["plain"], told)


def follow(stage):
    address, settings = stage.target()
    following = Process(
        stage.home / "follow.log", stage.binary, "kafka", "mirror", "--follow", "--every-ms", "100",
        "--from", stage.source, "--to", address, "--to-config", settings,
    )
    try:
        stage.fill("more")
        wait_until("the copy follows", lambda: stage.ours("verify")[0] == 0)
    finally:
        code = following.end(signal.SIGINT)
    check("it follows, and ends when it is interrupted", code == 0, code)


def main():
    binary = str(Path(sys.argv[1]).resolve())
    for needed in ("java", "mvn"):
        if not shutil.which(needed):
            sys.exit(f"{needed} is not installed")
    classes = fetched()
    with tempfile.TemporaryDirectory(prefix="mirror-", dir=TARGET) as home:
        stage = None
        try:
            stage = Stage(binary, classes, Path(home))
            steps(stage)
        except Exception as error:  # what is printed is what is wrong
            for log in Path(home).glob("*.log"):
                print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:]))
            sys.exit(f"failed: {error}")
        finally:
            if stage:
                stage.server.end()
                stage.broker.end()
    print("all went well")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs Kafka clients as they are published against a dev server of ours, and writes what it found.

    tests/interop/kafka/run.py path/to/mainstem [client ...]

Clients come by their own package managers into target/interop/kafka. Every client is a small program
with the verbs `produce TOPIC FIRST COUNT`, `member TOPIC GROUP` and `admin TOPIC`; the steps are here.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENTS = HERE / "clients"
TARGET = HERE.parents[2] / "target" / "interop" / "kafka"
JAVA_VERSION = "4.1.0"
PARTITIONS = 6
COUNT = 300
WAIT_SECONDS = 90


def run(*command, **more):
    told = subprocess.run(command, capture_output=True, text=True, timeout=600, **more)
    if told.returncode != 0:
        last = (told.stdout + told.stderr).strip().splitlines()[-3:]
        raise RuntimeError(f"{Path(command[0]).name}: {' | '.join(last)}")
    return told.stdout


# How each client is fetched: each answers how a verb of it is called.


def python_client(program, *packages):
    def fetch():
        home = TARGET / f"python-{program}"
        if not home.exists():
            run(sys.executable, "-m", "venv", str(home))
            run(str(home / "bin" / "pip"), "install", "-q", *packages)
        return lambda *verb: [str(home / "bin" / "python"), str(CLIENTS / "python" / program), *verb]

    return fetch


def kafkajs():
    home = TARGET / "kafkajs"
    shutil.copytree(CLIENTS / "kafkajs", home, dirs_exist_ok=True)
    if not (home / "node_modules").exists():
        run("npm", "install", "--silent", "--no-audit", "--no-fund", cwd=home)
    return lambda *verb: ["node", str(home / "client.js"), *verb]


def go_client(name):
    def fetch():
        binary = TARGET / name
        run("go", "build", "-o", str(binary), f"./{name}", cwd=CLIENTS / "go")
        return lambda *verb: [str(binary), *verb]

    return fetch


def kcat():
    if not shutil.which("kcat"):
        raise RuntimeError("kcat is not installed")
    return lambda *verb: ["sh", str(CLIENTS / "kcat.sh"), *verb]


def java():
    home = TARGET / "java"
    if not home.exists():
        home.mkdir(parents=True)
        text = (CLIENTS / "java.xml").read_text().replace("VERSION", JAVA_VERSION)
        (home / "pom.xml").write_text(text)
        run("mvn", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=home)
    return lambda *verb: ["sh", str(CLIENTS / "java.sh"), str(home / "lib"), *verb]


def with_environment(fetch, **more):
    return fetch, more


ALL = {
    "kcat": with_environment(kcat),
    "java tools": with_environment(java),
    "java tools, group.protocol=consumer": with_environment(java, GROUP_PROTOCOL="consumer"),
    "kafkajs": with_environment(kafkajs),
    "confluent-kafka-python": with_environment(python_client("confluent.py", "confluent-kafka")),
    "confluent-kafka-python, group.protocol=consumer": with_environment(
        python_client("confluent.py", "confluent-kafka"), GROUP_PROTOCOL="consumer"
    ),
    "kafka-python": with_environment(python_client("pure.py", "kafka-python")),
    "franz-go": with_environment(go_client("franz")),
    "sarama": with_environment(go_client("sarama")),
}


class Member:
    """A client that reads as a member of a group until it is killed."""

    def __init__(self, command, environment):
        self.values = []
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.values.append(int(line))

    def kill(self):
        try:
            # With what it started; nobody else is in its session.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def wait_for(members, wanted):
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        seen = set().union(*(member.values for member in members))
        if wanted <= seen:
            return
        time.sleep(0.2)
    missing = len(wanted - set().union(*(member.values for member in members)))
    raise RuntimeError(f"{missing} of {len(wanted)} records were not read")


class Stage:
    def __init__(self, call, environment, make_topic, prefix):
        self.call, self.environment, self.prefix = call, environment, prefix
        self.make_topic = make_topic

    def do(self, *verb):
        run(*self.call(*verb), env=self.environment)

    def member(self, topic, group):
        return Member(self.call("member", topic, group), self.environment)

    def produce_and_consume(self):
        topic = self.make_topic(f"{self.prefix}-one")
        self.do("produce", topic, "0", str(COUNT))
        reader = self.member(topic, f"{self.prefix}-one")
        try:
            wait_for([reader], set(range(COUNT)))
        finally:
            reader.kill()

    def group_of_three_with_one_killed(self):
        topic, group = self.make_topic(f"{self.prefix}-three"), f"{self.prefix}-three"
        members = [self.member(topic, group) for _ in range(3)]
        try:
            self.do("produce", topic, "0", str(COUNT))
            wait_for(members, set(range(COUNT)))
            members[0].kill()
            self.do("produce", topic, str(COUNT), str(COUNT))
            wait_for(members, set(range(2 * COUNT)))
        finally:
            for member in members:
                member.kill()

    def admin(self):
        self.do("admin", f"{self.prefix}-admin")

    # Transactions, SCRAM and TLS have their steps here: a method each, and a line in STEPS.


STEPS = {
    "produce, consume": Stage.produce_and_consume,
    "group of three, one killed": Stage.group_of_three_with_one_killed,
    "admin": Stage.admin,
}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def start_server(binary):
    data = TARGET / "server"
    shutil.rmtree(data, ignore_errors=True)
    http, admin, kafka = (f"127.0.0.1:{port}" for port in free_ports(3))
    log = open(TARGET / "server.log", "w")
    server = subprocess.Popen(
        [binary, "dev", "--data", str(data), "--listen", http, "--admin-listen", admin,
         "--kafka-listen", kafka],
        stdout=log, stderr=log,
    )
    written = data / "dev-credentials.json"
    end = time.monotonic() + 60
    while not written.exists():
        if time.monotonic() > end or server.poll() is not None:
            server.kill()
            raise SystemExit(f"the server did not start: see {TARGET / 'server.log'}")
        time.sleep(0.2)
    time.sleep(0.5)
    return server, json.loads(written.read_text())["kafka"]


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    TARGET.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:] or list(ALL)
    server, told = start_server(sys.argv[1])
    environment = os.environ | {
        "BOOTSTRAP": told["bootstrap"],
        "USERNAME": told["username"],
        "PASSWORD": told["password"],
        "SECURITY_PROTOCOL": told["security_protocol"],
        "MECHANISM": told["mechanism"],
    }

    def make_topic(name):
        # By one client for all, so that each finds the partitions it needs.
        call = python_client("confluent.py", "confluent-kafka")()
        run(*call("topic", name, str(PARTITIONS)), env=environment)
        return name

    rows = []
    try:
        for index, client in enumerate(wanted):
            fetch, more = ALL[client]
            cells = {}
            try:
                stage = Stage(fetch(), environment | more, make_topic, f"c{index}")
            except Exception as error:
                rows.append((client, {step: f"not run: {error}" for step in STEPS}))
                print(f"{client}: {error}", flush=True)
                continue
            for step, act in STEPS.items():
                try:
                    act(stage)
                    cells[step] = "yes"
                except Exception as error:
                    cells[step] = f"NO: {error}"
                print(f"{client}: {step}: {cells[step]}", flush=True)
            rows.append((client, cells))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    table = ["| Client | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 1) + "|"]
    table += [f"| {name} | " + " | ".join(cells[step] for step in STEPS) + " |"
              for name, cells in rows]
    (TARGET / "findings.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))
    raise SystemExit(any("yes" != cell for _, cells in rows for cell in cells.values()))


if __name__ == "__main__":
    main()

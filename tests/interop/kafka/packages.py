"""How each client comes here, by its own package manager, and how a verb of it is called."""
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from place import CLIENTS, TARGET

JAVA_VERSION = "4.1.0"
FETCH_SECONDS_MAX = 600


def run(*command, seconds_max=FETCH_SECONDS_MAX, **more):
    """What the command prints; its last words where it fails."""
    name = Path(command[0]).name
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, **more
    )
    try:
        output, errors = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        kill(process)
        raise RuntimeError(f"{name}: no end after {seconds_max} s")
    if process.returncode != 0:
        last = (output + errors).strip().splitlines()[-3:]
        raise RuntimeError(f"{name}: {' | '.join(last)}")
    return output


def kill(process):
    """Ends it with what it started; nobody else is in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def python_client(program, *packages):
    def fetch():
        home = TARGET / f"python-{program}"
        if not home.exists():
            run(sys.executable, "-m", "venv", str(home))
            run(str(home / "bin" / "pip"), "install", "-q", *packages)
        python, file = str(home / "bin" / "python"), str(CLIENTS / "python" / program)
        return lambda *verb: [python, file, *verb]

    return fetch


def with_kerberos(client):
    """What a client needs besides for tickets, where it is a package of its own."""
    if client == "kafka-python":
        run(str(TARGET / "python-pure.py" / "bin" / "pip"), "install", "-q", "gssapi")


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


def java_libraries():
    home = TARGET / "java"
    if not (home / "lib").exists():
        home.mkdir(parents=True, exist_ok=True)
        text = (CLIENTS / "java" / "pom.xml").read_text().replace("VERSION", JAVA_VERSION)
        (home / "pom.xml").write_text(text)
        run("mvn", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=home)
    return home / "lib"


def java_tools():
    libraries = java_libraries()
    return lambda *verb: ["sh", str(CLIENTS / "java" / "tools.sh"), str(libraries), *verb]


def java():
    libraries, classes = java_libraries(), TARGET / "java" / "classes"
    sources = sorted(str(file) for file in (CLIENTS / "java").glob("*.java"))
    path = f"{classes}:{libraries}/*"
    run("javac", "-cp", path, "-d", str(classes), *sources)
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    start = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", quiet, "-cp", path, "Client"]
    return lambda *verb: [*start, *verb]


# No client, but the messages of one: what clients never say.
TICKETS = python_client("tickets.py", "gssapi")
CONFLUENT = python_client("confluent.py", "confluent-kafka")
NEWER_GROUPS = {"GROUP_PROTOCOL": "consumer"}

# Name, how it is fetched, and what it is told besides.
ALL = {
    "kcat": (kcat, {}),
    "java tools": (java_tools, {}),
    "java tools, group.protocol=consumer": (java_tools, NEWER_GROUPS),
    "java": (java, {}),
    "java, group.protocol=consumer": (java, NEWER_GROUPS),
    "kafkajs": (kafkajs, {}),
    "confluent-kafka-python": (CONFLUENT, {}),
    "confluent-kafka-python, group.protocol=consumer": (CONFLUENT, NEWER_GROUPS),
    "kafka-python": (python_client("pure.py", "kafka-python"), {}),
    "franz-go": (go_client("franz"), {}),
    "sarama": (go_client("sarama"), {}),
}

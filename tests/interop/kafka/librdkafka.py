"""librdkafka's own tests, as they come with its source, against a server of ours.

The source is inside Confluent's package for Node.js. Each test that wants a broker is run by
itself; `librdkafka.json` says what is expected of it: `yes`, or the reason why it is left out. Where
only a part of a test is left out, its parts are named behind a slash.
"""
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

from packages import run
from place import HERE, TARGET
from server import PLAIN, Server

PACKAGE, VERSION = "@confluentinc/kafka-javascript@1.10.1", "2.15.1"
HOME = TARGET / "librdkafka"
EXPECTED = HERE / "librdkafka.json"
RESULTS = TARGET / "librdkafka.json"
# What the tests are told about the broker: above it they want share groups.
KAFKA_VERSION = "4.1.0"
BUILD_SECONDS_MAX = 1_200
TEST_SECONDS_MAX = 150
AT_ONCE = 2
# A test in `test.c`: its name, and what else is said of it up to the next.
LINE = re.compile(r"_TEST\(\s*(0\d{3}_\w+),(.*?)(?=_TEST\(|\Z)", re.DOTALL)
WITHOUT_BROKER = ("TEST_F_LOCAL", "TEST_F_MANUAL")
USUAL, NO_AUTO_CREATE = "default", "noautocreate"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# As the tests' own cluster is configured, as far as one broker can be.
KAFKA = {"topic_partitions": 4, "session_ms_min": 6_000, "first_rebalance_ms": 0}
LISTENER = {"security": "write"}


def fetch():
    """The folder of the tests, built."""
    tests = HOME / "source" / "tests"
    if not (tests / "test-runner").exists():
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir(parents=True)
        told = run("npm", "pack", "--silent", PACKAGE, cwd=HOME)
        run("tar", "xzf", told.split()[-1], cwd=HOME)
        (HOME / "package" / "deps" / "librdkafka").rename(HOME / "source")
        one_broker(tests / "0103-transactions.c")
        source = HOME / "source"
        run("bash", "./configure", "--disable-gssapi", cwd=source)
        for part in (["libs"], ["-C", "tests", "build"]):
            run("make", f"-j{os.cpu_count()}", *part, cwd=source, seconds_max=BUILD_SECONDS_MAX)
    return tests


def one_broker(file):
    """This test makes its topics with three replicas, which takes three brokers of Kafka, too."""
    file.write_text(file.read_text().replace(", 3, 5000)", ", 1, 5000)"))


def wanting_broker(tests):
    """The tests that want a broker, and the scenario that each is made for."""
    text = (tests / "test.c").read_text()
    text = text[text.index("struct test tests[]"):].partition("{NULL}")[0]
    found = {}
    for name, more in LINE.findall(text):
        if not any(flag in more for flag in WITHOUT_BROKER):
            found[name] = NO_AUTO_CREATE if NO_AUTO_CREATE in more else USUAL
    return found


def settings(server, file):
    """What the tests are told of the server, in the form of their `test.conf`."""
    told = {
        "bootstrap.servers": server.addresses[PLAIN.protocol],
        "security.protocol": PLAIN.protocol,
        "sasl.mechanism": PLAIN.mechanism,
        "sasl.username": server.user["USERNAME"],
        "sasl.password": server.user["PASSWORD"],
        "test.timeout.multiplier": "2",
    }
    file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    file.chmod(0o600)
    return file


class Runner:
    """The tests' program, and what came of each number of a test that was run."""

    def __init__(self, tests, files):
        self.tests, self.files = tests, files
        self.logs = TARGET / "librdkafka-logs"
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()

    def run(self, number, scenario, part):
        """What came of each test of this number."""
        stem = "-".join(it for it in (number, scenario, part) if it not in (USUAL, ""))
        log, report = (self.logs / f"{stem}.{kind}" for kind in ("log", "json"))
        source = self.tests.parent
        told = {
            "TESTS": number,
            "TEST_SCENARIO": scenario,
            "TEST_REPORT": str(report),
            "TEST_KAFKA_VERSION": KAFKA_VERSION,
            "RDKAFKA_TEST_CONF": str(self.files[scenario]),
            "LD_LIBRARY_PATH": f"{source / 'src'}:{source / 'src-cpp'}",
        } | ({"SUBTESTS": part} if part else {})
        command = 'exec ./test-runner -L -p1 -Q >"$0" 2>&1 </dev/null'
        try:
            run("sh", "-c", command, str(log), cwd=self.tests, env=os.environ | told,
                seconds_max=TEST_SECONDS_MAX)
        except RuntimeError as error:
            # One that failed ends in an abort; what it was is in the report and the log.
            if not report.exists():
                return {}, str(error)
        states = {name: it["state"] for name, it in json.loads(report.read_text())["tests"].items()}
        return states, COLOURS.sub("", log.read_text(errors="replace"))


def told(name, part, states, log):
    """What came of one test, in a line."""
    state = states.get(name)
    if state is None:
        return log
    if state == "PASSED":
        # A part that is not there passes without a word.
        return "yes" if not part or ": PASS " in log else "there is no such part"
    if state == "SKIPPED":
        why = re.search(r"SKIPPING TEST: (.*)", log)
        return "skipped: " + (why[1].strip() if why else "by the tests' program")
    why = re.search(r"TEST FAILURE\n.*\n(.*)", log)
    return f"{state.lower()}: " + (why[1].strip() if why else "see its log")


def take(binary, try_all):
    """Whether all that is expected of the tests is so."""
    tests, expected = fetch(), json.loads(EXPECTED.read_text())
    files, servers = {}, []
    try:
        for scenario in (USUAL, NO_AUTO_CREATE):
            more = {"topics": {"auto_create": scenario == USUAL}}
            server = Server(binary, f"librdkafka-{scenario}", more, KAFKA, LISTENER)
            servers.append(server)
            files[scenario] = settings(server, TARGET / f"librdkafka-{scenario}.conf")
        return compare(Runner(tests, files), wanting_broker(tests), expected, try_all)
    finally:
        for server in servers:
            server.stop()


def compare(runner, tests, expected, try_all):
    wanted, as_expected = [], True
    for name in tests:
        parts = [key for key in expected if key.split("/")[0] == name] or [name]
        wanted += parts
        for key in parts:
            if key not in expected:
                print(f"librdkafka: {key}: librdkafka.json does not say of it", flush=True)
                as_expected = False
    for key in set(expected) - set(wanted):
        print(f"librdkafka: {key}: there is no such test", flush=True)
        as_expected = False
    results = {key: expected.get(key, "") for key in wanted}
    tried = [key for key in wanted if try_all or results[key] in ("", "yes")]
    runs = {}
    for key in tried:
        name, _, part = key.partition("/")
        runs.setdefault((name[:4], tests[name], part), []).append(key)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for keys, (states, log) in zip(runs.values(), pool.map(lambda it: runner.run(*it), runs)):
            for key in keys:
                name, _, part = key.partition("/")
                outcome = told(name, part, states, log)
                print(f"librdkafka: {key}: {outcome}", flush=True)
                as_expected &= outcome == "yes" or results[key] not in ("", "yes")
                results[key] = outcome
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    passed = sum(outcome == "yes" for outcome in results.values())
    print(f"librdkafka {VERSION}: {passed} of {len(results)} tests that want a broker", flush=True)
    return as_expected

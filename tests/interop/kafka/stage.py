"""The steps: what each client is taken through, and what must come of it."""
import subprocess
import threading
import time

from packages import kill, run
from place import TARGET
from server import KERBEROS_WAYS, PLAIN, WAYS

PARTITIONS = 6
COUNT = 300
FEW = 20
WAIT_SECONDS_MAX = 120
STRANGER_SECONDS_MAX = 15


ALL_WAYS = WAYS | KERBEROS_WAYS


class Member:
    """A program of a client that goes on until it is killed, and the lines it prints."""

    def __init__(self, command, environment, log):
        self.lines = []
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def values(self):
        return [int(line) for line in list(self.lines) if line.isdigit()]

    def kill(self):
        kill(self.process)


def wait_until(is_so, why):
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(why())
        time.sleep(0.1)


def wait_for(members, wanted):
    missing = lambda: wanted - {value for member in members for value in member.values()}
    wait_until(lambda: not missing(),
               lambda: f"{len(missing())} of {len(wanted)} records were not read")


def check(is_so, why):
    if not is_so:
        raise RuntimeError(why)


class Stage:
    """One client, with topics and groups of its own."""

    def __init__(self, server, call, more, prefix, maker, way=PLAIN):
        self.server, self.call, self.more, self.prefix = server, call, more, prefix
        self.maker = maker
        self.home = self.way = way
        self.members = []
        self.log = open(TARGET / f"{prefix}.log", "a")

    def environment(self, **more):
        return self.server.environment(self.way) | self.more | more

    def topic(self, name):
        # By one client for all, so that each finds the partitions it needs.
        environment = self.server.environment(PLAIN)
        name = f"{self.prefix}-{name}"
        run(*self.maker("topic", name, str(PARTITIONS)), env=environment)
        return name

    def asked(self, *verb):
        """A number that the server knows, asked for by the one client that serves all."""
        environment = self.server.environment(PLAIN)
        return int(run(*self.maker(*verb), env=environment))

    def do(self, *verb):
        command = self.call(*map(str, verb))
        return run(*command, seconds_max=WAIT_SECONDS_MAX, env=self.environment())

    def member(self, *verb, **more):
        member = Member(self.call(*verb), self.environment(**more), self.log)
        self.members.append(member)
        return member

    def read(self, topic, group, wanted, **more):
        """What a reader of its own group gets until it has seen all that is wanted."""
        reader = self.member("member", topic, group, **more)
        wait_for([reader], wanted)
        reader.kill()
        return sorted(reader.values())

    def take(self, step):
        """What there is to say of a step: `yes`, or why not."""
        self.log.write(f"== {step}\n")
        self.log.flush()
        try:
            STEPS[step](self)
            return "yes"
        except Exception as error:
            self.log.write(f"{error}\n")
            return f"NO: {error}"
        finally:
            while self.members:
                self.members.pop().kill()

    def produce_and_consume(self):
        topic = self.topic("one")
        self.do("produce", topic, 0, COUNT)
        self.read(topic, topic, set(range(COUNT)))

    def group_of_three_with_one_killed(self):
        topic = self.topic("three")
        members = [self.member("member", topic, topic) for _ in range(3)]
        self.do("produce", topic, 0, COUNT)
        wait_for(members, set(range(COUNT)))
        members[0].kill()
        self.do("produce", topic, COUNT, COUNT)
        wait_for(members, set(range(2 * COUNT)))

    def admin(self):
        self.do("admin", f"{self.prefix}-admin")

    def transactions(self):
        """Three of them, the second given up. Each partition has records of the third, so who has
        read all of those would have seen what was given up before them."""
        topic = self.topic("transactions")
        self.do("transact", topic, COUNT)
        wanted = [*range(COUNT), *range(2 * COUNT, 3 * COUNT)]
        for isolation in ["read_committed", "read_uncommitted"]:
            seen = self.read(topic, f"{topic}-{isolation}", set(wanted), ISOLATION=isolation)
            check(seen == wanted, f"{isolation} saw {len(seen)} records, not the {len(wanted)}")

    def consume_transform_produce(self):
        """Each record goes over once, though one transaction is given up and another is left open
        by a member that is killed."""
        source, target = self.topic("source"), self.topic("target")
        group = f"{self.prefix}-transform"
        self.do("produce", source, 0, COUNT)
        self.do("transform", source, target, group, "abort")
        check(self.asked("committed", group, source) == 0, "what was given up is committed")
        hanging = self.member("transform", source, target, group, "hang")
        wait_until(lambda: "open" in hanging.lines, lambda: "no transaction was opened")
        hanging.kill()
        self.member("transform", source, target, group, "commit")
        wanted = list(range(COUNT))
        seen = self.read(target, f"{group}-read", set(wanted), ISOLATION="read_committed")
        check(seen == wanted, f"{len(seen)} records went over, not {COUNT}")
        done = self.asked("committed", group, source)
        check(done == COUNT, f"{done} records are committed, not {COUNT}")

    def strangers_refused(self):
        self.refused("strangers", self.server.strangers())

    def strangers_with_tickets_refused(self):
        self.refused("tickets", self.server.strangers_with_tickets())

    def refused(self, topic, strangers):
        """They produce at the same time; each fails, or tries on until it is ended."""
        topic = self.topic(topic)
        tries = {}
        for name, (way_in, wrong) in strangers.items():
            self.way = ALL_WAYS[way_in]
            tries[name] = self.member("produce", topic, "0", str(FEW), **wrong)
        self.way = self.home
        end = time.monotonic() + STRANGER_SECONDS_MAX
        for name, stranger in tries.items():
            try:
                code = stranger.process.wait(max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                continue
            check(code != 0, f"{name}: it took this for a success")
        count = self.asked("ends", topic)
        check(count == 0, f"{count} records of strangers are there")

    def by(self, name):
        """The same few records, produced and consumed by another way in."""
        self.way = ALL_WAYS[name]
        try:
            topic = self.topic(name.translate(str.maketrans(" ,", "--")).replace("--", "-"))
            self.do("produce", topic, 0, FEW)
            self.read(topic, topic, set(range(FEW)))
        finally:
            self.way = self.home


def way(name):
    return lambda stage: stage.by(name)


DEEDS = {
    "produce, consume": Stage.produce_and_consume,
    "group of three, one killed": Stage.group_of_three_with_one_killed,
    "admin": Stage.admin,
    "transactions": Stage.transactions,
    "consume-transform-produce": Stage.consume_transform_produce,
}
STRANGERS = {"strangers refused": Stage.strangers_refused}
USUAL = DEEDS | STRANGERS | {name: way(name) for name in WAYS}
KERBEROS = {name: way(name) for name in KERBEROS_WAYS} | {
    "strangers with tickets refused": Stage.strangers_with_tickets_refused,
}
STEPS = USUAL | KERBEROS

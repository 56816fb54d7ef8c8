"""GSSAPI message by message, for what well-behaved clients never do. Tickets are MIT's own."""
import os
import socket
import struct
import sys
import tempfile
import time

import gssapi

TOLD = os.environ
FAILED = 58
NO_LAYER = b"\x01\0\0\0"
WAIT_SECONDS_MAX = 30
MUTATIONS = 300
OF_KERBEROS = gssapi.MechType.kerberos
SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
ONE_SIDED = [gssapi.RequirementFlag.integrity]
MUTUAL = [*ONE_SIDED, gssapi.RequirementFlag.mutual_authentication]


class Connection:
    """One connection, as far as signing in goes."""

    def __init__(self, handshake=1):
        host, port = TOLD["BOOTSTRAP"].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), WAIT_SECONDS_MAX)
        self.is_old = handshake == 0
        self.handshake(handshake)

    def frame(self, content):
        self.socket.sendall(struct.pack(">i", len(content)) + content)
        size = struct.unpack(">i", self.read(4))[0]
        return self.read(size)

    def read(self, size):
        content = b""
        while len(content) < size:
            more = self.socket.recv(size - len(content))
            if not more:
                raise ConnectionError("the server has closed the connection")
            content += more
        return content

    def ask(self, key, version, body):
        return self.frame(struct.pack(">hhih", key, version, 1, -1) + body)[4:]

    def handshake(self, version=1):
        answer = self.ask(17, version, struct.pack(">h", 6) + b"GSSAPI")
        assert struct.unpack(">h", answer[:2])[0] == 0, "GSSAPI is not offered"

    def say(self, token):
        """The error, what the server says to a right message, and for how long it counts."""
        if self.is_old:
            return 0, self.frame(token), 0
        answer = self.ask(36, 1, struct.pack(">i", len(token)) + token)
        error, told = struct.unpack(">hh", answer[:4])
        answer = answer[4 + max(told, 0):]
        size = struct.unpack(">i", answer[:4])[0]
        return error, answer[4:4 + size], struct.unpack(">q", answer[4 + size:])[0]


def context(service=None, flags=MUTUAL, mech=OF_KERBEROS, creds=None):
    host = TOLD["BOOTSTRAP"].rsplit(":", 1)[0]
    name = gssapi.Name(f"{service or TOLD['SERVICE']}@{host}", gssapi.NameType.hostbased_service)
    return gssapi.SecurityContext(name=name, flags=flags, mech=mech, creds=creds,
                                  usage="initiate")


def established(connection, **how):
    """The context, and what the server has offered in it."""
    made = context(**how)
    token = made.step()
    while True:
        error, answer, _ = connection.say(token or b"")
        assert error == 0, f"refused with {error}"
        if made.complete:
            return made, made.unwrap(answer).message
        token = made.step(answer)


def sign_in(connection, last=NO_LAYER, is_wrapped=True, **how):
    made, offered = established(connection, **how)
    assert offered == NO_LAYER, offered
    return connection.say(made.wrap(last, False).message if is_wrapped else last)


def right_ones_are_let_in():
    for last in (NO_LAYER, b"\x01\x01\0\0", NO_LAYER + TOLD["PRINCIPAL"].encode()):
        connection = Connection()
        error, answer, lifetime_ms = sign_in(connection, last)
        assert (error, answer) == (0, b""), (error, answer)
        assert 0 < lifetime_ms <= 25 * 3600 * 1000, lifetime_ms
        # KIP-368: the same connection, once more.
        connection.handshake()
        assert sign_in(connection, last)[0] == 0
    assert sign_in(Connection(), flags=ONE_SIDED)[0] == 0, "no proof of the server was asked for"
    assert sign_in(Connection(handshake=0))[:2] == (0, b""), "the old form"


def others_are_refused():
    for last in (b"\x02\0\0\0", b"\x04\0\0\0", b"\x07\0\0\0", b"\0\0\0\0", b"\x01\0\0", b"",
                 NO_LAYER + b"admin", NO_LAYER + b"\xff\xfe"):
        error, answer, _ = sign_in(Connection(), last)
        assert (error, answer) == (FAILED, b""), (last, error)
    for bare in (NO_LAYER, b"", b"\0" * 100):
        assert sign_in(Connection(), bare, is_wrapped=False)[0] == FAILED, bare
    # Something where nothing was asked for.
    connection, made = Connection(), context()
    error, answer, _ = connection.say(made.step())
    made.step(answer)
    assert error == 0 and connection.say(b"more")[0] == FAILED


def credentials(name):
    """Of a principal that the environment tells, with a keytab."""
    cache = f"FILE:{tempfile.mkdtemp()}/{name}"
    principal = gssapi.Name(TOLD[name], gssapi.NameType.kerberos_principal)
    store = {"client_keytab": TOLD[f"{name}_KEYTAB"], "ccache": cache}
    return gssapi.Credentials(name=principal, usage="initiate", store=store)


def strangers_are_refused():
    assert Connection().say(context(service="other").step())[0] == FAILED, "for another service"
    error, answer, _ = sign_in(Connection(), creds=credentials("UNNAMED"))
    assert (error, answer) == (FAILED, b""), "no rule speaks of it"


def no_other_mechanism_is_taken():
    assert Connection().say(context(mech=SPNEGO).step())[0] == FAILED


def a_token_counts_once():
    token = context().step()
    assert Connection().say(token)[0] == 0
    assert Connection().say(token)[0] == FAILED, "it was sent again"


def garbage_is_refused():
    token = context().step()
    # Its length, its mechanism, and each part of the ticket in turn.
    broken = [token[:size] for size in range(0, len(token), max(len(token) // 50, 1))]
    for index in range(MUTATIONS):
        at = index * len(token) // MUTATIONS
        broken.append(token[:at] + bytes([token[at] ^ (1 << index % 8)]) + token[at + 1:])
    broken += [os.urandom(size) for size in (1, 10, 1000, 60_000)]
    broken += [token[:15] + b"\x84\xff\xff\xff\xff" + token[20:], b"\x60" * 1000]
    let_on = sum(Connection().say(it)[0] != FAILED for it in broken)
    # What is not sealed in a ticket, its number for one, may be another.
    assert let_on < len(broken) // 20, f"{let_on} of {len(broken)} broken tokens count"
    print(f"{len(broken)} broken tokens, {let_on} of them let on")


def a_connection_ends_with_its_ticket():
    connection, begin = Connection(), time.monotonic()
    error, _, lifetime_ms = sign_in(connection, creds=credentials("BRIEF"))
    seconds = int(TOLD["BRIEF_SECONDS"]) + int(TOLD["SKEW_SECONDS"])
    assert error == 0 and 0 < lifetime_ms <= (seconds + 1) * 1000, (error, lifetime_ms)
    connection.socket.settimeout(2 * seconds)
    assert connection.socket.recv(1) == b"", "nothing was asked"
    # Its clock and ours show whole seconds.
    assert abs(time.monotonic() - begin - lifetime_ms / 1000) < 2, "it did not end then"


def main():
    for shown in (right_ones_are_let_in, others_are_refused, strangers_are_refused,
                  no_other_mechanism_is_taken,
                  a_token_counts_once, garbage_is_refused, a_connection_ends_with_its_ticket):
        shown()
        print(f"{shown.__name__.replace('_', ' ')}: yes", flush=True)
    assert sign_in(Connection())[0] == 0, "it serves on"


if __name__ == "__main__":
    sys.exit(main())

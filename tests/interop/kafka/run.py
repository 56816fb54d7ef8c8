#!/usr/bin/env python3
"""Takes Kafka clients as they are published through the steps against a server of ours.

Clients come by their own package managers into the target folder. What is expected of each is in
`expected.json`: `yes`, or the reason why a step is left out. It ends with 0 when all that is
expected is so. Results are kept between runs, so that clients can be tried one by one.
"""
import argparse
import json
import signal
import sys

sys.dont_write_bytecode = True

import librdkafka
import report
from packages import ALL, CONFLUENT, TICKETS, run, with_kerberos
from place import HERE, TARGET
from realm import PROGRAMS, Realm, is_here
from server import KERBEROS_WAYS, PLAIN, WAYS, Server
from stage import DEEDS, KERBEROS, STEPS, USUAL, Stage

EXPECTED = HERE / "expected.json"
# Clients that bring tests of their own.
SUITES = {"librdkafka": librdkafka.take}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the server: path/to/mainstem")
    parser.add_argument("clients", nargs="*", help=f"of {', '.join([*ALL, *SUITES])}; all without")
    parser.add_argument("--step", action="append", help="only this one; may be repeated")
    parser.add_argument("--way", help=f"all but ways in by this one: {'; '.join(WAYS)}")
    parser.add_argument("--kerberos", action="store_true",
                        help="only the steps by tickets; the server is built with `gssapi`")
    parser.add_argument("--all", action="store_true", help="what is left out is tried, too")
    parser.add_argument("--record", action="store_true", help="writes the tables into README.md")
    given = parser.parse_intermixed_args()
    ways = [given.way] if given.way else []
    for names, known in [(given.clients, [*ALL, *SUITES]), (given.step or [], STEPS), (ways, WAYS)]:
        for unknown in set(names) - set(known):
            parser.error(f"there is no `{unknown}`; there are: {'; '.join(known)}")
    if given.kerberos and not is_here():
        parser.error(f"a realm takes {', '.join(PROGRAMS)}: krb5-kdc, krb5-admin-server, krb5-user")
    if set(given.step or []) & set(KERBEROS) and not given.kerberos:
        parser.error("that step is one of `--kerberos`")
    return given


def take(client, stage, given, expected):
    """What came of each step, and whether all that is expected is so."""
    cells, as_expected = {}, True
    by = f", by {given.way}" if given.way else ""
    for step in given.step or steps(given):
        hope = expected.get(step)
        if hope not in (None, "yes") and not given.all:
            cells[step + by] = hope
            continue
        told = cells[step + by] = stage.take(step)
        print(f"{client}: {step}{by}: {told}", flush=True)
        if hope is None:
            print("  expected.json does not say what is expected of it", flush=True)
        as_expected &= told == "yes" or hope not in (None, "yes")
    return cells, as_expected


def steps(given):
    if given.kerberos:
        return KERBEROS
    return DEEDS if given.way else USUAL


def by_hand(server):
    """Whether tickets are taken as they should be, message by message."""
    way = KERBEROS_WAYS["SASL_PLAINTEXT GSSAPI"]
    try:
        environment = server.environment(way) | server.realm.of_others()
        print(run(*TICKETS()(), env=environment), end="", flush=True)
        return True
    except Exception as error:
        print(f"message by message: NO: {error}", flush=True)
        return False


def try_clients(given, names):
    """Takes each through the steps; whether all that is expected is so."""
    expected = json.loads(EXPECTED.read_text())
    results = report.read()
    as_expected = True
    realm = Realm(TARGET / "kerberos") if given.kerberos else None
    server = None
    try:
        server = Server(given.binary, realm=realm)
        maker = CONFLUENT()
        if realm and not (given.clients or given.step):
            as_expected &= by_hand(server)
        for client in names:
            fetch, more = ALL[client]
            try:
                call = fetch()
                if realm:
                    with_kerberos(client)
                version = run(*call("version")).strip()
            except Exception as error:
                print(f"{client}: not here: {error}", flush=True)
                as_expected = False
                continue
            prefix, way = f"c{list(ALL).index(client)}", WAYS.get(given.way, PLAIN)
            stage = Stage(server, call, more, prefix, maker, way)
            cells, good = take(client, stage, given, expected.get(client, {}))
            as_expected &= good
            known = results.setdefault(client, {"version": version, "cells": {}})
            known["version"] = version
            known["cells"] |= cells
            report.write(results)
    finally:
        for it in (server, realm):
            if it:
                it.stop()
    print(report.tables(results))
    if given.record:
        report.record(results)
    return as_expected


def main():
    # What is started is ended when we are.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    given = arguments()
    TARGET.mkdir(parents=True, exist_ok=True)
    # Tests of their own know no steps, no ways and no tickets.
    every = [*ALL] if given.step or given.way or given.kerberos else [*ALL, *SUITES]
    wanted = given.clients or every
    names = [name for name in wanted if name in ALL]
    as_expected = try_clients(given, names) if names else True
    for name in wanted:
        if name in SUITES:
            as_expected &= SUITES[name](given.binary, given.all)
    if not as_expected:
        sys.exit("not all that is expected is so: see above, and the logs in " + str(TARGET))


if __name__ == "__main__":
    main()

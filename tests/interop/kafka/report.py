"""What was found, kept between runs and written as tables."""
import json

from packages import ALL
from place import HERE, TARGET
from server import WAYS
from stage import DEEDS, KERBEROS, STRANGERS

RESULTS = TARGET / "results.json"
README = HERE / "README.md"
LACKING = "no such thing in the client"
BEGIN, END = "<!-- tables: written by run.py --record -->\n", "<!-- end of tables -->\n"


def read():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def write(results):
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def table(results, steps, notes):
    lines = ["| Client | " + " | ".join(steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for client in (it for it in ALL if it in results):
        cells = results[client]["cells"]
        texts = [short(cells.get(step, "not tried"), notes) for step in steps]
        lines.append(f"| {client} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def short(text, notes):
    """The cell itself where it is short, else the number of a note."""
    if text in ("yes", "not tried"):
        return text
    if text not in notes:
        notes.append(text)
    return f"no [{notes.index(text) + 1}]"


def by_other_ways(results, notes):
    """All that was tried by a way in other than the usual one, a column for each."""
    tried = {key for it in results.values() for key in it["cells"]}
    ways = [way for way in WAYS if any(key.endswith(f", by {way}") for key in tried)]
    gathered = {}
    for client, known in results.items():
        cells = {}
        for way in ways:
            own = [known["cells"].get(f"{deed}, by {way}", "not tried") for deed in DEEDS]
            # What the client cannot do at all is in the first table.
            told = [it for it in own if it != "yes" and not it.startswith(LACKING)]
            cells[way] = told[0] if told else "yes"
        gathered[client] = {"cells": cells}
    return table(gathered, ways, notes) if ways else ""


def tables(results):
    notes = []
    versions = ["| Client | Version |", "|---|---|"]
    versions += [f"| {it} | {results[it]['version']} |" for it in ALL if it in results]
    parts = [
        "Versions tried.\n\n" + "\n".join(versions) + "\n",
        "By `SASL_PLAINTEXT` and `PLAIN`.\n\n" + table(results, DEEDS | STRANGERS, notes),
        "Produce and consume by each way in.\n\n" + table(results, WAYS, notes),
    ]
    if any(step in it["cells"] for it in results.values() for step in KERBEROS):
        parts.append("By tickets of Kerberos.\n\n" + table(results, KERBEROS, notes))
    whole = by_other_ways(results, notes)
    if whole:
        parts.append("The first five steps, but for what a client lacks, by other ways in.\n\n" + whole)
    if notes:
        parts.append("".join(f"{index}. {note}\n" for index, note in enumerate(notes, 1)))
    return "\n".join(parts)


def record(results):
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + BEGIN + tables(results) + END + after)

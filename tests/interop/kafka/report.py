"""What was found, kept between runs and written as tables."""
import json

from packages import ALL
from place import HERE, TARGET
from server import WAYS
from stage import DEEDS

RESULTS = TARGET / "results.json"
README = HERE / "README.md"
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


def tables(results):
    notes = []
    versions = ["| Client | Version |", "|---|---|"]
    versions += [f"| {it} | {results[it]['version']} |" for it in ALL if it in results]
    parts = ["\n".join(versions) + "\n", table(results, DEEDS, notes), table(results, WAYS, notes)]
    numbered = "".join(f"{index}. {note}\n" for index, note in enumerate(notes, 1))
    return "\n".join(parts + [numbered] if numbered else parts)


def record(results):
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + BEGIN + tables(results) + END + after)

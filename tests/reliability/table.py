"""The table of ``docs/reliability.md``, from the figures that the scripts have written.

``python -m tests.reliability.table FIGURES.jsonl…`` writes the rows between the two comments of the
document; the last line of a file counts for each command. No row is written by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.files import write_whole

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- reliability -->", "<!-- /reliability -->"
WHAT = {
    "kills": "`kill -9` of parent, worker or both at random moments, then `--resume`",
    "stops": "SIGINT, SIGTERM and SIGHUP in every phase, half of them twice",
    "two runs": "two runs begun together, resumed next to one that lives, a folder removed under "
    "a run, the lock of a dead one",
    "full disk": "disks of 16 kB to 2 MB (tmpfs), and limits on the size of a file",
    "memory": "limits on memory (`RLIMIT_AS`) of run, report and predict, and their peaks",
    "cuts": "`records.jsonl`, checkpoints and rounds cut, random damage to all that is cached",
    "environments": "environments: notebook, matplotlibrc, no home, no user name, variables",
    "hostile": "hostile files whose payload would make a marker",
    "many cases": "one run of thousands of tiny cases: what is left, and how the parent grows",
    "mutations": "mutated inputs of every reader",
}
"""What a script tries, in the order of the table."""


def rows(lines: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    latest = {line["command"]: line for line in lines}
    order = {name: place for place, name in enumerate(WHAT)}
    chosen = sorted(latest.values(), key=lambda line: order.get(line["script"], len(order)))
    table = ["| what | command | tried | survived | lost |", "|---|---|---:|---:|---:|"]
    for line in chosen:
        what = WHAT.get(line["script"], line["script"])
        notes = f": {line['notes']}" if line["notes"] else ""
        table.append(
            f"| {what}{notes} | `{line['command']}` ({line['seconds']:,} s, {line['date']}) "
            f"| {line['tried']:,} | {line['survived']:,} | {line['lost']:,} |"
        )
    return "\n".join(table)


def written(text: str, table: str) -> str:
    """The document with the table between its comments."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(paths: Sequence[Path]) -> None:
    """Rewrite the table."""
    texts = [path.read_text("utf-8") for path in paths]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    write_whole(DOCUMENT, written(DOCUMENT.read_text("utf-8"), rows(lines)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.table",
        description=f"Rewrite the table in {DOCUMENT.name} from figures of the scripts.",
    )
    parser.add_argument("figures", nargs="+", type=Path, metavar="FILE", help="written by --json")
    main(parser.parse_args().figures)

"""The table of docs/validation.md, and the recordings among the fixtures."""

import gzip
import pathlib
import re

from nested import settings

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/validation.md"
FIXTURES = ROOT / "tests/fixtures/recordings/truth"
NAME = f"truth{settings.OTHER_RELEASE}"
BEGIN, END = f"<!-- {NAME}: begin -->", f"<!-- {NAME}: end -->"
HEAD = ["scenario", "passes", "images deleted", "certain: gone of all", "possible: gone of all", "safe: gone of all",
        "time: most off", "level after: most off"]


def table(found):
    """One line for each scenario, in Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for scenario in dict.fromkeys(one["scenario"] for one in found):
        rounds = [one for one in found if one["scenario"] == scenario]
        lines.append("| " + " | ".join([scenario, str(len(rounds)), str(sum(one["deleted"] for one in rounds)), *cells(rounds)]) + " |")
    sure = [one for one in found if not one["open"]]
    deleted, certain = sum(one["deleted"] for one in sure), sum(one["counts"]["certain"][0] for one in sure)
    share = f"{100 * certain / deleted:.0f} %" if deleted else "none"
    return "\n".join([*lines, "", f"Of the {deleted} images that went where neither a tie nor a minimum age left it open, {certain} ({share}) had been called certain."])


def cells(rounds):
    """The figures of a scenario."""
    of = lambda outcome: [sum(one["counts"][outcome][part] for one in rounds) for part in (0, 1)]
    ticks = [abs(one["tick_off"]) for one in rounds if one["tick_off"] is not None]
    levels = [one["level_off"] for one in rounds if one["level_off"] is not None]
    counts = ["{} of {}".format(*of(outcome)) for outcome in ("certain", "possible", "safe")]
    deleting = any(one["deleted"] for one in rounds)
    level = f"{100 * max(levels):.1f} %" if levels else ("unknown" if deleting else "-")
    return [*counts, f"{max(ticks):.1f} s" if ticks else "-", level]


def compare(found, update):
    """Put the table into the page, or say where the page differs: in its scenarios, not in figures that vary from run to run."""
    page = PAGE.read_text()
    if BEGIN not in page and not update:
        return [f"{PAGE.relative_to(ROOT)} has no table of {settings.KUBERNETES}: write it with UPDATE_VALIDATION=1"]
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n## Kubelet {settings.KUBERNETES}\n\n{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    new = table(found)
    if update:
        PAGE.write_text(f"{before}{BEGIN}\n{new}\n{END}{after}")
        return []
    shape = lambda text: [re.split(r"\s*\|\s*", line)[1:3] for line in text.splitlines() if line.startswith("| ")]
    if shape(old) != shape(new):
        return [f"{PAGE.relative_to(ROOT)} lists other scenarios than were played: write it anew with UPDATE_VALIDATION=1 make test-truth"]
    return []


def keep(recordings):
    """Put recordings among the fixtures, compressed, without the time in the head of the file: the same bytes for the same lines."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for recording in recordings:
        (FIXTURES / f"{recording.stem}{settings.OTHER_RELEASE}.jsonl.gz").write_bytes(gzip.compress(recording.read_bytes(), mtime=0))

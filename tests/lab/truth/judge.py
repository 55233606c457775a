"""Was it right? Compares what highwater would have said just before each pass with what is gone by every other source."""

import datetime
import json
import subprocess

from .cell import stamp

# The agreed limits.
TICK_WITHIN = 5.0
LEVEL_WITHIN = 0.02
CERTAIN_AT_LEAST = 0.9
# Seconds before a tick at which the prediction is taken: longer than its time is uncertain.
AHEAD = 10


# Times in the JSON are whole seconds, the fraction is cut off.
CUT_OFF = 1.0

# What was found of each round, for the table.
FOUND = []


def judge(rounds):
    """What is wrong, a line for each; the figures of every round are in FOUND."""
    problems = []
    for one in sorted(rounds, key=lambda one: (one.scenario, one.begun)):
        found = verdict(one)
        FOUND.append(found)
        problems += [f"{one.cell.name}: {one.scenario}: {problem}" for problem in found["problems"]]
    for cell in {one.cell.name: one.cell for one in rounds}.values():
        problems += [f"{cell.name}: {problem}" for problem in replayed(cell, [one for one in rounds if one.cell is cell])]
    sure = [found for found in FOUND if not found["open"]]
    certain, deleted = sum(found["counts"]["certain"][0] for found in sure), sum(found["deleted"] for found in sure)
    if certain < CERTAIN_AT_LEAST * deleted:
        problems.append(f"of {deleted} images that went where nothing left it open only {certain} had been called certain")
    return problems


def verdict(one):
    """The figures of one round and what is wrong with it."""
    cell, problems = one.cell, []
    name = {image: listed.name for image, listed in one.before.items()}
    vanished, removed = one.vanished, {image for _, image in one.removed}
    if vanished != removed:
        problems.append(f"the runtime has lost {sorted(vanished)}, the kubelet says that it has deleted {sorted(removed)}")
    did = {name[image] for image in vanished}
    if not one.gone <= did or (not one.open and did != one.gone) or not did <= one.gone | one.of:
        problems.append(f"the kubelet itself did otherwise than the scenario says: it deleted {sorted(did)} and not {sorted(one.gone)}")
    # The last word before the first image went; a tick is asked for while it is still ahead by any reckoning.
    asked_at = (one.first or one.due) - (AHEAD if one.trigger == "image_gc" else 0.05)
    told = cell.explain(asked_at)
    trigger = next((found for found in told["triggers"] if found["trigger"] == one.trigger), None)
    outcomes = effective(trigger, told)
    predicted = {outcome: {image for image in outcomes if outcomes[image] == outcome} for outcome in ("certain", "possible", "safe")}
    if one.first and not trigger:
        problems.append(f"{one.trigger} was not predicted at all")
    figures = {
        "scenario": one.scenario, "cell": cell.name, "trigger": one.trigger, "open": one.open, "at": stamp(asked_at),
        "deleted": len(vanished), "tick_off": None, "level_off": None,
    }
    for outcome, wrong in (("certain", predicted["certain"] - vanished), ("safe", predicted["safe"] & vanished)):
        if wrong:
            problems.append(f"{outcome} and {'still there' if outcome == 'certain' else 'gone'}: {sorted(name.get(image, image) for image in wrong)}")
    if unknown := vanished - set(outcomes):
        problems.append(f"gone and not known to highwater: {sorted(name[image] for image in unknown)}")
    counts = {outcome: (len(images & vanished), len(images)) for outcome, images in predicted.items()}
    if trigger and one.first:
        likely, earliest, latest = (seconds(trigger["acts_at"][key]) for key in ("likely", "earliest", "latest"))
        figures["tick_off"] = round(one.first - likely, 2) if one.trigger == "image_gc" else round(max(earliest - one.first, one.first - latest, 0), 2)
        if abs(figures["tick_off"]) > TICK_WITHIN:
            problems.append(f"it came {figures['tick_off']} s from the time predicted")
        if trigger["crossed"] and (after := trigger["available_after_bytes"]):
            off = max(after["least"] - one.level_after, one.level_after - after["most"], 0) / one.capacity
            figures["level_off"] = round(off, 4)
            figures["level_width"] = round((after["most"] - after["least"]) / one.capacity, 4)
            if off > LEVEL_WITHIN:
                problems.append(f"the level after it was {off:.1%} of the capacity from the one predicted: "
                                f"{one.level_after} and not {after['least']} to {after['most']}")
    return figures | {"counts": counts, "problems": problems}


def effective(trigger, told):
    """What is predicted to happen, by image. While a line is not crossed, what would go for space is told as if it were; a trigger
    that is not in the list takes nothing."""
    if trigger is None:
        return {image["image"]: "safe" for image in told["images"]}
    happens = lambda found: trigger["crossed"] or found["reason"] == "age"
    return {found["image"]: found["outcome"] if happens(found) else "safe" for found in trigger["verdicts"]}


def seconds(text):
    """A time of highwater's JSON."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def replayed(cell, rounds):
    """Whether `replay` of the cell's recording finds the same: one row for each round that deleted, all of them right."""
    done = subprocess.run([cell.program, "replay", cell.recording, "-o", "json"], capture_output=True, check=False)
    if done.returncode not in (0, 1):
        return [f"replay: exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()}"]
    rows = json.loads(done.stdout)["rows"]
    problems = [f"replay: the row of {row['before']} is {row['verdict']}" for row in rows if row["verdict"] != "ok"]
    for one in rounds:
        if not one.first:
            continue
        fitting = [row for row in rows if seconds(row["after"]) <= one.first <= seconds(row["before"]) + CUT_OFF]
        if [(row["trigger"], row["deleted_images"]) for row in fitting] != [(one.trigger, len(one.vanished))]:
            problems.append(f"replay: {one.scenario}: {len(one.vanished)} images went at {stamp(one.first)}, and the rows around it are {fitting}")
    if len(rows) != sum(1 for one in rounds if one.first):
        problems.append(f"replay: {len(rows)} rows, and images went {sum(1 for one in rounds if one.first)} times")
    return problems

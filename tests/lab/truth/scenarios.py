"""What is played in each cell: one function for each, which yields its rounds."""

import time

from nested import settings

from .cell import BLOCK, pause, pause_until
from .rounds import EVICTION, GC, observe

MINIMUM_AGE = 120
# By then the agent has asked the runtime again.
LISTED = 32


def image(name, mib=8):
    """An image of the scenarios."""
    return settings.Image(f"images.example.test/truth/{name}:v1", mib)


def names(images):
    """Their names."""
    return {one.name for one in images}


def several(kind, count, mib=8):
    """Images of one kind."""
    return [image(f"{kind}-{number}", mib) for number in range(1, count + 1)]


USED, EXITED, PINNED = image("used", 4), image("exited", 4), image("pinned", 4)


def furnish(cell):
    """What is in every cell: an image in use, one of a pod that has ended, a pinned one."""
    cell.load([USED, EXITED, PINNED])
    cell.pin(PINNED.name)


def begin(cell):
    """The kubelet and the pods of the furniture."""
    cell.start_kubelet()
    cell.pod("used", USED.name)
    cell.pod("exited", EXITED.name, ends=True)


def cross(cell, percent):
    """Fall below a line of eviction at once, right after a pass: the next comes ten seconds later, and the agent sees it before."""
    def act():
        now = time.time()
        while not cell.passes(now):
            pause(0.2)
        cell.leave_percent(percent)
    return act


def leave_wanting(cell, images):
    """Fill the disk so that collection down to 80 % wants all but half an image of these."""
    sizes = [listed.size for listed in cell.images().values() if listed.name in names(images)]
    cell.leave(cell.space()[0] * 20 // 100 - sum(sizes) + min(sizes) // 2)


# ---------------------------------------------------------------- image collection: one round at each tick of five minutes


def line(cell, *sides):
    """A quarter of a MiB above the line of 16 % available nothing goes; below it, what is unused."""
    sets = [several(f"line-{number}", 2, 9) for number in range(len(sides) + 1)]
    furnish(cell)
    cell.load(sets[0])
    cell.watch()
    begin(cell)
    current = 0
    for number, side in enumerate(sides, 1):
        pause_until(cell.tick(number) - 60)
        if side == "above":
            cell.load(sets[current + 1])
        pause_until(cell.tick(number) - 40)
        quarter = 64 * BLOCK
        cell.leave(cell.space()[0] * 16 // 100 + (quarter if side == "below" else -quarter))
        if side == "below":
            yield observe(cell, "just below the trip", GC, due=cell.tick(number))
        else:
            yield observe(cell, "just above the trip", GC, due=cell.tick(number), gone=names(sets[current]))
            current += 1
        cell.relieve()


def reasons(cell):
    """More is wanted than there is: all goes but what is pinned, in use, held by an ended container or too young. The image of
    a container that waits for its init container is not in use."""
    sets = [several(f"unused-{number}", 2) for number in (1, 2, 3, 4)]
    waiting = [image(f"waits-for-init-{number}") for number in (1, 2, 3)]
    furnish(cell)
    cell.load([*sets[0], *waiting])
    cell.watch()
    begin(cell)
    for number, one in enumerate(waiting, 1):
        cell.pod(f"init-{number}", one.name, init=USED.name)
    for number in (1, 2, 3):
        pause_until(cell.tick(number) - 60)
        # To this tick it is too young, to the next it is not.
        cell.load(sets[number])
        pause_until(cell.tick(number) - 40)
        cell.leave_percent(15.9)
        gone = names(sets[number - 1]) | (names(waiting) if number == 1 else set())
        yield observe(cell, REASONS, GC, due=cell.tick(number), gone=gone)
        cell.relieve()


REASONS = "pinned, exited container, minimum age, init container"


def least_recently_used(cell):
    """First what was never used, then what was used longest ago."""
    never, *used = [several(kind, 3) for kind in ("never-used", "used-at-start", "used-at-tick-1", "used-at-tick-2")]
    furnish(cell)
    cell.load([one for images in (never, *used) for one in images])
    begin(cell)
    for number, images in enumerate(used):
        cell.pod(f"uses-{number}", *[one.name for one in images])
    cell.watch()
    pause(10)
    # The first pass of the next kubelet sees them all in use.
    cell.stop_kubelet()
    cell.start_kubelet()
    pause(45)
    for number, oldest in enumerate((never, used[0], used[1])):
        cell.remove_pod(f"uses-{number}", *[one.name for one in used[number]])
        pause_until(cell.tick(number + 1) - 40)
        leave_wanting(cell, oldest)
        yield observe(cell, "LRU order", GC, due=cell.tick(number + 1), gone=names(oldest))
        cell.relieve()


def ties(cell):
    """Images of one class go in any order; an older class goes before."""
    sets = [several(f"equal-{number}", 6) for number in (1, 2, 3)]
    furnish(cell)
    cell.load(sets[0])
    cell.watch()
    begin(cell)
    older = []
    for number, images in enumerate(sets, 1):
        if number < len(sets):
            pause_until(cell.tick(number) - 60)
            cell.load(sets[number])
        pause_until(cell.tick(number) - 40)
        leave_wanting(cell, older + images[:3])
        this = observe(cell, "ties", GC, due=cell.tick(number), gone=names(older), of=names(images), leaves_open=True)
        yield this
        cell.relieve()
        left = {listed.name for listed in this.after.values()}
        older = [one for one in images if one.name in left]


def age(cell):
    """With a maximum age of 4 minutes, and space enough: what is unused for longer, or never was, at once and however young."""
    sets = [several(f"aged-{number}", 2) for number in (1, 2, 3)]
    brief = [image(f"used-until-tick-{number}") for number in (1, 2)]
    furnish(cell)
    cell.load([*sets[0], *brief])
    cell.watch()
    begin(cell)
    for number, one in enumerate(brief, 1):
        cell.pod(f"brief-{number}", one.name)
    for number in (1, 2, 3):
        if number > 1:
            # Loaded half a minute before.
            pause_until(cell.tick(number) - 40)
            cell.load(sets[number - 1])
        gone = names(sets[number - 1]) | ({brief[number - 2].name} if number > 1 else set())
        pause_until(cell.tick(number) - 20)
        yield observe(cell, "age GC", GC, due=cell.tick(number), gone=gone)
        if number <= len(brief):
            cell.remove_pod(f"brief-{number}", brief[number - 1].name)


def flags_only(cell):
    """A kubelet without a settings file evicts nothing, however full the disk is; collection has its defaults."""
    sets = [several(f"flags-{number}", 3) for number in (1, 2, 3)]
    furnish(cell)
    cell.load(sets[0])
    cell.watch()
    begin(cell)
    for number, images in enumerate(sets, 1):
        pause_until(cell.tick(number) - 100)
        if number < len(sets):
            cell.load(sets[number])
        cell.leave_percent(3)
        yield observe(cell, "flags only: no eviction", EVICTION, due=cell.tick(number) - 30)
        yield observe(cell, "flags only: collection", GC, due=cell.tick(number), gone=names(images))
        cell.relieve()


def restart(cell):
    """A restart of the kubelet voids the order of use: what was in use a minute ago ties with what never was."""
    furnish(cell)
    cell.watch()
    begin(cell)
    left = []
    for number in (1, 2):
        never, used = several(f"never-{number}", 3, 6), several(f"restarted-{number}", 3, 6)
        cell.load([*never, *used])
        cell.pod(f"restart-{number}", *[one.name for one in used])
        # A first pass that sees them in use.
        cell.stop_kubelet()
        cell.start_kubelet()
        pause(35)
        cell.remove_pod(f"restart-{number}", *[one.name for one in used])
        cell.stop_kubelet()
        cell.start_kubelet()
        pause_until(cell.tick(1) - 40)
        together = [*left, *never, *used]
        leave_wanting(cell, together[:len(together) // 2])
        this = observe(cell, "restart", GC, due=cell.tick(1), of=names(together), leaves_open=True)
        yield this
        cell.relieve()
        there = {listed.name for listed in this.after.values()}
        left = [one for one in together if one.name in there]


def two_kubelets(first, second):
    """One disk, two nodes: whose tick comes first after the crossing deletes its own images, and spares the other's."""
    sets = {cell: [several(f"{cell.name}-{number}", 3) for number in (1, 2, 3)] for cell in (first, second)}
    for cell in (first, second):
        furnish(cell)
        cell.load(sets[cell][0])
        cell.watch()
        begin(cell)
        if cell is first:
            pause_until(first.started + 50)
    had = {first: 0, second: 0}
    for number in (1, 2, 3):
        acts = second if number == 2 else first
        pause_until(first.tick(number) - 60)
        acts_on = sets[acts][had[acts]]
        had[acts] += 1
        if had[acts] < 3:
            acts.load(sets[acts][had[acts]])
        if acts is first:
            pause_until(first.tick(number) - 40)
            leave_wanting(first, acts_on)
        yield observe(first, TWO, GC, due=first.tick(number), gone=names(acts_on) if acts is first else ())
        if acts is second:
            pause_until(second.tick(number) - 40)
            leave_wanting_of(second, first, acts_on)
        yield observe(second, TWO, GC, due=second.tick(number), gone=names(acts_on) if acts is second else ())
        first.relieve()


TWO = "two kubelets on one disk"


def leave_wanting_of(owner, filler, images):
    """As `leave_wanting`, where another node on the disk takes the space."""
    sizes = [listed.size for listed in owner.images().values() if listed.name in names(images)]
    filler.leave(owner.space()[0] * 20 // 100 - sum(sizes) + min(sizes) // 2)


# ---------------------------------------------------------------- eviction: a pass every ten seconds


def evicts_everything(cell, scenario="eviction of everything unused"):
    """Everything unused goes, an ended pod's container first and its image with the rest. Three sets, each seen by a pass before."""
    sets = [several(f"evicted-{number}", 3) for number in (1, 2, 3)]
    furnish(cell)
    cell.load(sets[0])
    cell.watch()
    begin(cell)
    for number, images in enumerate(sets):
        # Old enough: seen at the pass of the start, or at a tick.
        pause_until(cell.tick(number) + MINIMUM_AGE + 10)
        gone = names(images) | ({EXITED.name} if number == 0 else set())
        this = observe(cell, scenario, EVICTION, due=time.time() + 25, gone=gone, act=cross(cell, 14.5))
        cell.relieve()
        if number + 1 < len(sets):
            cell.load(sets[number + 1])
        yield this


def collection_off(cell):
    """With a high threshold of 100 no tick deletes anything; eviction does."""
    for this in evicts_everything(cell, "GC off, eviction on"):
        yield this
        number = sum(1 for at in (1, 2) if this.begun > cell.tick(at)) + 1
        pause_until(cell.tick(number) - 30)
        cell.leave_percent(15.5)
        yield observe(cell, "GC off: an image GC run below 16 %", GC, due=cell.tick(number))
        cell.relieve()


def starts_below(cell):
    """On a disk below the line of eviction a kubelet deletes no image until the minimum age has passed since its start."""
    cell.load([PINNED])
    cell.pin(PINNED.name)
    cell.watch()
    for number in (1, 2, 3):
        images = several(f"below-{number}", 3)
        cell.load(images)
        # Long enough to be listed before the start: what came after it might not have been seen by its first pass.
        pause(LISTED)
        cell.leave_percent(12)
        cell.start_kubelet()
        safe_until = cell.started + MINIMUM_AGE
        yield observe(cell, "start below the line: minimum age", EVICTION, due=safe_until - 10)
        yield observe(cell, "start below the line: afterwards", EVICTION, due=safe_until + 15, gone=names(images), leaves_open=True)
        cell.stop_kubelet()
        cell.relieve()


def minimum_age_after_a_start(cell):
    """With a minimum age of an hour: up to 1.28 what is there at a kubelet's start has no age to wait for, from 1.29 on it has."""
    images = several("at-start", 3)
    furnish(cell)
    cell.load(images)
    cell.watch()
    pause(LISTED)
    begin(cell)
    pause(LISTED)
    gone = names(images) | {EXITED.name} if settings.MINOR <= 28 else ()
    yield observe(cell, "minimum age after a start", EVICTION, due=time.time() + 25, gone=gone, act=cross(cell, 14.5))
    cell.relieve()


def nodefs(cell):
    """A threshold of nodefs on the disk that it shares with the images: from 1.29 to 1.31 a sync may turn to pods and delete no image."""
    skips = 29 <= settings.MINOR <= 31
    sets = [several(f"nodefs-{number}", 3) for number in (1, 2, 3)]
    furnish(cell)
    cell.load(sets[0])
    cell.watch()
    begin(cell)
    for number, images in enumerate(sets):
        pause_until(cell.tick(number) + MINIMUM_AGE + 10)
        gone = names(images) | ({EXITED.name} if number == 0 else set())
        expected = {"of": gone, "leaves_open": True} if skips else {"gone": gone}
        this = observe(cell, "nodefs on a shared disk", EVICTION, due=time.time() + 45, act=cross(cell, 14.5), **expected)
        cell.relieve()
        if number + 1 < len(sets):
            cell.load(sets[number + 1])
        yield this


# ---------------------------------------------------------------- the cells

# Far from the line of eviction, so that collection has the disk to itself.
FAR = {"evictionHard": {"imagefs.available": "2%"}}

# Name, or names where nodes share a disk; the story; what its kubelets are told.
CELLS = {
    "line-1": (lambda cell: line(cell, "below", "above", "below"), {}),
    "line-2": (lambda cell: line(cell, "above", "below", "above"), {}),
    "reasons": (reasons, FAR | {"imageGCLowThresholdPercent": 10}),
    "lru": (least_recently_used, FAR),
    "ties": (ties, FAR),
    "age": (age, {"imageMaximumGCAge": "4m"}),
    "flags": (flags_only, None),
    "restart-1": (restart, FAR),
    "restart-2": (restart, FAR),
    "two-first two-second": (two_kubelets, FAR),
    "eviction": (evicts_everything, {}),
    "gc-off": (collection_off, {"imageGCHighThresholdPercent": 100}),
    "starts-below": (starts_below, {}),
    "minimum-age": (minimum_age_after_a_start, {"imageMinimumGCAge": "1h"}),
    "nodefs": (nodefs, {"evictionHard": {"nodefs.available": "15%"}}),
}
# From which minor release on a story can be told: before, the setting does not exist or is off; or the kubelet deletes in the second
# in which it starts, when nobody has discovered it yet.
SINCE = {"age": 30, "starts-below": 29}
CELLS = {names: cell for names, cell in CELLS.items() if settings.MINOR >= SINCE.get(names, 0)}

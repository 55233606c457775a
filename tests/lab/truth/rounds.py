"""A round: what was in the store before, what a pass of the kubelet did, and what was in it and on the disk afterwards."""

import time
from dataclasses import dataclass, field

from nested.machine import say

from .cell import pause

GC, EVICTION = "image_gc", "image_eviction"
# After the first deletion the rest follows within a second, and the space is back.
SETTLED = 8.0


@dataclass
class Round:
    """One chance of a kubelet to delete, and what came of it by every source but highwater."""

    scenario: str
    cell: object
    trigger: str
    # What the kubelet must delete if it follows the rule that the scenario is about: names, or how many of these.
    gone: set
    of: set
    # Whether the rule leaves open which of several images go (a tie) or at which sync (a minimum age that ends between two).
    open: bool
    begun: float
    # When the pass is due at the latest; where nothing is deleted there is no other time to ask for.
    due: float
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    levels: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    capacity: int = 0

    @property
    def first(self):
        """When the first image went, by the kubelet's log; None: nothing went."""
        return self.removed[0][0] if self.removed else None

    @property
    def vanished(self):
        """Ids that the runtime does not list any more."""
        return {image for image in self.before if image not in self.after}

    @property
    def level_after(self):
        """The most that was available in the seconds after the deletions."""
        return max(available for at, available in self.levels if at >= self.first)


def observe(cell, scenario, trigger, *, due, gone=(), of=(), leaves_open=False, act=None):
    """Note the store, `act`, and look on until the kubelet has deleted or the pass that is due has surely come and gone.

    `gone`: names of images that have to go. With `leaves_open`, of the names in `of` as many go as are wanted, besides `gone`.
    """
    this = Round(scenario, cell, trigger, set(gone), set(of), leaves_open, begun=time.time(), due=due)
    this.before, this.capacity = cell.images(), cell.space()[0]
    if act:
        act()
    while True:
        this.levels.append((time.time(), cell.space()[1]))
        this.removed = cell.removed(this.begun)
        now = time.time()
        if (this.first and now > this.first + SETTLED) or (not this.first and now > due + SETTLED):
            break
        pause(0.5 if now > due - 15 else 1.0)
    this.after = cell.images()
    names = sorted(this.before[image].name.rpartition("/")[2] for image in this.vanished)
    say(f"{cell.name}: {scenario}: {', '.join(names) or 'nothing'} deleted")
    return this

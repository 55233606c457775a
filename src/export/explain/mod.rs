//! How does `explain` look in a terminal? For each layer what is known of its images, then for each trigger what is deleted.

mod help;

use super::phrase::{self, count};
use super::put::put;
use crate::assess::ImageState;
use crate::model::Trigger;
use crate::model::prediction::Total;
use crate::model::recovery::{Critical, Recoverable};
use crate::report::PolicyReport;
use crate::report::explanation::{
    Certainty, Explanation, ImageExplanation, LastUse, LayerExplanation, OutcomeReason, OutcomeReport, PredictionReport,
};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, human_signed};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::cmp::Reverse;

/// The whole answer, ending in a newline. `width` as for [`table::render`](super::table::render).
pub fn render(explanation: &Explanation, width: Option<u16>) -> String {
    if explanation.layers.is_empty() {
        return "No layer has a kubelet, so that nothing deletes images here.\n".to_owned();
    }
    let shown = Shown { now: explanation.now(), written: explanation.if_written_bytes, width };
    let mut text = String::new();
    for disk in explanation.disks.iter().filter(|disk| !disk.expected_triggers.is_empty()) {
        put!(text, "{} on {}, what is expected first:\n", disk.device, disk.mountpoint);
        for (found, number) in disk.expected_triggers.iter().zip(1_u32..) {
            put!(text, "  {number}. {}\n", phrase::expected(found));
        }
    }
    for layer in &explanation.layers {
        if !text.is_empty() {
            text.push('\n');
        }
        shown.explain(&mut text, layer);
    }
    text
}

/// What is the same for every layer.
struct Shown {
    now: Timestamp,
    written: Option<Bytes>,
    width: Option<u16>,
}

/// An image with what happens to it.
type Judged<'a> = (&'a ImageExplanation, &'a OutcomeReport);

impl Shown {
    fn explain(&self, text: &mut String, layer: &LayerExplanation) {
        put!(text, "{} ({})\n", layer.layer, layer.kind);
        let Some(kubelet) = &layer.kubelet else {
            text.push_str("  No kubelet: nothing deletes images here.\n");
            return;
        };
        let version = kubelet.version.as_ref().map_or("of unknown release", |version| version.as_str());
        let policy = layer.policy.as_ref();
        let told_by = phrase::told_by(kubelet.version_origin.as_ref());
        put!(text, "  Kubelet {version}{told_by}, image GC {}.\n", phrase::image_gc(policy, true));
        for problem in policy.into_iter().flat_map(|policy| &policy.problems) {
            put!(text, "  Its settings: {problem}.\n");
        }
        if let Some(error) = &layer.error {
            put!(text, "  Its images could not be read: {error}. Nothing can be said of them.\n");
            return;
        }
        self.of_the_images(text, layer);
        let Some(policy) = policy else {
            text.push_str("  Its settings could not be read, so that nobody knows what it deletes.\n");
            return;
        };
        if !policy.image_gc_enabled {
            text.push_str("\n  Image GC is off here: no image is deleted to free disk space, until eviction.\n");
        }
        if let Some(age) = &policy.image_maximum_gc_age {
            put!(
                text,
                "  Images unused for longer than {} are deleted at any image GC run, however full the disk is.\n",
                age.value
            );
        }
        if let (Some(written), Some(available)) = (self.written, layer.avail_bytes)
            && written > available
        {
            put!(text, "  Only {available} are available on its disk: {written} more do not fit.\n");
        }
        self.triggers(text, layer, policy);
        if let Some(at) = layer.new_image_gc_eligible_at {
            let soonest = at.since(self.now);
            put!(text, "\n  An image loaded now and not used could be deleted in {soonest} at the earliest.\n");
        }
        help::help(text, layer);
    }

    fn of_the_images(&self, text: &mut String, layer: &LayerExplanation) {
        put!(text, "  {}, listed {} ago:", count(layer.images.len(), "image"), self.ago(layer.listed_at));
        for state in ImageState::ALL {
            let of_state = layer.images.iter().filter(|image| image.state.is(state)).count();
            let word = match state {
                ImageState::InUse => "in use",
                ImageState::Pinned => "pinned",
                ImageState::TooYoung => "too young",
                ImageState::Evictable => "evictable",
            };
            put!(text, "{} {of_state} {word}", if state == ImageState::InUse { "" } else { "," });
        }
        text.push_str(".\n");
        if layer.complete == Some(false) {
            text.push_str("  The runtime's lists were cut: nothing is certain.\n");
        }
        if layer.image_volumes_known == Some(false) {
            text.push_str(
                "  Which images are mounted as volumes is not known: where the kubelet may count these, nothing is certain.\n",
            );
        }
        let evictable = |is: fn(&ImageExplanation) -> bool| {
            layer.images.iter().filter(|image| image.state.is(ImageState::Evictable) && is(image)).count()
        };
        let unknown = evictable(|image| image.last_use.is(LastUse::Unknown));
        if unknown > 0 {
            let since = self.ago(layer.followed_since);
            put!(
                text,
                "  The last use of {} is not known, and with it their order: highwater has watched for {since} only.\n",
                count(unknown, "image")
            );
        }
        // What a single measurement cannot know.
        let unseen = evictable(|image| !image.seen_by_kubelet);
        if unseen > 0 {
            put!(
                text,
                "  No image GC run of the kubelet was seen since then: {} may have come after the last one, and be too young for \
                 the next.\n",
                count(unseen, "image")
            );
        }
    }

    fn triggers(&self, text: &mut String, layer: &LayerExplanation, policy: &PolicyReport) {
        let mut before: Option<&PredictionReport> = None;
        for trigger in &layer.triggers {
            text.push('\n');
            self.trigger(text, trigger, policy);
            if let Some(same) = before.filter(|before| before.verdicts == trigger.verdicts) {
                put!(text, "  The same images are deleted as by {}.\n", same.trigger.text(phrase::trigger));
            } else {
                self.victims(text, trigger, layer);
            }
            before = Some(trigger);
        }
        if layer.triggers.iter().all(|trigger| trigger.trigger.is(Trigger::ImageGc)) {
            text.push_str("\n  Eviction deletes no images here: its thresholds are off, or on another disk.\n");
        }
        if layer.triggers.is_empty() {
            put!(text, "  All of the {} stay.\n", count(layer.images.len(), "image"));
        }
    }

    fn trigger(&self, text: &mut String, trigger: &PredictionReport, policy: &PolicyReport) {
        put!(text, "  {}", phrase::capitalised(trigger.trigger.text(phrase::trigger)));
        if let Some(signal) = &trigger.signal {
            put!(text, " ({signal})");
        }
        text.push_str(": ");
        if let Some(written) = self.written {
            put!(text, "after {written} more, ");
        }
        let in_inodes = trigger.trigger.is(Trigger::InodeEviction);
        let distance = trigger.headroom.map(|headroom| phrase::amount(headroom.saturating_abs(), in_inodes));
        let distance = distance.unwrap_or_else(|| "an unknown amount".to_owned());
        let next = trigger.acts_at.likely.since(self.now).max(Span::ZERO);
        if trigger.crossed {
            put!(text, "its threshold is crossed by {distance}; the kubelet acts in {next}");
        } else {
            let used = if in_inodes { "used" } else { "written" };
            put!(text, "starts after another {distance} {} {used}", if in_inodes { "are" } else { "is" });
        }
        if trigger.grace_period > Span::ZERO {
            put!(text, ", after a grace period of {}", trigger.grace_period);
        }
        text.push_str(".\n");
        if !trigger.crossed {
            put!(text, "  If its threshold were crossed at the next run, in {next}:\n");
        }
        if let Some(wanted) = &trigger.wanted_bytes {
            put!(
                text,
                "    GC must free {} to get from the high threshold down to {}% (kubelet)",
                human_signed(wanted.most),
                policy.image_gc_low_threshold_percent.value.get()
            );
            text.push_str(match trigger.suffices {
                Some(true) => "; the deletable images are enough.\n",
                Some(false) => ", more than it can delete.\n",
                None => "; whether the deletable images are enough is not known.\n",
            });
        } else if !trigger.trigger.is(Trigger::ImageGc) {
            text.push_str("    Eviction deletes every unused image that is old enough, then kills pods.\n");
        }
    }

    fn victims(&self, text: &mut String, trigger: &PredictionReport, layer: &LayerExplanation) {
        let mut judged: Vec<Judged<'_>> = layer.outcomes(trigger);
        judged.sort_by_key(|(image, outcome)| {
            (&outcome.outcome, &outcome.reason, Reverse(image.size_bytes), &image.image)
        });
        let total = |total: Total| format!("{}, {}", count(total.images, "image"), total.bytes);
        put!(text, "    Certain: {}. Possible: {}.", total(trigger.certain), total(trigger.possible));
        match trigger.available_after_bytes.map(|after| (after.least.map(Bytes::new), Bytes::new(after.most))) {
            Some((Some(least), most)) if least != most => {
                put!(text, " Afterwards {least} to {most} would be available.\n");
            }
            Some((_, most)) => put!(text, " Afterwards {most} would be available.\n"),
            None => text.push_str(" What that frees on the disk is not known.\n"),
        }
        losses(text, &judged);
        if judged.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["   OUTCOME", "IMAGE", "SIZE", "WHY", "CAN BE PULLED", "NEEDED BY"]);
        for (image, outcome) in &judged {
            let word = if outcome.stays() { "stays" } else { outcome.outcome.as_str() };
            table.add_row([
                Cell::new(format!("   {word}")),
                Cell::new(&image.name),
                Cell::new(image.size_bytes.map_or_else(|| "?".to_owned(), |size| size.to_string())),
                Cell::new(self.why(image, outcome)),
                Cell::new(&image.recoverable),
                Cell::new(image.critical.as_ref().map_or("-", |critical| critical.text(needed_by))),
            ]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(100));
        }
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    fn why(&self, image: &ImageExplanation, outcome: &OutcomeReport) -> String {
        if !outcome.reason.is(OutcomeReason::Space) {
            return outcome.reason.text(phrase::reason).to_owned();
        }
        match image.last_use.known() {
            Some(LastUse::Never) => "never used".to_owned(),
            Some(LastUse::Known) => format!("last used {} ago", self.ago(image.last_used_at)),
            Some(LastUse::Unknown) | None => "last use unknown".to_owned(),
        }
    }

    /// How long ago a point in time was; `0s` where it is not known.
    fn ago(&self, at: Option<Timestamp>) -> Span {
        at.map_or(Span::ZERO, |at| self.now.since(at).max(Span::ZERO))
    }
}

/// Which of the losses are fatal, and why.
fn losses(text: &mut String, judged: &[Judged<'_>]) {
    let gone = |image: &ImageExplanation| image.recoverable.is(Recoverable::No);
    let needed = |image: &ImageExplanation| image.critical.is_some();
    let of = |outcomes: &[Certainty], is: &dyn Fn(&ImageExplanation) -> bool| {
        let is_one = |outcome: &OutcomeReport| outcomes.iter().any(|wanted| outcome.outcome.is(*wanted));
        judged.iter().filter(|(image, outcome)| is_one(outcome) && is(image)).count()
    };
    let fatal = ImageExplanation::is_fatal;
    let (certain, possible) = (of(&[Certainty::Certain], &fatal), of(&[Certainty::Possible], &fatal));
    if certain == 0 && possible == 0 {
        return;
    }
    let deleted = [Certainty::Certain, Certainty::Possible];
    put!(
        text,
        "    Fatal: {certain} of the certain and {possible} of the possible; {} exist nowhere else as far as names tell, {} are \
         needed by the node itself.\n",
        of(&deleted, &gone),
        of(&deleted, &needed)
    );
}

/// What needs an image.
pub(super) const fn needed_by(critical: Critical) -> &'static str {
    match critical {
        Critical::Sandbox => "every pod",
        Critical::StaticPod => "a static pod",
        Critical::KubeSystem => "kube-system",
        Critical::Pattern => "a pattern",
    }
}

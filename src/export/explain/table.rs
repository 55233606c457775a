//! How does `explain` look in a terminal? For each layer what is known of its images, then for each trigger what would go.

use super::document::{Document, ImageEntry, LayerEntry, TotalEntry, TriggerEntry, VerdictEntry, describe};
use super::help;
use super::{Question, UnknownLayer};
use crate::assess::ImageState;
use crate::export::expected_triggers::line;
use crate::export::json::PolicyEntry;
use crate::export::phrase::{self, count};
use crate::export::put::put;
use crate::model::Trigger;
use crate::snapshot::Snapshot;
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, human_signed};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The whole answer at `now`, ending in a newline. `width` as for [`table::render`](super::super::table::render).
///
/// # Errors
/// When the layer that was asked for is not there, or is not the only one of that name.
pub fn render(
    snapshot: &Snapshot,
    now: Timestamp,
    question: Question<'_>,
    width: Option<u16>,
) -> Result<String, UnknownLayer> {
    describe(snapshot, now, question).map(|document| show(&document, width))
}

/// The same from the structures of the JSON.
pub(crate) fn show(document: &Document, width: Option<u16>) -> String {
    if document.layers.is_empty() {
        return "No layer has a kubelet, so that nothing deletes images here.\n".to_owned();
    }
    let now = document.sampled_at.parse().unwrap_or(Timestamp::from_micros(0));
    let shown = Shown {
        now: now + Span::from_secs_f64(document.age_seconds),
        written: document.if_written_bytes.map(Bytes::new),
        width,
    };
    let mut text = String::new();
    for disk in document.disks.iter().filter(|disk| !disk.expected_triggers.is_empty()) {
        put!(text, "{} on {}, what is expected first:\n", disk.device, disk.mountpoint);
        for (strike, number) in disk.expected_triggers.iter().zip(1_u32..) {
            put!(text, "  {number}. {}\n", line(strike));
        }
    }
    for layer in &document.layers {
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

/// A verdict with the image that it is of.
type Judged<'a> = (&'a ImageEntry, &'a VerdictEntry);

impl Shown {
    fn explain(&self, text: &mut String, layer: &LayerEntry) {
        put!(text, "{} ({})\n", layer.layer, layer.kind);
        let Some(kubelet) = &layer.kubelet else {
            text.push_str("  No kubelet: nothing deletes images here.\n");
            return;
        };
        let version = kubelet.version.as_deref().unwrap_or("of unknown release");
        let policy = layer.policy.as_ref();
        let told_by = phrase::told_by(kubelet.version_origin.as_deref());
        put!(text, "  Kubelet {version}{told_by}, image GC {}.\n", phrase::image_gc_of(policy, true));
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
            text.push_str("\n  Image GC is off here: no image goes for want of space, until eviction.\n");
        }
        if let Some(age) = &policy.image_maximum_gc_age_seconds {
            let age = Span::from_secs_f64(age.value);
            put!(text, "  Images unused for longer than {age} go at any check, whatever the disk says.\n");
        }
        if let (Some(written), Some(available)) = (self.written, layer.avail_bytes.map(Bytes::new))
            && written > available
        {
            put!(text, "  Only {available} are available on its disk: {written} more do not fit.\n");
        }
        self.triggers(text, layer, policy);
        if let Some(at) = layer.new_image_gc_eligible_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok()) {
            let soonest = at.since(self.now);
            put!(text, "\n  An image loaded now and not used could be collected in {soonest} at the earliest.\n");
        }
        help::help(text, layer);
    }

    fn of_the_images(&self, text: &mut String, layer: &LayerEntry) {
        put!(text, "  {}, listed {} ago:", count(layer.images.len(), "image"), self.ago(layer.listed_at.as_deref()));
        for state in ImageState::ALL {
            let of_state = layer.images.iter().filter(|image| image.state == state.as_str()).count();
            let word = match state {
                ImageState::InUse => "in use",
                ImageState::Pinned => "pinned",
                ImageState::TooYoung => "too young",
                ImageState::Evictable => "can go",
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
        let can_go = |is: fn(&ImageEntry) -> bool| {
            layer.images.iter().filter(|image| image.state == ImageState::Evictable.as_str() && is(image)).count()
        };
        let unknown = can_go(|image| image.last_use == "unknown");
        if unknown > 0 {
            let since = self.ago(layer.followed_since.as_deref());
            put!(
                text,
                "  The last use of {} is not known, and with it their order: highwater has watched for {since} only.\n",
                count(unknown, "image")
            );
        }
        // What a one-shot look cannot know.
        let unseen = can_go(|image| !image.seen_by_kubelet);
        if unseen > 0 {
            put!(
                text,
                "  No check of the kubelet was seen since then: {} may have come after the last one, and be too young for \
                 the next.\n",
                count(unseen, "image")
            );
        }
    }

    fn triggers(&self, text: &mut String, layer: &LayerEntry, policy: &PolicyEntry) {
        let mut before: Option<&TriggerEntry> = None;
        for trigger in &layer.triggers {
            text.push('\n');
            self.trigger(text, trigger, policy);
            if let Some(same) = before.filter(|before| before.verdicts == trigger.verdicts) {
                put!(text, "  The same images would go as by {}.\n", phrase::trigger_named(&same.trigger));
            } else {
                self.victims(text, trigger, &layer.images);
            }
            before = Some(trigger);
        }
        if layer.triggers.iter().all(|trigger| trigger.trigger == Trigger::ImageGc.as_str()) {
            text.push_str("\n  Eviction deletes no images here: its thresholds are off, or on another disk.\n");
        }
        if layer.triggers.is_empty() {
            put!(text, "  All of the {} stay.\n", count(layer.images.len(), "image"));
        }
    }

    fn trigger(&self, text: &mut String, trigger: &TriggerEntry, policy: &PolicyEntry) {
        put!(text, "  {}", phrase::capitalised(phrase::trigger_named(&trigger.trigger)));
        if let Some(signal) = &trigger.signal {
            put!(text, " ({signal})");
        }
        text.push_str(": ");
        if let Some(written) = self.written {
            put!(text, "after {written} more, ");
        }
        let away = trigger.headroom.map(|headroom| phrase::amount(&trigger.trigger, headroom.saturating_abs()));
        let away = away.unwrap_or_else(|| "an unknown amount".to_owned());
        let next = trigger.acts_at.likely.parse::<Timestamp>().map(|at| at.since(self.now).max(Span::ZERO));
        let next = next.map_or_else(|_| "?".to_owned(), |next| next.to_string());
        if trigger.crossed {
            put!(text, "the line is crossed by {away}; the kubelet acts in {next}");
        } else {
            put!(text, "the line is {away} away; nothing goes for want of space before that");
        }
        let grace_period = Span::from_secs_f64(trigger.grace_period_seconds);
        if grace_period > Span::ZERO {
            put!(text, ", after a grace period of {grace_period}");
        }
        text.push_str(".\n");
        if !trigger.crossed {
            put!(text, "  If it were crossed at the next look, in {next}:\n");
        }
        if let Some(wanted) = &trigger.wanted_bytes {
            put!(
                text,
                "    It wants {} to get from the high threshold down to {}% (kubelet)",
                human_signed(wanted.most),
                policy.image_gc_low_threshold_percent.value
            );
            text.push_str(match trigger.suffices {
                Some(true) => ", which is there.\n",
                Some(false) => ", more than it can delete.\n",
                None => "; whether that is there is open.\n",
            });
        } else if trigger.trigger != Trigger::ImageGc.as_str() {
            text.push_str("    Eviction deletes every unused image that is old enough, then kills pods.\n");
        }
    }

    fn victims(&self, text: &mut String, trigger: &TriggerEntry, images: &[ImageEntry]) {
        let by_id: BTreeMap<&str, &ImageEntry> = images.iter().map(|image| (image.image.as_str(), image)).collect();
        let judged = trigger.verdicts.iter().filter_map(|verdict| Some((*by_id.get(verdict.image.as_str())?, verdict)));
        let mut judged: Vec<Judged<'_>> = judged.collect();
        judged.sort_by_key(|(image, verdict)| (rank(verdict), Reverse(image.size_bytes), &image.image));
        let total = |total: TotalEntry| format!("{}, {}", count(total.images, "image"), Bytes::new(total.bytes));
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
        table.set_header(["   FATE", "IMAGE", "SIZE", "WHY", "CAN BE PULLED", "NEEDED BY"]);
        for (image, verdict) in &judged {
            let outcome = if verdict.outcome == "safe" { "stays" } else { &verdict.outcome };
            table.add_row([
                Cell::new(format!("   {outcome}")),
                Cell::new(&image.name),
                Cell::new(image.size_bytes.map_or_else(|| "?".to_owned(), |size| Bytes::new(size).to_string())),
                Cell::new(self.why(image, verdict)),
                Cell::new(&image.recoverable),
                Cell::new(image.critical.as_deref().map_or("-", needed_by)),
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

    fn why(&self, image: &ImageEntry, verdict: &VerdictEntry) -> String {
        match (verdict.outcome.as_str(), verdict.reason.as_str()) {
            ("safe", reason) => phrase::stays(reason),
            (_, "age") => "unused for too long",
            (_, "space") => match image.last_use.as_str() {
                "never" => "never used",
                "known" => return format!("last used {} ago", self.ago(image.last_used_at.as_deref())),
                _ => "last use unknown",
            },
            (_, other) => other,
        }
        .to_owned()
    }

    /// How long ago a point in time was; `0s` where it is not known.
    fn ago(&self, at: Option<&str>) -> Span {
        let at = at.and_then(|at| at.parse::<Timestamp>().ok());
        at.map_or(Span::ZERO, |at| self.now.since(at).max(Span::ZERO))
    }
}

/// Which of the losses are fatal, and why.
fn losses(text: &mut String, judged: &[Judged<'_>]) {
    let gone = |image: &ImageEntry| image.recoverable == "no";
    let needed = |image: &ImageEntry| image.critical.is_some();
    let of = |outcomes: &[&str], is: &dyn Fn(&ImageEntry) -> bool| {
        judged.iter().filter(|(image, verdict)| outcomes.contains(&verdict.outcome.as_str()) && is(image)).count()
    };
    let fatal = |image: &ImageEntry| gone(image) || needed(image);
    let (sure, perhaps) = (of(&["certain"], &fatal), of(&["possible"], &fatal));
    if sure == 0 && perhaps == 0 {
        return;
    }
    let goes = ["certain", "possible"];
    put!(
        text,
        "    Fatal: {sure} of the certain and {perhaps} of the possible; {} exist nowhere else as far as names tell, {} are \
         needed by the node itself.\n",
        of(&goes, &gone),
        of(&goes, &needed)
    );
}

/// The order of the rows: what goes first, then what stays by its reason.
fn rank(verdict: &VerdictEntry) -> (usize, usize) {
    let place = |list: &[&str], word: &str| list.iter().position(|known| *known == word).unwrap_or(list.len());
    let reasons = ["space", "age", "in_use", "pinned", "too_young", "gc_disabled", "not_needed"];
    (place(&["certain", "possible", "safe"], &verdict.outcome), place(&reasons, &verdict.reason))
}

fn needed_by(critical: &str) -> &str {
    match critical {
        "sandbox" => "every pod",
        "static_pod" => "a static pod",
        "kube_system" => "kube-system",
        "pattern" => "a pattern",
        other => other,
    }
}

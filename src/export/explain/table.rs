//! How does `explain` look in a terminal? For each layer what is known of its images, then for each trigger what would go.

use super::super::phrase;
use super::super::put::put;
use super::super::view::{LayerView, View};
use super::{Known, Question, UnknownLayer, chosen, judged, known, predictions_after, recoverable};
use crate::assess::{ImageState, ImagesAssessment};
use crate::model::prediction::{Prediction, Total};
use crate::model::recovery::{Critical, Recoverable};
use crate::model::victims::{Cause, Fate, SafeReason, Verdict};
use crate::model::{GcPolicy, Trigger};
use crate::snapshot::Snapshot;
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, human_signed};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

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
    let view = View::new(snapshot, now);
    let layers = chosen(&view, question)?;
    if layers.is_empty() {
        return Ok("No layer has a kubelet, so that nothing deletes images here.\n".to_owned());
    }
    let mut text = String::new();
    for layer in layers {
        if !text.is_empty() {
            text.push('\n');
        }
        explain(&mut text, snapshot, &view, layer, question.written, width);
    }
    Ok(text)
}

fn explain(
    text: &mut String,
    snapshot: &Snapshot,
    view: &View<'_>,
    layer: &LayerView<'_>,
    written: Option<Bytes>,
    width: Option<u16>,
) {
    let now = view.now;
    put!(text, "{} ({})\n", layer.name, layer.sample.kind);
    let Some(kubelet) = &layer.sample.kubelet else {
        text.push_str("  No kubelet: nothing deletes images here.\n");
        return;
    };
    let version = kubelet.version.as_ref().map_or("of unknown release", |version| version.as_str());
    put!(text, "  Kubelet {version}, image GC {}.\n", phrase::image_gc(layer));
    for problem in layer.policy().into_iter().flat_map(|policy| &policy.problems) {
        put!(text, "  Its settings: {problem}.\n");
    }
    if let Some(absence) = layer.sample.images.absence() {
        put!(text, "  Its images could not be read: {absence}. Nothing can be said of them.\n");
        return;
    }
    let Some(images) = layer.assessment.and_then(|found| found.images.as_ref()) else { return };
    of_the_images(text, layer, images, now);
    let Some(policy) = layer.policy() else {
        text.push_str("  Its settings could not be read, so that nobody knows what it deletes.\n");
        return;
    };
    if !policy.image_gc.enabled {
        text.push_str("\n  Image GC is off here: no image goes for want of space, until eviction.\n");
    }
    if let Some(age) = &policy.image_gc.maximum_age {
        put!(text, "  Images unused for longer than {} go at any check, whatever the disk says.\n", age.value);
    }
    if let (Some(written), Some(space)) = (written, view.imagefs(layer).and_then(|disk| disk.space()))
        && written > space.available
    {
        put!(text, "  Only {} are available on its disk: {written} more do not fit.\n", space.available);
    }
    let all = known(layer);
    let found = predictions_after(&snapshot.sample, layer, written);
    let mut before: Option<&Prediction> = None;
    for prediction in found.as_ref() {
        text.push('\n');
        trigger(text, prediction, policy, now, written);
        let same = before.filter(|before| {
            let fates = |of: &Prediction| of.verdicts.iter().map(|verdict| verdict.fate).collect::<Vec<_>>();
            fates(before) == fates(prediction)
        });
        if let Some(same) = same {
            put!(text, "  The same images would go as by {}.\n", phrase::trigger(same.level.trigger));
        } else {
            victims(text, prediction, &all, now, width);
        }
        before = Some(prediction);
    }
    if found.iter().all(|prediction| prediction.level.trigger == Trigger::ImageGc) {
        text.push_str("\n  Eviction deletes no images here: its thresholds are off, or on another disk.\n");
    }
    if found.is_empty() {
        put!(text, "  All of the {} stay.\n", count(all.len(), "image"));
    }
    if let Some(at) = images.first_chance {
        put!(text, "\n  An image loaded now and not used could be collected in {} at the earliest.\n", at.since(now));
    }
}

fn of_the_images(text: &mut String, layer: &LayerView<'_>, images: &ImagesAssessment, now: Timestamp) {
    let age = now.since(images.listed_at).max(Span::ZERO);
    put!(text, "  {}, listed {age} ago:", count(images.images.len(), "image"));
    for state in ImageState::ALL {
        let of_state = images.images.iter().filter(|note| note.state == state).count();
        let word = match state {
            ImageState::InUse => "in use",
            ImageState::Pinned => "pinned",
            ImageState::TooYoung => "too young",
            ImageState::Evictable => "can go",
        };
        put!(text, "{} {of_state} {word}", if state == ImageState::InUse { "" } else { "," });
    }
    text.push_str(".\n");
    if !images.complete {
        text.push_str("  The runtime's lists were cut: nothing is certain.\n");
    }
    let unknown = known(layer)
        .iter()
        .filter(|known| {
            known.note.state == ImageState::Evictable && known.note.last_used == crate::assess::LastUsed::Unknown
        })
        .count();
    if unknown > 0 {
        let since = images.followed_since.map_or(Span::ZERO, |since| now.since(since).max(Span::ZERO));
        put!(
            text,
            "  The last use of {} is not known, and with it their order: highwater has watched for {since} only.\n",
            count(unknown, "image")
        );
    }
    unseen(text, images);
}

/// What a one-shot look cannot know.
fn unseen(text: &mut String, images: &ImagesAssessment) {
    let unseen = images.images.iter().filter(|note| note.state == ImageState::Evictable && !note.seen).count();
    if unseen > 0 {
        put!(
            text,
            "  No check of the kubelet was seen since then: {} may have come after the last one, and be too young for the \
             next.\n",
            count(unseen, "image")
        );
    }
}

fn trigger(text: &mut String, prediction: &Prediction, policy: &GcPolicy, now: Timestamp, written: Option<Bytes>) {
    let level = &prediction.level;
    put!(text, "  {}", capital(phrase::trigger(level.trigger)));
    if let Some(signal) = level.signal {
        put!(text, " ({signal})");
    }
    text.push_str(": ");
    if let Some(written) = written {
        put!(text, "after {written} more, ");
    }
    let away = level.headroom.map(|headroom| amount(level.trigger, headroom.saturating_abs()));
    let away = away.unwrap_or_else(|| "an unknown amount".to_owned());
    let next = prediction.at.at.since(now).max(Span::ZERO);
    if prediction.crossed {
        put!(text, "the line is crossed by {away}; the kubelet acts in {next}");
    } else {
        put!(text, "the line is {away} away; nothing goes for want of space before that");
    }
    if level.grace_period > Span::ZERO {
        put!(text, ", after a grace period of {}", level.grace_period);
    }
    text.push_str(".\n");
    if !prediction.crossed {
        put!(text, "  If it were crossed at the next look, in {next}:\n");
    }
    if let Some(wanted) = prediction.wanted {
        put!(
            text,
            "    It wants {} to get from the high threshold down to {} (kubelet)",
            human_signed(wanted.most),
            policy.image_gc.low.value
        );
        text.push_str(match prediction.suffices {
            Some(true) => ", which is there.\n",
            Some(false) => ", more than it can delete.\n",
            None => "; whether that is there is open.\n",
        });
    } else if level.trigger != Trigger::ImageGc {
        text.push_str("    Eviction deletes every unused image that is old enough, then kills pods.\n");
    }
}

fn victims(text: &mut String, prediction: &Prediction, all: &[Known<'_>], now: Timestamp, width: Option<u16>) {
    let mut judged = judged(prediction, all);
    judged.sort_by_key(|(known, verdict)| (verdict.fate, std::cmp::Reverse(known.image.size), known.image.id.clone()));
    let total = |total: Total| format!("{}, {}", count(total.images, "image"), total.bytes);
    put!(text, "    Certain: {}. Possible: {}.", total(prediction.certain()), total(prediction.possible()));
    match prediction.available_after {
        Some(after) if after.least == after.most => put!(text, " Afterwards {} would be available.\n", after.least),
        Some(after) => put!(text, " Afterwards {} to {} would be available.\n", after.least, after.most),
        None => text.push_str(" What that frees on the disk is not known.\n"),
    }
    losses(text, &judged);
    if judged.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["   FATE", "IMAGE", "SIZE", "WHY", "CAN BE PULLED", "NEEDED BY"]);
    for (known, verdict) in &judged {
        table.add_row([
            Cell::new(format!("   {}", verdict.fate.certainty().unwrap_or("stays"))),
            Cell::new(known.image.display_name()),
            Cell::new(verdict.size.map_or_else(|| "?".to_owned(), |size| size.to_string())),
            Cell::new(why(*known, verdict, now)),
            Cell::new(recoverable(known.note.recoverable)),
            Cell::new(known.note.critical.map_or("-", needed_by)),
        ]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(100));
    }
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Which of the losses are fatal, and why.
fn losses(text: &mut String, judged: &[(Known<'_>, &Verdict)]) {
    let of = |goes: fn(Fate) -> bool, is: fn(&Known<'_>) -> bool| {
        judged.iter().filter(|(known, verdict)| goes(verdict.fate) && is(known)).count()
    };
    let certain: fn(Fate) -> bool = |fate| matches!(fate, Fate::Certain(_));
    let possible: fn(Fate) -> bool = |fate| matches!(fate, Fate::Possible(_));
    let fatal: fn(&Known<'_>) -> bool = |known| known.is_fatal();
    let (sure, perhaps) = (of(certain, fatal), of(possible, fatal));
    if sure == 0 && perhaps == 0 {
        return;
    }
    let gone: fn(&Known<'_>) -> bool = |known| known.note.recoverable == Recoverable::No;
    let needed: fn(&Known<'_>) -> bool = |known| known.note.critical.is_some();
    let any: fn(Fate) -> bool = |fate| !matches!(fate, Fate::Safe(_));
    put!(
        text,
        "    Fatal: {sure} of the certain and {perhaps} of the possible; {} exist nowhere else as far as names tell, {} are \
         needed by the node itself.\n",
        of(any, gone),
        of(any, needed)
    );
}

fn why(known: Known<'_>, verdict: &Verdict, now: Timestamp) -> String {
    match verdict.fate {
        Fate::Certain(Cause::Age) | Fate::Possible(Cause::Age) => "unused for too long".to_owned(),
        Fate::Certain(Cause::Space) | Fate::Possible(Cause::Space) => known.last_used(now),
        Fate::Safe(reason) => match reason {
            SafeReason::InUse => "in use",
            SafeReason::Pinned => "pinned",
            SafeReason::TooYoung => "too young",
            SafeReason::GcDisabled => "image GC is off",
            SafeReason::NotNeeded => "others suffice",
        }
        .to_owned(),
    }
}

const fn needed_by(critical: Critical) -> &'static str {
    match critical {
        Critical::Sandbox => "every pod",
        Critical::StaticPod => "a static pod",
        Critical::KubeSystem => "kube-system",
        Critical::Pattern => "a pattern",
    }
}

fn amount(trigger: Trigger, amount: i64) -> String {
    if trigger == Trigger::InodeEviction { format!("{amount} inodes") } else { human_signed(amount) }
}

fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

//! How are findings put into words? Short phrases that the table and the page share.

use crate::assess::Quantiles;
use crate::forecast::Horizon;
use crate::model::Trigger;
use crate::report::explanation::OutcomeReason;
use crate::report::{ExpectedTriggerReport, PolicyReport, Unit, Word};
use crate::time::Span;
use crate::units::{Ratio, human_signed};
use crate::untrusted::Label;

/// `not expected`, `unknown yet`, `now`, `18m (9m–41m)`, `18m (9m–?)`, `not before 9m`: p50 with p10 to p90.
pub fn quantiles(when: Option<Quantiles>) -> String {
    let Some(Quantiles { p10, p50, p90 }) = when else { return "unknown yet".to_owned() };
    match (p10, p50, p90) {
        (_, Some(Span::ZERO), _) => "now".to_owned(),
        (p10, Some(p50), p90) => {
            let early = p10.map_or_else(|| "?".to_owned(), about);
            let late = p90.map_or_else(|| "?".to_owned(), about);
            format!("{} ({early}–{late})", about(p50))
        }
        (Some(p10), None, _) => format!("not before {}", about(p10)),
        (None, None, _) => "not expected".to_owned(),
    }
}

/// `now`, `in about 18 min (9–41)`, `in about 50 min (20 min–3 h)`, `in about 18 min (not before 9)`, `not before 2 h`: when a
/// trigger acts, in a sentence.
pub fn when(action: Quantiles) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 3_600.0;
    let unit = |span: Span| if span.as_secs_f64() < 100.0 * MINUTE { (MINUTE, "min") } else { (HOUR, "h") };
    let number = |span: Span, (length, _): (f64, &str)| (span.as_secs_f64() / length).round();
    let whole = |span: Span| format!("{} {}", number(span, unit(span)), unit(span).1);
    let Some(p50) = action.p50 else {
        return action
            .p10
            .map_or_else(|| "at no foreseeable time".to_owned(), |p10| format!("not before {}", whole(p10)));
    };
    if p50 <= Span::ZERO {
        return "now".to_owned();
    }
    let about =
        if number(p50, unit(p50)) < 1.0 { "less than 1 min".to_owned() } else { format!("about {}", whole(p50)) };
    match (action.p10, action.p90) {
        (Some(p10), Some(p90)) if whole(p10) == whole(p90) => format!("in {about}"),
        (Some(p10), Some(p90)) if unit(p10) == unit(p50) && unit(p90) == unit(p50) => {
            format!("in {about} ({}–{})", number(p10, unit(p50)), number(p90, unit(p50)))
        }
        (Some(p10), Some(p90)) => format!("in {about} ({}–{})", whole(p10), whole(p90)),
        (Some(p10), None) => format!("in {about} (not before {})", whole(p10)),
        (None, _) => format!("in {about}"),
    }
}

/// A span without false precision: half minutes from one minute on, minutes from ten, hours from ten hours.
pub fn about(span: Span) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 3_600;
    let seconds = span.micros() / 1_000_000;
    let unit = match seconds.abs() {
        0..60 => 1,
        60..600 => 30,
        600..36_000 => MINUTE,
        _ => HOUR,
    };
    let rounded = seconds.saturating_add(seconds.signum() * (unit / 2)) / unit * unit;
    Span::from_secs(rounded).to_string()
}

/// `1 image`, `3 images`.
pub(crate) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// `thing` becomes `Thing`.
pub(crate) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Why an image is deleted or stays.
pub(crate) const fn reason(reason: OutcomeReason) -> &'static str {
    match reason {
        OutcomeReason::Space => "to free disk space",
        OutcomeReason::Age => "unused for too long",
        OutcomeReason::InUse => "in use",
        OutcomeReason::Pinned => "pinned",
        OutcomeReason::TooYoung => "too young",
        OutcomeReason::GcDisabled => "image GC is off",
        OutcomeReason::NotNeeded => "others suffice",
    }
}

/// `81 %`; never 0 or 100, which no forecast can know: `under 1 %`, `over 99 %`.
pub fn chance(probability: Ratio) -> String {
    let percent = probability.get() * 100.0;
    if percent < 1.0 {
        "under 1 %".to_owned()
    } else if percent > 99.0 {
        "over 99 %".to_owned()
    } else {
        format!("{percent:.0} %")
    }
}

/// `85/80 default`, `85 flag/80 default`, `off, file`, `unreadable`, `no kubelet`: high and low threshold in the kubelet's
/// percent, and where they were written.
pub fn image_gc(policy: Option<&PolicyReport>, has_kubelet: bool) -> String {
    let Some(policy) = policy else {
        return if has_kubelet { "unreadable" } else { "no kubelet" }.to_owned();
    };
    let (high, low) = (&policy.image_gc_high_threshold_percent, &policy.image_gc_low_threshold_percent);
    let (percent, from) = (high.value.get(), &high.origin);
    if !policy.image_gc_enabled {
        format!("off, {from}")
    } else if *from == low.origin {
        format!("{percent}/{} {from}", low.value.get())
    } else {
        format!("{percent} {from}/{} {}", low.value.get(), low.origin)
    }
}

/// `2.10 GiB`, `-1.50 GiB`, `12000 inodes`.
pub fn amount(amount: i64, in_inodes: bool) -> String {
    if in_inodes { format!("{amount} inodes") } else { human_signed(amount) }
}

/// The same of a headroom.
pub fn headroom(unit: &Word<Unit>, headroom: i64) -> String {
    amount(headroom, unit.is(Unit::Inodes))
}

/// What told the release of a kubelet, to follow it.
pub(crate) fn told_by(origin: Option<&Label>) -> &'static str {
    match origin.map(Label::as_str) {
        Some("build_info") => " (by its build information)",
        Some("path") => " (by its path)",
        Some("package") => " (by its package)",
        Some("node_image") => " (by its node image)",
        _ => "",
    }
}

/// `image GC of host: in 18m, 81 % within 1h; preempted by image GC of host/ci/job`.
pub(crate) fn expected(found: &ExpectedTriggerReport) -> String {
    // The full disk is everybody's.
    let of = if found.trigger.is(Trigger::DiskFull) { String::new() } else { format!(" of {}", found.layer) };
    let hour = Horizon::Hour.as_str();
    let when = match (found.acts_in, found.within_an_hour.map(chance)) {
        (_, None) => "unknown yet".to_owned(),
        (None, Some(chance)) => format!("not expected, {chance} within {hour}"),
        (Some(span), Some(chance)) => format!("in {}, {chance} within {hour}", about(span)),
    };
    let preempted = found.preempted_by.as_ref().map_or_else(String::new, |by| {
        let verb = if by.is_certain { "preempted by" } else { "possibly preempted by" };
        format!("; {verb} {} of {}", by.trigger.text(trigger), by.layer)
    });
    format!("{}{of}: {when}{preempted}", found.trigger.text(trigger))
}

/// A trigger in words: `image GC`.
pub const fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::ImageGc => "image GC",
        Trigger::ImageEviction => "image eviction",
        Trigger::PodEviction => "pod eviction",
        Trigger::InodeEviction => "inode eviction",
        Trigger::DiskFull => "disk full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles_of(seconds: [Option<i64>; 3]) -> Quantiles {
        let [p10, p50, p90] = seconds.map(|seconds| seconds.map(Span::from_secs));
        Quantiles { p10, p50, p90 }
    }

    #[test]
    fn a_forecast_says_when_or_that_it_does_not_know() {
        let cases = [
            ([Some(540), Some(1_100), Some(2_460)], "18m (9m–41m)"),
            ([Some(540), Some(1_100), None], "18m (9m–?)"),
            ([Some(540), None, None], "not before 9m"),
            ([None, None, None], "not expected"),
            ([Some(0), Some(0), Some(0)], "now"),
        ];
        for (seconds, text) in cases {
            assert_eq!(quantiles(Some(quantiles_of(seconds))), text);
        }
        assert_eq!(quantiles(None), "unknown yet");
    }

    #[test]
    fn a_sentence_says_when_in_one_unit_where_it_can() {
        let cases = [
            ([Some(540), Some(1_100), Some(2_460)], "in about 18 min (9–41)"),
            ([Some(1_200), Some(3_000), Some(10_800)], "in about 50 min (20 min–3 h)"),
            ([Some(5_000), Some(8_000), Some(20_000)], "in about 2 h (83 min–6 h)"),
            ([Some(540), Some(1_100), None], "in about 18 min (not before 9 min)"),
            ([Some(95), Some(95), Some(95)], "in about 2 min"),
            ([Some(0), Some(10), Some(95)], "in less than 1 min (0–2)"),
            ([Some(0), Some(0), Some(0)], "now"),
            ([Some(7_300), None, None], "not before 2 h"),
            ([None, None, None], "at no foreseeable time"),
        ];
        for (seconds, text) in cases {
            assert_eq!(when(quantiles_of(seconds)), text);
        }
    }

    #[test]
    fn nothing_is_certain() {
        let cases = [(0.0, "under 1 %"), (0.0099, "under 1 %"), (0.01, "1 %"), (0.814, "81 %"), (0.991, "over 99 %")];
        for (probability, text) in cases {
            assert_eq!(chance(Ratio::new(probability)), text);
        }
    }

    #[test]
    fn spans_lose_the_digits_nobody_can_know() {
        let cases = [
            (45, "45s"),
            (61, "1m"),
            (334, "5m 30s"),
            (599, "10m"),
            (1_111, "19m"),
            (7_489, "2h 5m"),
            (50_000, "14h"),
            (-1_111, "-19m"),
        ];
        for (seconds, text) in cases {
            assert_eq!(about(Span::from_secs(seconds)), text);
        }
    }
}

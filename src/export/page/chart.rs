//! How did a disk fill over the last hours, and how may it fill in the next? One SVG for each filesystem: what was used, the band of the
//! forecast, and the thresholds.
//!
//! Shapes are drawn in a box of 1000 × 1000 that is stretched to the width of the page; text is not stretched, and is placed in
//! percent and pixels.

use super::html::Escaped;
use super::lines::{Line, lines};
use crate::assess::Projection;
use crate::export::phrase;
use crate::export::put::put;
use crate::forecast::{Forecast, Moment};
use crate::report::{FilesystemReport, Report};
use crate::sample::Space;
use crate::time::Span;
use crate::units::Bytes;

/// Top of the plot, its height, and the height of the line of text below it, in pixels.
const TOP: f64 = 8.0;
const HEIGHT: f64 = 180.0;
const BELOW: f64 = 20.0;
/// Side of the box that shapes are drawn in.
const BOX: f64 = 1_000.0;
/// Labels of lines that are closer than this, in pixels, are one label.
const LABEL: f64 = 15.0;
/// Minutes that are farther apart were not measured in between.
const HOLE: Span = Span::from_secs(150);
const HOUR: i64 = 3_600;

/// What part of time and of the disk is shown.
struct Frame {
    past: f64,
    future: f64,
    /// Seconds between two labels of the time axis.
    step: f64,
    capacity: f64,
    /// Share of the disk at the lower edge.
    floor: f64,
}

/// The figure; nothing where too little was measured to draw a line.
pub(super) fn figure(page: &mut String, report: &Report, disk: &FilesystemReport, space: &Space) {
    let timeline = &disk.timeline;
    let lines = lines(report, disk);
    let frame = Frame::new(report, &timeline.past, &lines, space);
    let shown: Vec<Moment> =
        timeline.past.iter().copied().filter(|moment| frame.x(moment.at.since(report.sampled_at)) >= 0.0).collect();
    if shown.len() < 2 {
        return;
    }
    page.push_str("<figure>\n");
    put!(
        page,
        "<svg class=\"chart\" width=\"100%\" height=\"{}\" role=\"img\" aria-label=\"{}\">\n",
        TOP + HEIGHT + BELOW,
        Escaped(&in_words(&frame, &shown, &lines, report, space))
    );
    frame.grid(page);
    put!(
        page,
        "<svg y=\"{TOP}\" width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 {BOX} {BOX}\" preserveAspectRatio=\"none\">\n"
    );
    used(page, report, &frame, &shown);
    fan(page, &frame, space.available, &timeline.ahead);
    page.push_str("</svg>\n");
    thresholds(page, &frame, &lines);
    page.push_str("</svg>\n");
    let band =
        if timeline.ahead.is_empty() { "There is no forecast yet." } else { "Dashed: median. Shaded: 80 % interval." };
    put!(
        page,
        "<figcaption class=\"aside\">Used, in percent of the disk as the kubelet reports it. {band}</figcaption>\n</figure>\n"
    );
}

impl Frame {
    /// Near events are drawn large: one hour ahead where something is expected within it, else three or six.
    fn new(report: &Report, past: &[Moment], lines: &[Line], space: &Space) -> Self {
        let first = lines.iter().filter_map(|line| line.forecast?.p50).min().map_or(f64::INFINITY, Span::as_secs_f64);
        let hour = Span::from_secs(HOUR).as_secs_f64();
        let (most_past, future) = if first <= 0.9 * hour {
            (2.0, 1.0)
        } else if first <= 2.8 * hour || first > 6.0 * hour {
            (6.0, 3.0)
        } else {
            (6.0, 6.0)
        };
        let known = past.first().map_or(0.0, |moment| report.sampled_at.since(moment.at).as_secs_f64());
        let past_hours = [0.5, 1.0, 2.0, 6.0].into_iter().find(|hours| hours * hour >= known).unwrap_or(6.0);
        let past_hours = past_hours.min(most_past);
        let capacity = space.capacity.as_f64().max(1.0);
        let begin = past.iter().filter(|moment| report.sampled_at.since(moment.at).as_secs_f64() <= past_hours * hour);
        let most = begin.map(|moment| moment.available).max().unwrap_or(space.available).max(space.available);
        let least_used = (1.0 - most.as_f64() / capacity).clamp(0.0, 1.0);
        Self {
            past: past_hours * hour,
            future: future * hour,
            step: if past_hours + future > 4.0 { 3.0 * hour } else { hour },
            capacity,
            floor: (((least_used - 0.05) * 10.0).floor() / 10.0).clamp(0.0, 0.7),
        }
    }

    /// Where a time is, counted from the sample; 0 is the left edge, 1 the right one.
    fn x(&self, after: Span) -> f64 {
        (after.as_secs_f64() + self.past) / (self.past + self.future)
    }

    /// Where so many bytes available are: 0 is the upper edge, a full disk, 1 the lower one.
    fn y(&self, available: Bytes) -> f64 {
        (available.as_f64() / self.capacity / (1.0 - self.floor)).clamp(0.0, 1.0)
    }

    fn grid(&self, page: &mut String) {
        let step = if self.floor < 0.5 { 20_u32 } else { 10 };
        page.push_str("<g class=\"grid\">\n");
        for percent in (0..=100).step_by(usize::try_from(step).unwrap_or(10)) {
            let at = f64::from(percent) / 100.0;
            if at < self.floor {
                continue;
            }
            let y = TOP + HEIGHT * (1.0 - at) / (1.0 - self.floor);
            put!(page, "<line x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
            // The label of the lowest line would be on the time axis.
            if y < TOP + HEIGHT - 1.0 {
                put!(page, "<text x=\"2\" y=\"{:.1}\">{percent} %</text>", y + 12.0);
            }
            page.push('\n');
        }
        let labels = self.past / self.step + self.future / self.step;
        let mut after = -self.past;
        while after <= self.future && labels < 20.0 {
            let x = 100.0 * self.x(Span::from_secs_f64(after));
            let anchor = if x < 5.0 {
                "start"
            } else if x > 95.0 {
                "end"
            } else {
                "middle"
            };
            let class = if after.abs() < 1.0 { "now" } else { "time" };
            put!(
                page,
                "<line class=\"{class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text x=\"{x:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
                TOP + HEIGHT,
                TOP + HEIGHT + 15.0,
                when(after)
            );
            // A past of half an hour has a label at its beginning and one now.
            after += if after < 0.0 { self.step.min(-after) } else { self.step };
        }
        page.push_str("</g>\n");
    }
}

/// `2 h ago`, `30 min ago`, `now`, `in 1 h`.
fn when(after: f64) -> String {
    let minutes = (after.abs() / 60.0).round();
    let length = if minutes % 60.0 == 0.0 { format!("{} h", minutes / 60.0) } else { format!("{minutes} min") };
    if minutes < 1.0 {
        "now".to_owned()
    } else if after < 0.0 {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

/// The past: a line and the area below it, interrupted where nothing was measured.
fn used(page: &mut String, report: &Report, frame: &Frame, shown: &[Moment]) {
    let (mut line, mut area) = (String::new(), String::new());
    for run in shown.chunk_by(|before, after| after.at.since(before.at) <= HOLE) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let x = |moment: &Moment| BOX * frame.x(moment.at.since(report.sampled_at));
        put!(area, "M{:.0},{BOX}", x(first));
        for (number, moment) in run.iter().enumerate() {
            let y = BOX * frame.y(moment.available);
            put!(line, "{}{:.0},{y:.0}", if number == 0 { 'M' } else { 'L' }, x(moment));
            put!(area, "L{:.0},{y:.0}", x(moment));
        }
        put!(area, "L{:.0},{BOX}Z", x(last));
    }
    put!(page, "<path class=\"area\" d=\"{area}\"/><path class=\"used\" d=\"{line}\"/>\n");
}

/// The future: the band between the early and the late course, and the middle one.
fn fan(page: &mut String, frame: &Frame, available: Bytes, ahead: &[Projection]) {
    if ahead.is_empty() {
        return;
    }
    let course = |quantile: fn(&Forecast) -> Option<Span>| falls(frame, available, ahead, quantile);
    let [early, middle, late] = [course(|f| f.p10), course(|f| f.p50), course(|f| f.p90)];
    let points = |course: &mut dyn Iterator<Item = &(f64, f64)>| {
        course.fold(String::new(), |mut text, (x, y)| {
            put!(text, " {:.0},{:.0}", BOX * x, BOX * y);
            text
        })
    };
    put!(
        page,
        "<polygon class=\"band\" points=\"{}{}\"/><polyline class=\"middle\" points=\"{}\"/>\n",
        points(&mut late.iter()).trim_start(),
        points(&mut early.iter().rev()),
        points(&mut middle.iter()).trim_start()
    );
}

/// The course on which each level is reached at one quantile, up to the right edge. A level that is not reached keeps the course
/// above it.
fn falls(
    frame: &Frame,
    available: Bytes,
    ahead: &[Projection],
    quantile: fn(&Forecast) -> Option<Span>,
) -> Vec<(f64, f64)> {
    let mut course = vec![(frame.x(Span::ZERO), frame.y(available))];
    for level in ahead {
        let (from, at) = course.last().copied().unwrap_or_default();
        let y = frame.y(level.available);
        match quantile(&level.forecast).map(|after| frame.x(after)) {
            Some(x) if x <= 1.0 => course.push((x.max(from), y)),
            Some(x) => {
                course.push((1.0, at + (y - at) * (1.0 - from) / (x - from).max(f64::EPSILON)));
                return course;
            }
            None => break,
        }
    }
    let (_, y) = course.last().copied().unwrap_or_default();
    course.push((1.0, y));
    course
}

/// The lines, the time in which each is crossed with 80 % probability, and their names.
fn thresholds(page: &mut String, frame: &Frame, lines: &[Line]) {
    page.push_str("<g class=\"line\">\n");
    let mut labels: Vec<(f64, Vec<&str>)> = Vec::new();
    // One is enough: where the lines are close, so are their times.
    let next = lines.iter().position(|line| !line.crossed);
    for (position, line) in lines.iter().enumerate() {
        let y = TOP + HEIGHT * frame.y(line.threshold);
        let class = if line.crossed { " class=\"crossed\"" } else { "" };
        put!(page, "<line{class} x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n");
        if let Some((p10, p50)) =
            line.forecast.and_then(|found| Some((found.p10?, found.p50?))).filter(|_| next == Some(position))
        {
            let percent = |after: Span| 100.0 * frame.x(after).min(1.0);
            let p90 = line.forecast.and_then(|found| found.p90).map_or(100.0, percent);
            put!(
                page,
                "<line class=\"between\" x1=\"{:.2}%\" x2=\"{p90:.2}%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                percent(p10)
            );
            if frame.x(p50) <= 1.0 {
                put!(page, "<circle cx=\"{:.2}%\" cy=\"{y:.1}\" r=\"4\"/>", percent(p50));
            }
            page.push('\n');
        }
        let name = line.trigger.text(phrase::trigger);
        match labels.iter_mut().find(|(other, _)| (*other - y).abs() < LABEL) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => labels.push((y, vec![name])),
        }
    }
    for (y, names) in labels {
        // Above its line, unless that is where the picture ends.
        let baseline = if y > TOP + LABEL { y - 4.0 } else { y + LABEL };
        put!(page, "<text x=\"46\" y=\"{baseline:.1}\">{}</text>\n", Escaped(&names.join(", ")));
    }
    page.push_str("</g>\n");
}

fn in_words(frame: &Frame, shown: &[Moment], lines: &[Line], report: &Report, space: &Space) -> String {
    let percent = |available: Bytes| format!("{:.0} %", 100.0 * (1.0 - available.as_f64() / frame.capacity));
    let mut text = String::from("Chart of the space used. ");
    if let Some(first) = shown.first() {
        put!(text, "{}: {}; ", when(first.at.since(report.sampled_at).as_secs_f64()), percent(first.available));
    }
    if let Some(least) = shown.iter().map(|moment| moment.available).min() {
        put!(text, "at most {}; ", percent(least));
    }
    put!(text, "now {}.", percent(space.available));
    for line in lines {
        if let Some(forecast) = &line.forecast {
            put!(text, " {}: {}.", line.trigger.text(phrase::trigger), phrase::quantiles(Some(*forecast)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Ratio;

    /// Two hours of past and one of future of a disk of 100 GiB, shown from 40 % on.
    const FRAME: Frame =
        Frame { past: 7_200.0, future: 3_600.0, step: 3_600.0, capacity: 107_374_182_400.0, floor: 0.4 };

    fn ahead(gib: u64, quantiles: [Option<i64>; 3]) -> Projection {
        let [p10, p50, p90] = quantiles.map(|minutes| minutes.map(|minutes| Span::from_secs(60 * minutes)));
        let forecast = Forecast { p10, p50, p90, probability: [Ratio::new(0.5); 4] };
        Projection { available: Bytes::from_gib(gib), forecast }
    }

    /// As minutes from now and GiB available.
    fn course(levels: &[Projection], quantile: fn(&Forecast) -> Option<Span>) -> Vec<(i32, i32)> {
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let whole = |value: f64| value.round() as i32;
        falls(&FRAME, Bytes::from_gib(30), levels, quantile)
            .into_iter()
            .map(|(x, y)| (whole(x * 180.0 - 120.0), whole(y * 60.0)))
            .collect()
    }

    #[test]
    fn a_course_ends_at_the_right_edge() {
        let levels = [ahead(20, [Some(10), Some(30), Some(120)]), ahead(0, [Some(40), Some(90), None])];
        assert_eq!(course(&levels, |f| f.p10), [(0, 30), (10, 20), (40, 0), (60, 0)]);
        // Half the way from 30 to 90 minutes.
        assert_eq!(course(&levels, |f| f.p50), [(0, 30), (30, 20), (60, 10)]);
        assert_eq!(course(&levels, |f| f.p90), [(0, 30), (60, 25)]);
    }

    #[test]
    fn what_is_not_expected_is_drawn_level() {
        assert_eq!(course(&[ahead(20, [None; 3])], |f| f.p50), [(0, 30), (60, 30)]);
        assert_eq!(course(&[], |f| f.p50), [(0, 30), (60, 30)]);
        assert_eq!(course(&[ahead(20, [Some(0); 3])], |f| f.p50), [(0, 30), (0, 20), (60, 20)]);
    }

    #[test]
    fn times_are_told_in_hours_where_they_are_whole() {
        let cases = [(-7_200.0, "2 h ago"), (-1_800.0, "30 min ago"), (0.0, "now"), (10_800.0, "in 3 h")];
        for (after, text) in cases {
            assert_eq!(when(after), text);
        }
    }
}

//! What does it look like? Two pictures as SVG: do probabilities mean what they say, and the course of one trace.
//!
//! Names come from file names and labels, so every text is escaped.

use super::play::Played;
use super::trace::Trace;
use crate::forecast::Horizon;
use crate::time::Span;
use crate::units::u64_as_f64;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 48.0;

/// The area of a plot, in data units.
struct Area {
    x: (f64, f64),
    y: (f64, f64),
}

impl Area {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |value: f64, (low, high): (f64, f64)| if high > low { (value - low) / (high - low) } else { 0.0 };
        (
            (WIDTH - 2.0 * MARGIN).mul_add(part(x, self.x), MARGIN),
            (2.0 * MARGIN - HEIGHT).mul_add(part(y, self.y), HEIGHT - MARGIN),
        )
    }

    fn line(&self, points: impl Iterator<Item = (f64, f64)>, style: &str) -> String {
        let mut text = String::new();
        for (x, y) in points {
            let (x, y) = self.place(x, y);
            append(&mut text, format_args!("{x:.1},{y:.1} "));
        }
        format!("<polyline fill=\"none\" {style} points=\"{}\"/>\n", text.trim_end())
    }
}

/// Calibration: for each horizon, how often it happened when so much was said. On the diagonal, probabilities mean what they say.
pub fn calibration(played: &[Played]) -> String {
    const COLOURS: [&str; 4] = ["#b2182b", "#ef8a62", "#67a9cf", "#2166ac"];
    let area = Area { x: (0.0, 1.0), y: (0.0, 1.0) };
    let mut body = area.line([(0.0, 0.0), (1.0, 1.0)].into_iter(), "stroke=\"#999\" stroke-dasharray=\"4\"");
    for ((row, horizon), colour) in (0u32..).zip(Horizon::ALL).zip(COLOURS) {
        let points = bins(played, horizon);
        body += &area.line(points.iter().copied(), &format!("stroke=\"{colour}\" stroke-width=\"2\""));
        body += &label(MARGIN + 8.0, f64::from(row).mul_add(16.0, MARGIN + 12.0), colour, horizon.as_str());
    }
    body += &label(WIDTH / 2.0 - 40.0, HEIGHT - 12.0, "#333", "forecast probability");
    body += &label(4.0, MARGIN - 12.0, "#333", "share that happened");
    page("Calibration of the forecast probabilities", &body)
}

/// Mean probability and share of happenings in tenths; bins with fewer than 20 minutes are left out.
fn bins(played: &[Played], horizon: Horizon) -> Vec<(f64, f64)> {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    let length = horizon.span().micros() / 1_000_000;
    for minute in played.iter().flat_map(|one| &one.minutes).filter(|minute| minute.judged && minute.rest >= length) {
        let p = minute.forecast.map_or(0.0, |forecast| forecast.within(horizon).get());
        let bin = crate::forecast::series::floor_index(p * 10.0).min(9);
        if let Some((n, said, happened)) = bins.get_mut(bin) {
            *n += 1.0;
            *said += p;
            *happened += if minute.event_in.is_some_and(|event| event <= length) { 1.0 } else { 0.0 };
        }
    }
    bins.into_iter().filter(|(n, ..)| *n >= 20.0).map(|(n, said, happened)| (said / n, happened / n)).collect()
}

/// One trace: the space available as a part of the size, the thresholds' events, and the half-hour probability of each threshold.
pub fn course(trace: &Trace, played: &[Played]) -> String {
    const COLOURS: [&str; 2] = ["#b2182b", "#7b3294"];
    let hours = |seconds: i64| Span::from_secs(seconds).as_secs_f64() / 3_600.0;
    let ends = (trace.points.first(), trace.points.last());
    let (Some(first), Some(last)) = ends else { return page(&trace.name, "") };
    let area = Area { x: (hours(first.at), hours(last.at)), y: (0.0, 1.0) };
    let level = trace.points.iter().step_by(4).map(|point| {
        (hours(point.at), if point.size == 0 { 0.0 } else { u64_as_f64(point.available) / u64_as_f64(point.size) })
    });
    let mut body = area.line(level, "stroke=\"#2166ac\" stroke-width=\"1.5\"");
    body += &label(MARGIN + 8.0, MARGIN + 12.0, "#2166ac", "available, part of the size");
    for ((row, one), colour) in (1u32..).zip(played).zip(COLOURS.into_iter().cycle()) {
        let said = one.minutes.iter().filter(|minute| minute.judged).map(|minute| {
            (hours(minute.at), minute.forecast.map_or(0.0, |forecast| forecast.within(Horizon::HalfHour).get()))
        });
        body += &area.line(said, &format!("stroke=\"{colour}\" stroke-opacity=\"0.7\""));
        for event in &one.events {
            let at = hours(*event);
            body +=
                &area.line([(at, 0.0), (at, 1.0)].into_iter(), &format!("stroke=\"{colour}\" stroke-dasharray=\"2\""));
        }
        let text = format!("{}: probability within 30m; dashed: crossings", one.threshold);
        body += &label(MARGIN + 8.0, f64::from(row).mul_add(16.0, MARGIN + 12.0), colour, &text);
    }
    body += &label(WIDTH / 2.0 - 20.0, HEIGHT - 12.0, "#333", "hours");
    page(&trace.name, &body)
}

fn page(title: &str, body: &str) -> String {
    let (right, bottom) = (WIDTH - MARGIN, HEIGHT - MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"#333\"/>\n{heading}{low}{high}{body}</svg>\n",
        title = escape(title),
        heading = label(MARGIN, 20.0, "#333", title),
        low = label(28.0, bottom, "#333", "0"),
        high = label(28.0, MARGIN + 4.0, "#333", "1"),
    )
}

fn label(x: f64, y: f64, colour: &str, text: &str) -> String {
    format!("<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"{colour}\">{}</text>\n", escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    text.write_fmt(arguments).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::backtest::{Method, Threshold, TracePoint, play};

    #[test]
    fn a_hostile_name_stays_text() {
        let points = (0..200).map(|i| TracePoint { at: i * 15, size: 100, available: 50 }).collect();
        let trace = Trace { name: "<script>\"&".to_owned(), points };
        let svg = course(&trace, &play(&trace, &Threshold::standard(), Method::Highwater));
        assert!(svg.contains("&lt;script&gt;&quot;&amp;") && !svg.contains("<script>"));
    }

    #[test]
    fn corners_of_the_area_are_inside_the_margins() {
        let area = Area { x: (0.0, 1.0), y: (0.0, 1.0) };
        assert_eq!((area.place(0.0, 0.0), area.place(1.0, 1.0)), ((48.0, 312.0), (852.0, 48.0)));
    }

    #[test]
    fn nothing_played_is_an_empty_plot() {
        assert!(calibration(&[]).starts_with("<svg"));
    }
}

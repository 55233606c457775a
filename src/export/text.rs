//! How does a scrape look in Prometheus' older text format, version 0.0.4?
//!
//! Other than in OpenMetrics HELP and TYPE of a counter or info name the sample, `_total` or `_info` included; there is no type
//! `info` (a gauge) nor `unknown` (`untyped`), no UNIT and no EOF; infinity is `+Inf`.

use super::catalogue::{Kind, Metric};
use super::exposition::{Exposition, help};
use super::series::{LabelValue, Value};
use std::fmt::{self, Write};

impl Exposition {
    /// Text 0.0.4.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            // Writing to a string cannot fail.
            if write_family(&mut text, name.metric(), &family.samples).is_err() {
                return String::new();
            }
        }
        text
    }
}

fn write_family(text: &mut String, metric: &Metric, samples: &[(Vec<LabelValue>, Value)]) -> fmt::Result {
    let (name, kind) = (metric.sample_name(), kind(metric.kind));
    writeln!(text, "# HELP {name} {}", help(metric))?;
    writeln!(text, "# TYPE {name} {kind}")?;
    for (values, value) in samples {
        text.push_str(&name);
        write_labels(text, metric, values)?;
        writeln!(text, " {value}")?;
    }
    Ok(())
}

/// The labels with a value, in braces; an empty value is left out, which is what Prometheus makes of it.
fn write_labels(text: &mut String, metric: &Metric, values: &[LabelValue]) -> fmt::Result {
    let mut before = "{";
    for (name, value) in metric.labels.iter().zip(values).filter(|(_, value)| !value.as_str().is_empty()) {
        write!(text, "{before}{name}=\"")?;
        for character in value.as_str().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
        before = ",";
    }
    if before == "," {
        text.push('}');
    }
    Ok(())
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Gauge | Kind::Info => "gauge",
        Kind::Counter => "counter",
        Kind::Quantiles => "untyped",
    }
}

/// As Go's `ParseFloat` reads it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Signed(count) => count.fmt(f),
            Self::Float(value) if value.is_infinite() => f.write_str(if *value > 0.0 { "+Inf" } else { "-Inf" }),
            // Shorter than Display where it is very large or small.
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::catalogue::Name;
    use crate::export::series::Series;
    use std::sync::Arc;

    fn text(name: Name, labels: &[&str], value: Value) -> String {
        let labels = labels.iter().map(|label| LabelValue::Named(Arc::from(*label))).collect();
        let mut exposition = Exposition::default();
        exposition.push(Series { name, labels, value });
        let text = exposition.into_text();
        let lines =
            text.lines().map(|line| line.strip_prefix("# HELP ").map_or(line, |rest| rest.split(' ').next().unwrap()));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn counters_and_infos_are_named_as_their_samples() {
        assert_eq!(
            text(Name::ProcessCpu, &[], Value::Float(1.5)),
            "process_cpu_seconds_total\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5"
        );
        assert_eq!(
            text(Name::Build, &["1.0"], Value::Count(1)),
            "highwater_build_info\n# TYPE highwater_build_info gauge\nhighwater_build_info{version=\"1.0\"} 1"
        );
    }

    #[test]
    fn infinity_and_the_unknown_type_are_written_the_older_way() {
        assert_eq!(
            text(Name::Forecast, &["host", "disk_full", "0.5"], Value::Float(f64::INFINITY)),
            "highwater_forecast_seconds\n# TYPE highwater_forecast_seconds untyped\n\
             highwater_forecast_seconds{layer=\"host\",trigger=\"disk_full\",quantile=\"0.5\"} +Inf"
        );
        let written = |value| text(Name::ProcessStart, &[], Value::Float(value)).rsplit(' ').next().unwrap().to_owned();
        assert_eq!(
            [f64::NEG_INFINITY, f64::NAN, 1e300, 1e-300, -0.25, 1.0].map(written),
            ["-Inf", "NaN", "1e300", "1e-300", "-0.25", "1.0"]
        );
    }

    #[test]
    fn what_is_special_in_a_label_is_escaped_and_an_empty_one_left_out() {
        assert_eq!(
            text(Name::FilesystemStuck, &["a\\b\"c\nd\te", ""], Value::Signed(-1)).lines().last(),
            Some(r#"highwater_filesystem_stuck{device="a\\b\"c\nd	e"} -1"#)
        );
        assert_eq!(
            text(Name::FilesystemStuck, &["", ""], Value::Count(u64::MAX)).lines().last(),
            Some("highwater_filesystem_stuck 18446744073709551615")
        );
    }
}

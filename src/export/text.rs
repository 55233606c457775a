//! How does a scrape look in Prometheus' older text format, version 0.0.4? Rewrites OpenMetrics text, which prometheus-client
//! makes, line by line.
//!
//! What differs: no UNIT, no EOF; HELP and TYPE of a counter or info name the sample, `_total` or `_info` included; there is no
//! type `info` (a gauge) nor `unknown` (`untyped`); infinity is `+Inf`. Escapes in labels are the same in both formats.

/// The same scrape in text 0.0.4.
pub fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // HELP comes before TYPE but its name depends on the type, so it waits.
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((name, help)) = help.take() {
                push_all(&mut text, &["# HELP ", name, suffix, " ", help, "\n"]);
            }
            push_all(&mut text, &["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if line.starts_with('#') {
            // UNIT and EOF do not exist here.
        } else if let Some(series) = line.strip_suffix(" inf") {
            push_all(&mut text, &[series, " +Inf\n"]);
        } else {
            push_all(&mut text, &[line, "\n"]);
        }
    }
    text
}

fn push_all(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_are_named_as_their_samples() {
        let openmetrics = "# HELP c_seconds Time.\n# TYPE c_seconds counter\n# UNIT c_seconds seconds\nc_seconds_total 1.5\n\
                           # HELP i What.\n# TYPE i info\ni_info{a=\"x\"} 1\n# EOF\n";
        let text = "# HELP c_seconds_total Time.\n# TYPE c_seconds_total counter\nc_seconds_total 1.5\n\
                    # HELP i_info What.\n# TYPE i_info gauge\ni_info{a=\"x\"} 1\n";
        assert_eq!(from_openmetrics(openmetrics), text);
    }

    #[test]
    fn infinity_and_the_unknown_type_are_written_the_older_way() {
        let openmetrics = "# HELP f When.\n# TYPE f unknown\nf{q=\"0.5\"} inf\n# EOF\n";
        assert_eq!(from_openmetrics(openmetrics), "# HELP f When.\n# TYPE f untyped\nf{q=\"0.5\"} +Inf\n");
    }
}

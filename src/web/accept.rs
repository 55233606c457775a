//! Which format does a client want? The Accept header with its quality values (RFC 9110, 12.5.1), as far as it concerns a
//! scrape.

use crate::export::metrics::Format;

/// No more ranges than this are looked at; a scraper sends four.
const MAX_RANGES: usize = 32;

/// The format for an Accept header: the best that can be made; text 0.0.4 where nothing fits, as Prometheus clients do.
pub(super) fn format(accept: Option<&str>) -> Format {
    let mut best = (Format::Text, 0_u16);
    for range in accept.unwrap_or_default().split(',').take(MAX_RANGES) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut quality = 1000;
        let mut version = None;
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = thousandths(value.trim()),
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        let format = match media.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0" | "0.0.1")) => Format::OpenMetrics,
            "text/plain" if matches!(version, None | Some("0.0.4")) => Format::Text,
            "text/*" | "*/*" => Format::Text,
            _ => continue,
        };
        // Of two that are wanted equally, OpenMetrics says more.
        if quality > best.1 || (quality == best.1 && quality > 0 && format == Format::OpenMetrics) {
            best = (format, quality);
        }
    }
    best.0
}

/// `0.5` as 500; what is no such number is 0, so that it asks for nothing.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "1" if fraction == 0 => 1000,
        "0" => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides_by_quality_then_by_what_says_more() {
        let cases = [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Text),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), Format::OpenMetrics),
            (Some("application/openmetrics-text;version=\"1.0.0\""), Format::OpenMetrics),
            // Prometheus 2.42.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                Format::OpenMetrics,
            ),
            // Prometheus 3 with protobuf first, which is not made here.
            (
                Some(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ),
                Format::OpenMetrics,
            ),
            (Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("application/openmetrics-text;version=2.0.0"), Format::Text),
            (Some("text/plain, application/openmetrics-text"), Format::OpenMetrics),
            (Some("APPLICATION/OpenMetrics-Text ; Q=0.5"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=banana, text/plain;q=0.1"), Format::Text),
            (Some(";;;,,,=;q=,"), Format::Text),
        ];
        for (accept, format_wanted) in cases {
            assert_eq!(format(accept), format_wanted, "{accept:?}");
        }
    }

    #[test]
    fn quality_values_outside_the_grammar_ask_for_nothing() {
        let cases = [
            ("1", 1000),
            ("1.000", 1000),
            ("0.5", 500),
            ("0.05", 50),
            ("0", 0),
            ("1.5", 0),
            ("-1", 0),
            ("0.1234", 0),
            ("nan", 0),
            ("0.", 0),
        ];
        for (text, value) in cases {
            assert_eq!(thousandths(text), value, "{text}");
        }
    }
}

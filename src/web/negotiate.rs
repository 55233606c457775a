//! Which format does a client want, and compressed or not? The headers Accept and Accept-Encoding with their quality values
//! (RFC 9110, 12.5), as far as they concern a scrape.
//!
//! Of several ranges that fit a format the most specific one decides. Of formats that are wanted equally that one is chosen which
//! was named, and of those the one that says more; a client that accepts anything gets text 0.0.4. So does one whom nothing fits,
//! as with Prometheus' own clients: a scrape that fails helps nobody.

use crate::export::metrics::Format;

/// No more ranges than this are looked at; a scraper sends five.
const MAX_RANGES: usize = 32;

/// What is answered: a format, and how it is called to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chosen {
    /// Which.
    pub(super) format: Format,
    /// The version by which the client knows it.
    version: Version,
    /// The scheme for names that are no legacy names. All of ours are, so that every scheme leaves them as they are.
    escaping: Option<Escaping>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V0_0_1,
    V0_0_4,
    V1_0_0,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Escaping {
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl Escaping {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

impl Chosen {
    /// What can be made, what says more and is more usual first. OpenMetrics 0.0.1 and text 1.0.0 differ from their neighbours in nothing that
    /// occurs here.
    const ALL: [Self; 4] = [
        Self::new(Format::OpenMetrics, Version::V1_0_0),
        Self::new(Format::OpenMetrics, Version::V0_0_1),
        Self::TEXT,
        Self::new(Format::Text, Version::V1_0_0),
    ];
    const TEXT: Self = Self::new(Format::Text, Version::V0_0_4);

    const fn new(format: Format, version: Version) -> Self {
        Self { format, version, escaping: None }
    }

    /// The Content-Type that says so.
    pub(super) fn content_type(self) -> String {
        let version = match self.version {
            Version::V0_0_1 => "0.0.1",
            Version::V0_0_4 => "0.0.4",
            Version::V1_0_0 => "1.0.0",
        };
        let mut text = match self.format {
            Format::OpenMetrics => format!("application/openmetrics-text; version={version}; charset=utf-8"),
            Format::Text => format!("text/plain; version={version}; charset=utf-8"),
        };
        if let Some(escaping) = self.escaping {
            text.push_str("; escaping=");
            text.push_str(escaping.as_str());
        }
        text
    }
}

/// One range of an Accept header.
struct Range {
    media: String,
    version: Option<String>,
    escaping: Option<Escaping>,
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Self { media, version: None, escaping: None, quality: 1_000 };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = thousandths(value),
                "version" => range.version = Some(value.to_owned()),
                "escaping" => {
                    let all = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];
                    range.escaping = all.into_iter().find(|scheme| scheme.as_str() == value);
                }
                _ => {}
            }
        }
        range
    }

    /// How exactly it names this format; `None`: it does not mean it.
    fn specificity(&self, chosen: Chosen) -> Option<u8> {
        let version = || match self.version.as_deref() {
            None => Some(2),
            Some("0.0.1") => (chosen.version == Version::V0_0_1).then_some(3),
            Some("0.0.4") => (chosen.version == Version::V0_0_4).then_some(3),
            Some("1.0.0") => (chosen.version == Version::V1_0_0).then_some(3),
            Some(_) => None,
        };
        match (self.media.as_str(), chosen.format) {
            ("application/openmetrics-text", Format::OpenMetrics) | ("text/plain", Format::Text) => version(),
            ("application/*", Format::OpenMetrics) | ("text/*", Format::Text) => Some(1),
            ("*/*", _) => Some(0),
            _ => None,
        }
    }
}

/// The format for an Accept header.
pub(super) fn format(accept: Option<&str>) -> Chosen {
    let ranges: Vec<Range> = accept.unwrap_or_default().split(',').take(MAX_RANGES).map(Range::parse).collect();
    let wanted = Chosen::ALL.into_iter().enumerate().filter_map(|(position, chosen)| {
        let means = ranges.iter().filter_map(|range| Some((range.specificity(chosen)?, range)));
        // Of two equal ones the first.
        let (specificity, range) = means.rev().max_by_key(|(specificity, _)| *specificity)?;
        let rank = (range.quality, specificity >= 2, specificity == 0 && chosen == Chosen::TEXT, usize::MAX - position);
        (range.quality > 0).then_some((rank, Chosen { escaping: range.escaping, ..chosen }))
    });
    wanted.max_by_key(|(rank, _)| *rank).map_or(Chosen::TEXT, |(_, chosen)| chosen)
}

/// Whether the client wants its answer compressed with gzip: by name or by `*`, and not less than uncompressed.
pub(super) fn gzip(accept_encoding: Option<&str>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for coding in accept_encoding.unwrap_or_default().split(',').take(MAX_RANGES) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality =
            parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let quality = quality.map_or(1_000, |(_, value)| thousandths(value.trim()));
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = gzip.or(Some(quality)),
            "*" => any = any.or(Some(quality)),
            "identity" => identity = identity.or(Some(quality)),
            _ => {}
        }
    }
    let wanted = gzip.or(any).unwrap_or(0);
    wanted > 0 && wanted >= identity.unwrap_or(0)
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

    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    #[test]
    fn the_accept_header_decides_by_quality_then_by_what_says_more() {
        let cases = [
            (None, TEXT),
            (Some(""), TEXT),
            (Some("*/*"), TEXT),
            (Some("text/*"), TEXT),
            (Some("application/*"), OPENMETRICS),
            (Some("application/json"), TEXT),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), TEXT),
            (Some("application/openmetrics-text"), OPENMETRICS),
            (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), OPENMETRICS),
            (Some("application/openmetrics-text;version=\"1.0.0\""), OPENMETRICS),
            (
                Some("application/openmetrics-text;version=0.0.1"),
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
            ),
            (Some("text/plain"), TEXT),
            (Some("text/plain;version=0.0.4"), TEXT),
            (Some("text/plain;version=1.0.0"), "text/plain; version=1.0.0; charset=utf-8"),
            // Prometheus 2.30.
            (
                Some("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
            ),
            // Prometheus 2.42.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OPENMETRICS,
            ),
            // Prometheus 2.42 with --enable-feature=native-histograms.
            (
                Some(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                     application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OPENMETRICS,
            ),
            // Prometheus 3.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                     application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                     text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ),
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            // Prometheus 3 with scrape_protocols: [PrometheusProto, ...].
            (
                Some(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
                     escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                     application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                     text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ),
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (
                Some("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (
                Some("text/plain;version=0.0.4;escaping=underscores"),
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            ),
            (Some("text/plain;escaping=dots"), "text/plain; version=0.0.4; charset=utf-8; escaping=dots"),
            (Some("text/plain;escaping=values"), "text/plain; version=0.0.4; charset=utf-8; escaping=values"),
            (Some("text/plain;escaping=none\r"), TEXT),
            // Protobuf is not spoken.
            (Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"), TEXT),
            (Some("application/vnd.google.protobuf, application/openmetrics-text;q=0.1"), OPENMETRICS),
            (Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), TEXT),
            (Some("application/openmetrics-text;q=0"), TEXT),
            (Some("application/openmetrics-text;q=0, */*"), TEXT),
            // The more specific range decides, wherever it stands.
            (Some("*/*, text/plain;q=0"), OPENMETRICS),
            (Some("text/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5"), OPENMETRICS),
            (Some("*/*;q=0.5, application/openmetrics-text;q=0.5"), OPENMETRICS),
            (Some("application/openmetrics-text;version=2.0.0"), TEXT),
            (Some("text/plain;version=0.0.5"), TEXT),
            (Some("text/plain, application/openmetrics-text"), OPENMETRICS),
            (Some("APPLICATION/OpenMetrics-Text ; Q=0.5"), OPENMETRICS),
            (Some("application/openmetrics-text;q=banana, text/plain;q=0.1"), TEXT),
            (Some(";;;,,,=;q=,"), TEXT),
        ];
        for (accept, wanted) in cases {
            assert_eq!(format(accept).content_type(), wanted, "{accept:?}");
        }
    }

    #[test]
    fn an_answer_is_compressed_for_who_asks_for_it() {
        let cases = [
            (None, false),
            (Some(""), false),
            (Some("gzip"), true),
            (Some("gzip, deflate, br, zstd"), true),
            (Some("GZIP;Q=0.5"), true),
            (Some("x-gzip"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip;q=0, *"), false),
            (Some("*"), true),
            (Some("*;q=0"), false),
            (Some("br"), false),
            (Some("identity"), false),
            (Some("identity, gzip;q=0.5"), false),
            (Some("identity;q=0.5, gzip;q=0.5"), true),
            (Some("identity;q=0, gzip;q=0.001"), true),
            (Some("gzip;q=2"), false),
        ];
        for (accept_encoding, wanted) in cases {
            assert_eq!(gzip(accept_encoding), wanted, "{accept_encoding:?}");
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

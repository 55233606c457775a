//! What does the file say of HTTP? Headers that may be set, and how many requests are answered.

use crate::config::file::duration;
use crate::time::Span;
use serde::Deserialize;
use std::num::NonZeroU32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpSection {
    pub(super) http2: bool,
    headers: Option<Headers>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { http2: true, headers: None }
    }
}

/// The headers that exporter-toolkit lets one set, and no others.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "PascalCase")]
struct Headers {
    #[serde(rename = "Strict-Transport-Security")]
    strict_transport_security: Option<HeaderText>,
    #[serde(rename = "X-Content-Type-Options")]
    x_content_type_options: Option<NoSniff>,
    #[serde(rename = "X-Frame-Options")]
    x_frame_options: Option<FrameOptions>,
    #[serde(rename = "X-XSS-Protection")]
    x_xss_protection: Option<HeaderText>,
    #[serde(rename = "Content-Security-Policy")]
    content_security_policy: Option<HeaderText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NoSniff {
    NoSniff,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FrameOptions {
    Deny,
    SameOrigin,
}

/// Text that may stand in a header.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct HeaderText(String);

impl TryFrom<String> for HeaderText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(Self(text))
        } else {
            Err("the value of a header is one line of printable ASCII")
        }
    }
}

impl HttpSection {
    /// Name and value of each header that is set; a blank one is not.
    pub(super) fn headers(self) -> Vec<(&'static str, String)> {
        let headers = self.headers.unwrap_or_default();
        let text = |header: Option<HeaderText>| header.map(|text| text.0);
        [
            ("strict-transport-security", text(headers.strict_transport_security)),
            ("x-content-type-options", headers.x_content_type_options.map(|NoSniff::NoSniff| "nosniff".to_owned())),
            (
                "x-frame-options",
                headers.x_frame_options.map(|options| match options {
                    FrameOptions::Deny => "deny".to_owned(),
                    FrameOptions::SameOrigin => "sameorigin".to_owned(),
                }),
            ),
            ("x-xss-protection", text(headers.x_xss_protection)),
            ("content-security-policy", text(headers.content_security_policy)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimitSection {
    #[serde(deserialize_with = "duration")]
    interval: Option<Span>,
    burst: Option<NonZeroU32>,
}

/// A bucket of requests that is refilled steadily.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// One request is added in each such time; above zero.
    pub interval: Span,
    /// How many the bucket holds.
    pub burst: NonZeroU32,
}

impl RateLimitSection {
    /// An interval of zero, or none, is no limit.
    pub(super) fn rate_limit(self) -> Option<RateLimit> {
        let interval = self.interval.filter(|interval| *interval > Span::ZERO)?;
        Some(RateLimit { interval, burst: self.burst.unwrap_or(NonZeroU32::MIN) })
    }
}

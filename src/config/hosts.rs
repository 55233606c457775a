//! Under which names may a browser reach the agent? Beside IP addresses and those that the machine itself has.

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A host name, `*.` and a domain for every name below it, or `*` for every name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(String);

/// What is no host name.
#[derive(Debug, Error)]
#[error("\"{0}\" is no host name; write it as node-1.example.com, *.example.com or *, without scheme and port")]
pub struct HostPatternError(String);

impl HostPattern {
    /// Whether it stands for this name, which is in lower case and has no dot at its end.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_prefix('*') {
            // The dot before the domain is part of `suffix`.
            Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
            None => name == self.0,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if text == "*" || name.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(HostPatternError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        text.parse()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_a_star_for_what_is_before_the_domain() {
        let matches = |pattern: &str, name: &str| pattern.parse::<HostPattern>().unwrap().matches(name);
        assert!(matches("Node-1.example.com", "node-1.example.com"));
        assert!(!matches("node-1", "node-1.example.com") && !matches("example.com", "evil-example.com"));
        assert!(matches("*.example.com", "a.example.com") && matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com") && !matches("*.example.com", "evilexample.com"));
        assert!(!matches("*.example.com", ".example.com"));
        assert!(matches("*", "anything.example"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "*x", "a.*", "http://node-1", "node-1:9469", "a..b", "*.", "a b", "[::1]"] {
            let error = text.parse::<HostPattern>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is no host name; write it as")), "{error}");
        }
    }
}

//! How does text from inside a container become safe to print? It is cut, and everything that could steer a terminal,
//! a page or a reader's eye is replaced.
//!
//! This is not escaping: HTML and metric labels are escaped again where they are written.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Foreign text made harmless: at most [`Label::MAX_CHARS`] characters, none of them a control or a direction mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The longest label, in characters; a Kubernetes name has at most 253.
    pub const MAX_CHARS: usize = 253;

    /// Replaces control characters, direction marks and invisible characters by U+FFFD; cuts with an ellipsis.
    pub fn new(text: &str) -> Self {
        Self(printable(text, Self::MAX_CHARS))
    }

    /// As [`Label::new`]; bytes that are not UTF-8 become U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // Four bytes a character at most, and one more character so that the cut is noticed.
        let enough = bytes.get(..(Self::MAX_CHARS + 1) * 4).unwrap_or(bytes);
        Self::new(&String::from_utf8_lossy(enough))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text without what could steer a terminal or a reader's eye, cut with an ellipsis to at most so many characters.
pub fn printable(text: &str, most: usize) -> String {
    let mut clean: String =
        text.chars().take(most).map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(most).is_some() {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// Whether text is certainly as it was given: nothing in it was replaced, and its end not cut off.
pub fn is_genuine(text: &str) -> bool {
    !text.contains(char::REPLACEMENT_CHARACTER) && !text.ends_with('…') && !text.chars().any(is_harmful)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_and_direction_marks_are_replaced() {
        assert_eq!(Label::new("a\x1b[31m\u{202E}b\n").as_str(), "a\u{FFFD}[31m\u{FFFD}b\u{FFFD}");
        assert_eq!(Label::new("registry.k8s.io/pause:3.9 ümläut 🦀").as_str(), "registry.k8s.io/pause:3.9 ümläut 🦀");
    }

    #[test]
    fn text_that_was_changed_is_not_genuine() {
        for text in ["a\x1b", "a\u{202E}b", &"x".repeat(254), "a\nb", "ab\u{200B}"] {
            assert!(!is_genuine(Label::new(text).as_str()), "{text:?}");
            assert!(text.len() > 253 || !is_genuine(text), "{text:?}");
        }
        assert!(!is_genuine(Label::from_bytes(b"a\xff").as_str()));
        assert!(is_genuine("registry.k8s.io/pause:3.9 ümläut 🦀 '$(x)'"));
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        let cut = Label::new(&"x".repeat(10_000));
        assert_eq!(cut.as_str().chars().count(), 253);
        assert!(cut.as_str().ends_with("x…"));
        assert_eq!(Label::new(&"x".repeat(253)).as_str(), "x".repeat(253));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_bounded_label_that_stays_itself(bytes: Vec<u8>) {
            let label = Label::from_bytes(&bytes);
            prop_assert!(label.as_str().chars().count() <= Label::MAX_CHARS);
            prop_assert!(!label.as_str().chars().any(char::is_control));
            prop_assert_eq!(Label::new(label.as_str()), label);
        }
    }
}

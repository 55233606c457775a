//! How does a foreign name get into a command that somebody will copy? As one word that means itself, or not at all.

use crate::untrusted::is_genuine;

/// The word of a POSIX shell that means this text. `None` where no command can mean it: nothing at all, text that was cut or has
/// characters replaced or invisible, and what a program would take for an option.
pub(super) fn word(text: &str) -> Option<String> {
    if text.is_empty() || text.starts_with('-') || !is_genuine(text) {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    let quoted = || format!("'{}'", text.replace('\'', r"'\''"));
    Some(if text.chars().all(is_plain) { text.to_owned() } else { quoted() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn ordinary_names_stay_as_they_are_and_others_are_quoted() {
        let cases = [
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("a@sha256:0123", "a@sha256:0123"),
            ("a b", "'a b'"),
            ("a;reboot", "'a;reboot'"),
            ("$(reboot)", "'$(reboot)'"),
            ("`reboot`", "'`reboot`'"),
            ("a'; reboot; '", r"'a'\''; reboot; '\'''"),
            ("~root", "'~root'"),
            ("a=b", "'a=b'"),
            ("#a", "'#a'"),
            ("ü", "'ü'"),
        ];
        for (text, expected) in cases {
            assert_eq!(word(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_no_command_can_mean_is_refused() {
        for text in ["", "-rf", "a\nreboot", "a\u{FFFD}", "a\u{202E}b", &format!("{}…", "x".repeat(252))] {
            assert_eq!(word(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_shell_reads_back_what_was_meant(text in "([ '\"$`;&|<>(){}*?!#~\\\\a-z=]|\\PC){1,40}") {
            if let Some(word) = word(&text) {
                let output = Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().unwrap();
                prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
            }
        }
    }
}

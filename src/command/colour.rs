//! Where does a word have a colour? On a terminal that has not been told otherwise.

use crate::verdict::Verdict;
use anstyle::{AnsiColor, Style};
use std::io::stdout;

/// Whether standard output may be coloured: it is a terminal, and neither NO_COLOR nor CLICOLOR=0 nor TERM=dumb stands against
/// it; or CLICOLOR_FORCE is set.
pub(super) fn wanted() -> bool {
    anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never
}

/// The word of a verdict in its colour.
pub(super) fn verdict(verdict: Verdict, coloured: bool) -> String {
    let colour = match verdict {
        Verdict::Ok => AnsiColor::Green,
        Verdict::Unknown => AnsiColor::Magenta,
        Verdict::Warning => AnsiColor::Yellow,
        Verdict::Critical => AnsiColor::Red,
    };
    painted(&verdict.as_str().to_ascii_uppercase(), Style::new().bold().fg_color(Some(colour.into())), coloured)
}

/// A table with its headings made to stand out.
pub(super) fn headings(text: &str, coloured: bool) -> String {
    // The heading of the table of layers has two lines.
    let first = text.lines().take(2).position(|line| line.starts_with("LAYER"));
    let heading = first.map_or(0..0, |first| first..first + 2);
    let mut styled = String::with_capacity(text.len() + 64);
    for (number, line) in text.lines().enumerate() {
        let style = match line {
            "Could not be read:" => Style::new().bold().fg_color(Some(AnsiColor::Yellow.into())),
            _ if heading.contains(&number) => Style::new().bold(),
            _ => Style::new(),
        };
        styled.push_str(&painted(line, style, coloured && !style.is_plain()));
        styled.push('\n');
    }
    styled
}

fn painted(text: &str, style: Style, coloured: bool) -> String {
    if coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_text_stays_as_it_is() {
        let text = "Node a\nLAYER  KIND\n       ALONE\nhost   host\n\nCould not be read:\n  x\n";
        assert_eq!(headings(text, false), text);
        assert_eq!(verdict(Verdict::Critical, false), "CRITICAL");
        let coloured = headings(text, true);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), text);
        assert!(coloured.starts_with("Node a\n\u{1b}[1mLAYER") && coloured.contains("\nhost   host\n"), "{coloured}");
        assert_eq!(verdict(Verdict::Critical, true), "\u{1b}[1m\u{1b}[31mCRITICAL\u{1b}[0m");
    }
}

//! How is a result shown again and again? On a terminal on a screen of its own, as watch(1) does it, which is left as it was
//! found; elsewhere one after the other.

use std::io::{self, IsTerminal, Write, stdout};

/// Where results are shown.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether the terminal is on its other screen now.
    taken: bool,
    shown: bool,
}

/// Another screen, no cursor, long lines cut and not wrapped.
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const GIVE_BACK: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the terminal, where standard output is one.
    pub(super) fn take() -> io::Result<Self> {
        let taken = stdout().is_terminal();
        if taken {
            let mut out = stdout().lock();
            out.write_all(TAKE.as_bytes())?;
            out.flush()?;
        }
        Ok(Self { taken, shown: false })
    }

    /// Shows a text in the place of the one before, without its middle where the screen is too small; `title` on a terminal only.
    pub(super) fn show(&mut self, title: &str, text: &str) -> io::Result<()> {
        let mut out = stdout().lock();
        if !self.taken {
            let between = if std::mem::replace(&mut self.shown, true) { "\n" } else { "" };
            write!(out, "{between}{text}")?;
            return out.flush();
        }
        let rows = terminal_size::terminal_size_of(&out).map_or(24, |(_, height)| usize::from(height.0));
        let frame = frame(title, text, rows);
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

/// Of a picture that is cut the last lines stay: whence it comes and how bad it is.
const LAST: usize = 2;

/// One picture: each line without what was there before, then nothing below.
fn frame(title: &str, text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(2).max(1);
    let mut frame = format!("\x1b[H{title}\x1b[K\r\n\x1b[K");
    let mut put = |line: &str| frame.extend(["\r\n", line, "\x1b[K"]);
    // Nothing is left out where everything has room.
    let last = if lines.len() > room { LAST.min(room - 1) } else { 0 };
    let first = if lines.len() > room { room - 1 - last } else { lines.len() };
    for line in lines.iter().take(first) {
        put(line);
    }
    if lines.len() > room {
        put(&format!("({} more lines)", lines.len() - first - last));
    }
    for line in lines.iter().skip(lines.len() - last) {
        put(line);
    }
    frame.push_str("\x1b[J");
    frame
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.taken {
            let mut out = stdout().lock();
            // Nobody is left to be told.
            out.write_all(GIVE_BACK.as_bytes()).and_then(|()| out.flush()).unwrap_or(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_the_screen_and_leaves_nothing_of_the_one_before() {
        assert_eq!(frame("t", "a\nb\n", 24), "\x1b[Ht\x1b[K\r\n\x1b[K\r\na\x1b[K\r\nb\x1b[K\x1b[J");
        let cut = frame("t", "a\nb\nc\nd\ne\n", 6);
        assert_eq!(cut, "\x1b[Ht\x1b[K\r\n\x1b[K\r\na\x1b[K\r\n(2 more lines)\x1b[K\r\nd\x1b[K\r\ne\x1b[K\x1b[J");
        assert_eq!(cut.matches("\r\n").count(), 5, "six rows");
        assert_eq!(frame("t", "a\nb\n", 0).matches("\r\n").count(), 2, "a terminal that does not know its size");
    }
}

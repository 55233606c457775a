//! Reads a recording to its end, or to where it is damaged, one sample at a time and in bounded memory.

use super::decode::{Decoder, LineError, Skipped};
use super::format::LINE_LIMIT;
use crate::sample::Sample;
use std::io::{self, BufRead, Read};
use thiserror::Error;

/// The samples of a recording, oldest first. Ends at the end of the file, or where it cannot be read further.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    decoder: Decoder,
    line: Vec<u8>,
    ended: bool,
    report: Report,
}

/// How the reading went.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines that were read, also empty ones.
    pub lines: u64,
    /// Samples that they gave.
    pub samples: u64,
    /// What was passed over.
    pub skipped: Skipped,
    /// The first places that could not be understood, at most [`Report::MOST_DAMAGE`].
    pub damage: Vec<Damage>,
    /// Places beyond these.
    pub more_damage: u64,
}

/// A place that cannot be understood.
#[derive(Debug, Error)]
#[error("line {line}")]
pub struct Damage {
    /// The number of the line, from 1.
    pub line: u64,
    /// What is wrong there.
    #[source]
    pub cause: DamageCause,
}

/// What is wrong with a line or the file.
#[derive(Debug, Error)]
pub enum DamageCause {
    /// The line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The file ends within the line.
    #[error("the file ends within this line: it is cut off, or still being written")]
    CutOff,
    /// The file cannot be read further.
    #[error("the file cannot be read further")]
    Io(#[source] io::Error),
}

impl Report {
    /// So many damaged places are told apart; a file of noise has one in each line.
    pub const MOST_DAMAGE: usize = 16;
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`, which is not compressed.
    pub fn new(input: R) -> Self {
        Self { input, decoder: Decoder::new(), line: Vec::new(), ended: false, report: Report::default() }
    }

    /// How the reading went so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// How the reading went.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// The next sample; `None` at the end. What is damaged is passed over up to the next header, and noted in the report.
    pub fn next_sample(&mut self) -> Option<Sample> {
        while !self.ended {
            if let Some(sample) = self.next_line() {
                self.report.samples = self.report.samples.saturating_add(1);
                return Some(sample);
            }
        }
        None
    }

    fn next_line(&mut self) -> Option<Sample> {
        self.line.clear();
        // One more than a line may have and one for the newline, so that a longer one is noticed.
        let limit = u64::try_from(LINE_LIMIT).unwrap_or(u64::MAX).saturating_add(2);
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line);
        self.report.lines = self.report.lines.saturating_add(1);
        if let Err(error) = read {
            self.ended = true;
            self.damaged(DamageCause::Io(error));
            return None;
        }
        let whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
        if !whole && self.line.len() > LINE_LIMIT {
            self.skip_rest_of_line();
        } else if !whole {
            self.ended = true;
        }
        if self.ended && self.line.is_empty() {
            // Not a line, but the end.
            self.report.lines = self.report.lines.saturating_sub(1);
            return None;
        }
        let was_lost = self.decoder.is_lost();
        let result = self.decoder.line(&self.line);
        self.report.skipped = self.decoder.skipped();
        match result {
            Ok(sample) => sample,
            Err(LineError::NotJson(_)) if self.ended && !was_lost => {
                self.damaged(DamageCause::CutOff);
                None
            }
            Err(error) => {
                self.damaged(error.into());
                None
            }
        }
    }

    fn skip_rest_of_line(&mut self) {
        loop {
            match self.input.skip_until(b'\n') {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.damaged(DamageCause::Io(error));
                    return;
                }
            }
        }
    }

    fn damaged(&mut self, cause: DamageCause) {
        if self.report.damage.len() < Report::MOST_DAMAGE {
            self.report.damage.push(Damage { line: self.report.lines, cause });
        } else {
            self.report.more_damage = self.report.more_damage.saturating_add(1);
        }
    }
}

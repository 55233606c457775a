//! `highwater replay`: were the predictions right? Goes through a recording, and says by the exit code.

mod judge;
mod outcome;
mod predicted;
mod print;

use super::{Failure, recording};
use crate::assess::{State, assess};
use crate::cli::{Output, ReplayArgs};
use judge::Judge;

/// Replays the file and prints what was predicted and what happened; 0 where no prediction was wrong, else 1.
///
/// # Errors
/// A file that cannot be read, or holds no sample.
pub fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    let mut samples = recording::open(&args.file)?;
    let mut state = State::default();
    let mut judge = Judge::default();
    while let Some(sample) = samples.next_sample() {
        let (assessment, next) = assess(&sample, state);
        state = next;
        judge.observe(&sample, &assessment);
    }
    let report = samples.into_report();
    if report.samples == 0 {
        return Err(recording::nothing(&args.file, report).into());
    }
    recording::warn(&args.file, &report);
    let result = judge.finish();
    let text = match args.output {
        Output::Table => print::table(&result, report.samples),
        Output::Json => print::json(&result, &report, &recording::warnings(&args.file, &report)),
    };
    super::print(&text)?;
    Ok(u8::from(result.rows.iter().any(|row| row.correctness() == judge::Correctness::Wrong)))
}

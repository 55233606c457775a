//! What do an update and the forecasts of one round cost, and how large is the state? For 1, 8 and 64 filesystems with a full
//! day of history. Budget: 1 ms and 64 KiB for each filesystem.

use criterion::{Criterion, criterion_group, criterion_main};
use highwater::forecast::{History, Observation};
use highwater::time::{Span, Timestamp};
use highwater::units::{Bytes, Inodes};
use std::hint::black_box;

const CAPACITY: u64 = 280 << 30;
/// As many triggers as a node with several layers has on one disk.
const THRESHOLDS: u64 = 10;

/// Jobs that write for an hour and give everything back, sampled every 15 s.
fn observation(step: u64) -> Observation {
    let written = (step % 240) * (200 << 20) + (step * 7_919_993) % (50 << 20);
    Observation {
        at: Timestamp::from_micros(1_700_000_000_000_000) + Span::from_secs(i64::try_from(step * 15).unwrap_or(0)),
        capacity: Bytes::new(CAPACITY),
        available: Bytes::new(CAPACITY / 2 - written),
        files: Inodes::new(18_000_000),
        files_free: Inodes::new(9_000_000 - written / 100_000),
    }
}

fn day() -> History {
    let mut history = History::new();
    for step in 0..6_000 {
        history.observe(observation(step));
    }
    history
}

fn forecasts(history: &History) {
    let outlook = history.outlook();
    for part in 1..=THRESHOLDS {
        black_box(outlook.forecast(Bytes::new(CAPACITY / 50 * part)));
    }
    black_box(outlook.forecast_inodes(Inodes::new(900_000)));
}

#[expect(clippy::print_stdout, reason = "the size belongs beside the times")]
fn tell_state(history: &History) {
    println!("state of one filesystem: {} bytes", history.state_bytes());
}

fn forecast(criterion: &mut Criterion) {
    let history = day();
    tell_state(&history);
    for filesystems in [1usize, 8, 64] {
        let mut all = vec![history.clone(); filesystems];
        let mut step = 6_000;
        criterion.bench_function(&format!("observe/{filesystems}"), |bencher| {
            bencher.iter(|| {
                step += 1;
                for history in &mut all {
                    history.observe(observation(step));
                }
            });
        });
        criterion.bench_function(&format!("forecast_all_thresholds/{filesystems}"), |bencher| {
            bencher.iter(|| all.iter().for_each(forecasts));
        });
    }
}

criterion_group!(benches, forecast);
criterion_main!(benches);

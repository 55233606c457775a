//! Full and incremental discovery on a made-up /proc of 5,000 processes with six layers, and beside it what sysinfo takes to
//! list processes of the same machine's real /proc. Budget: full under 30 ms, incremental under 5 ms.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that cannot go on panics")]

#[path = "../it/fake_proc.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod fake_proc;

use criterion::{Criterion, criterion_group, criterion_main};
use highwater::access::proc::Procfs;
use highwater::discover::{Learned, Scanner, layers};
use std::path::Path;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

fn discovery(criterion: &mut Criterion) {
    let proc = fake_proc::FakeProc::new();
    fake_proc::prow_node(&proc, 4, 5_000);
    let procfs = Procfs::open(proc.path()).unwrap();
    let mut group = criterion.benchmark_group("discovery");
    group.sample_size(20);
    group.bench_function("full, 5,000 made-up processes", |bencher| {
        bencher.iter(|| layers(&Scanner::new().scan(&procfs).unwrap(), &Learned::default()).len());
    });
    let mut scanner = Scanner::new();
    scanner.scan(&procfs).unwrap();
    group.bench_function("incremental, 5,000 made-up processes", |bencher| {
        bencher.iter(|| layers(&scanner.scan(&procfs).unwrap(), &Learned::default()).len());
    });

    let real = Procfs::open(Path::new("/proc")).unwrap();
    let count = real.pids().unwrap().len();
    group.bench_function(format!("full, {count} real processes"), |bencher| {
        bencher.iter(|| layers(&Scanner::new().scan(&real).unwrap(), &Learned::default()).len());
    });
    let mut scanner = Scanner::new();
    scanner.scan(&real).unwrap();
    group.bench_function(format!("incremental, {count} real processes"), |bencher| {
        bencher.iter(|| layers(&scanner.scan(&real).unwrap(), &Learned::default()).len());
    });
    // The peer that people would take: it has no fixture, so it is compared on the real /proc.
    let mut system = System::new().unwrap();
    group.bench_function(format!("sysinfo, {count} real processes"), |bencher| {
        bencher.iter(|| {
            let wanted = ProcessRefreshKind::nothing().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
            system.processes().len()
        });
    });
}

criterion_group!(benches, discovery);
criterion_main!(benches);

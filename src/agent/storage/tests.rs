//! Is what was written restored as it was, and anything else not at all?

#![expect(clippy::disallowed_methods, reason = "files of the test")]

use super::directory::{ASIDE, Directory, NAME};
use super::form::{self, MOST_BYTES, Origin};
use super::state_file::StateFile;
use super::{Boot, Storage};
use crate::assess::{Assessment, PersistedState, State, assess};
use crate::demo::Scenario;
use crate::sample::Sample;
use crate::time::{Span, Timestamp};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The demonstration's node from half an hour before a crossing on, twice a minute.
fn samples(seed: u64) -> impl Iterator<Item = Sample> {
    let start = Timestamp::from_micros(1_795_500_000_000_000);
    Scenario::new(seed, start).skip(12 * 40).step_by(6)
}

fn watched(samples: impl IntoIterator<Item = Sample>) -> State {
    samples.into_iter().fold(State::default(), |state, sample| assess(&sample, state).1)
}

fn boot(id: &str) -> Boot {
    Boot { id: Some(id.to_owned()), at: Some(Timestamp::from_micros(1_795_000_000_123_456)) }
}

fn file(state: &State, at: Timestamp) -> Vec<u8> {
    super::file(state, at, &boot("this"))
}

/// A state of 60 samples with its time, and the file it gives.
static EXAMPLE: LazyLock<(Vec<Sample>, State, Vec<u8>)> = LazyLock::new(|| {
    let seen: Vec<_> = samples(3).take(70).collect();
    let state = watched(seen.iter().take(60).cloned());
    let bytes = file(&state, seen[59].at);
    (seen, state, bytes)
});

fn now() -> Timestamp {
    EXAMPLE.0[59].at
}

fn pieces(state: &State) -> Vec<PersistedState<'_>> {
    state.persisted().collect()
}

/// What is made of a directory whose state is these bytes.
fn restored(bytes: &[u8]) -> (TempDir, State) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(NAME), bytes).unwrap();
    let state = restore(directory.path());
    (directory, state)
}

fn restore(path: &Path) -> State {
    StateFile::new(path.to_owned()).restore(now(), &boot("this")).state
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_example_has_something_of_everything() {
    let pieces = pieces(&EXAMPLE.1);
    let count = |is: fn(&PersistedState<'_>) -> bool| pieces.iter().filter(|piece| is(piece)).count();
    assert_eq!(count(|piece| matches!(piece, PersistedState::Filesystem { .. })), 1);
    assert!(count(|piece| matches!(piece, PersistedState::Layer { .. })) >= 3);
    assert!(count(|piece| matches!(piece, PersistedState::Scorer { .. })) >= 4);
}

/// How many were seen since the start.
fn deletions(assessment: &Assessment) -> u64 {
    assessment.layers.iter().flat_map(|layer| layer.observed.values()).map(|observed| observed.runs).sum()
}

/// The same without what follows from when a kubelet looks.
fn without_ticks(mut assessment: Assessment) -> Assessment {
    for filesystem in &mut assessment.filesystems {
        filesystem.expected_triggers.clear();
    }
    for trigger in assessment.layers.iter_mut().flat_map(|layer| &mut layer.triggers) {
        trigger.action = None;
    }
    assessment
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn a_restart_changes_no_forecast_and_no_score(seed in 0_u64..1_000, before in 1_usize..80) {
        let seen: Vec<_> = samples(seed).take(before + 3).collect();
        let (last_before, mut lasting) = assess(&seen[before - 1], watched(seen.iter().take(before - 1).cloned()));
        let (_keep, mut resumed) = {
            let directory = TempDir::new().unwrap();
            let at = seen[before - 1].at;
            Directory::open(directory.path()).unwrap().replace(&file(&lasting, at)).unwrap();
            let found = StateFile::new(directory.path().to_owned()).restore(at, &boot("this"));
            prop_assert_eq!(found.booted_at, boot("this").at);
            (directory, found.state)
        };
        prop_assert_eq!(pieces(&resumed), pieces(&lasting));
        for sample in &seen[before..] {
            let (with, next) = assess(sample, lasting);
            let (without, resumed_next) = assess(sample, resumed);
            // A deletion between the last list before and the first one after is seen by the one agent alone, which learns a
            // tick by it.
            let learnt = deletions(&with) != deletions(&last_before) + deletions(&without);
            let (with, without) = if learnt { (without_ticks(with), without_ticks(without)) } else { (with, without) };
            prop_assert_eq!(&with.filesystems, &without.filesystems);
            prop_assert_eq!(&with.scores, &without.scores);
            for (with, without) in with.layers.iter().zip(&without.layers) {
                prop_assert_eq!(&with.triggers, &without.triggers);
                let followed = |images: &Option<crate::assess::ImagesAssessment>| images.as_ref().map(|i| i.followed_since);
                prop_assert_eq!(followed(&with.images), followed(&without.images));
            }
            (lasting, resumed) = (next, resumed_next);
        }
    }
}

proptest! {
    #[test]
    fn damage_gives_nothing_or_all(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = EXAMPLE.2.clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok((_, found)) = form::decode(&bytes) {
            prop_assert_eq!(found, pieces(&EXAMPLE.1));
        } else {
            prop_assert_ne!(&bytes, &EXAMPLE.2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    // The checksum is no seal: whoever may write the file can make it fit.
    #[test]
    fn whatever_has_a_fitting_checksum_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789-.eE,[]{}\"nul\n".to_vec())), 1..6),
    ) {
        let body = EXAMPLE.2.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut body = EXAMPLE.2[body..].to_vec();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        let mut bytes =
            format!("{{\"highwater_state\":1,\"bytes\":{},\"crc32\":{}}}\n", body.len(), crc32fast::hash(&body)).into_bytes();
        bytes.extend(body);
        let (_directory, state) = restored(&bytes);
        watched_on(state);
    }
}

fn watched_on(state: State) {
    let last = EXAMPLE.0[60..62].iter().fold(state, |state, sample| {
        let (assessment, next) = assess(sample, state);
        assert_eq!(assessment.filesystems.len(), 1);
        next
    });
    assert!(last.persisted().count() > 0);
}

#[test]
fn what_cannot_be_used_is_set_aside_and_begun_anew() {
    let good = &EXAMPLE.2;
    let later = file(&EXAMPLE.1, now() + Span::from_secs(2));
    let newer = String::from_utf8(good.clone()).unwrap().replacen("\"highwater_state\":1", "\"highwater_state\":2", 1);
    let cases: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("foreign", b"[Unit]\nDescription=something else\n".to_vec()),
        ("cut off", good[..good.len() - 10].to_vec()),
        ("longer", [good.as_slice(), b"\n"].concat()),
        ("too large", vec![b' '; MOST_BYTES + 1]),
        ("of the future", later),
        ("newer", newer.into_bytes()),
    ];
    for (what, bytes) in cases {
        let (directory, state) = restored(&bytes);
        assert_eq!(state.persisted().count(), 0, "{what}");
        assert_eq!(names(directory.path()), [ASIDE], "{what}");
        assert!(fs::read(directory.path().join(ASIDE)).unwrap() == bytes, "{what} is there to be looked at");
    }
    let (directory, state) = restored(good);
    assert_eq!(pieces(&state), pieces(&EXAMPLE.1));
    assert_eq!(names(directory.path()), [NAME]);
}

#[test]
fn links_folders_and_pipes_are_neither_followed_nor_waited_for() {
    let outside = TempDir::new().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, &EXAMPLE.2).unwrap();
    let make: [fn(&Path, &Path); 3] = [
        |place, precious| symlink(precious, place).unwrap(),
        |place, _| fs::create_dir(place).unwrap(),
        |place, _| mkfifo(place, Mode::S_IRUSR).unwrap(),
    ];
    for make in make {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        make(&path.join(NAME), &precious);
        // A link where the new file is written is not followed either.
        symlink(&precious, path.join("state.new")).unwrap();
        let mut file = StateFile::new(path.to_owned());
        assert_eq!(file.restore(now(), &boot("this")).state.persisted().count(), 0);
        file.write(b"new");
        assert_eq!(fs::read(path.join(NAME)).unwrap(), b"new");
        assert!(fs::symlink_metadata(path.join(NAME)).unwrap().is_file());
        assert_eq!(names(path), [NAME, ASIDE]);
    }
    assert_eq!(fs::read(precious).unwrap(), EXAMPLE.2);
}

#[test]
fn a_writing_that_fails_leaves_the_old_state_and_is_made_up_for() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let mut file = StateFile::new(path.to_owned());
    file.write(b"old");
    assert_eq!(fs::metadata(path.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    // In the way of the new one.
    fs::create_dir(path.join("state.new")).unwrap();
    file.write(b"newer");
    assert_eq!(fs::read(path.join(NAME)).unwrap(), b"old");
    fs::remove_dir(path.join("state.new")).unwrap();
    file.write(b"newest");
    assert_eq!(fs::read(path.join(NAME)).unwrap(), b"newest");
}

#[test]
fn a_directory_is_made_and_one_that_cannot_be_is_no_end() {
    let directory = TempDir::new().unwrap();
    let below = directory.path().join("a/b");
    let mut file = StateFile::new(below.clone());
    assert_eq!(file.restore(now(), &boot("this")).state.persisted().count(), 0);
    file.write(b"new");
    assert_eq!(fs::metadata(&below).unwrap().permissions().mode() & 0o777, 0o700);
    // Somebody removes it.
    fs::remove_dir_all(&below).unwrap();
    file.write(b"lost");
    file.write(b"again");
    assert_eq!(fs::read(below.join(NAME)).unwrap(), b"again");

    let occupied = directory.path().join("file");
    fs::write(&occupied, "").unwrap();
    let mut file = StateFile::new(occupied.clone());
    assert_eq!(file.restore(now(), &boot("this")).state.persisted().count(), 0);
    file.write(b"nowhere");
    assert_eq!(fs::read(occupied).unwrap(), b"");
}

#[test]
fn two_agents_do_not_write_into_one_directory() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let mut first = StateFile::new(path.to_owned());
    let mut second = StateFile::new(path.to_owned());
    first.restore(now(), &boot("this"));
    second.restore(now(), &boot("this"));
    first.write(b"first");
    second.write(b"second");
    assert_eq!(fs::read(path.join(NAME)).unwrap(), b"first");
    drop(first);
    second.write(b"second");
    assert_eq!(fs::read(path.join(NAME)).unwrap(), b"second");
}

#[test]
fn after_a_restart_of_the_machine_only_the_scores_are_left() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(NAME), &EXAMPLE.2).unwrap();
    for other in [boot("another"), Boot::default()] {
        let found = StateFile::new(directory.path().to_owned()).restore(now(), &other);
        assert_eq!(found.booted_at, None);
        assert!(found.state.persisted().all(|piece| matches!(piece, PersistedState::Scores { .. })));
        assert!(found.state.persisted().count() > 0);
    }
}

#[test]
fn pieces_that_do_not_fit_are_left_out() {
    let (_, state, _) = &*EXAMPLE;
    let history = pieces(state).into_iter().find(|piece| matches!(piece, PersistedState::Filesystem { .. })).unwrap();
    let many = std::iter::repeat_n(history, 3_000).chain(pieces(state));
    let bytes = form::encode(&Origin::new(now(), None, None), many);
    assert!(bytes.len() <= MOST_BYTES && bytes.len() > MOST_BYTES / 2, "{}", bytes.len());
    assert!(form::decode(&bytes).unwrap().1.len() > 10);
}

#[test]
fn the_thread_writes_at_the_end_and_reads_at_the_start() {
    let directory = TempDir::new().unwrap();
    let (seen, state, _) = &*EXAMPLE;
    let (mut storage, found) = Storage::start(directory.path(), now(), &boot("this")).unwrap();
    assert_eq!(found.state.persisted().count(), 0);
    // Not a minute has passed.
    storage.keep(state, now(), || boot("this"));
    assert_eq!(names(directory.path()), [""; 0]);
    storage.finish(state, now(), &boot("this"));
    let (storage, found) = Storage::start(directory.path(), seen[60].at, &boot("this")).unwrap();
    assert_eq!(pieces(&found.state), pieces(state));
    storage.finish(&found.state, now(), &boot("this"));
}

#[test]
fn the_version_of_a_history_is_part_of_the_file() {
    let text = String::from_utf8(EXAMPLE.2.clone()).unwrap();
    let origin = text.lines().nth(1).unwrap();
    assert!(origin.starts_with(&format!("{{\"history\":{},", PersistedState::HISTORY_VERSION)), "{origin}");
}

//! Where do samples go that are to be kept? Into a file of bounded size, as `sample::recording` writes them.
//!
//! The disk that is written to may be the one that fills up or hangs: that costs the recording, never the agent, and is said
//! once. It has a thread of its own, which the agent never waits for. Nothing is forced to the disk (no fsync): a machine that
//! crashes loses what the kernel had not written yet.

use crate::sample::Sample;
use crate::sample::recording::{BEGIN, Encoder};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions, TryLockError, rename};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

/// A thread that records the samples it is handed. It ends when this is dropped, and is not waited for.
#[derive(Debug)]
pub struct Recording {
    sender: SyncSender<Sample>,
    behind: bool,
}

/// Samples that may wait to be written; more are left out.
const WAITING: usize = 4;

impl Recording {
    /// Starts the thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(mut recorder: Recorder) -> io::Result<Self> {
        let (sender, samples) = sync_channel::<Sample>(WAITING);
        Builder::new().name("recording".to_owned()).spawn(move || {
            for sample in samples {
                recorder.record(&sample);
            }
        })?;
        Ok(Self { sender, behind: false })
    }

    /// Hands over a sample; it is left out where too many wait already. Never waits.
    pub fn record(&mut self, sample: &Sample) {
        match self.sender.try_send(sample.clone()) {
            Ok(()) => self.behind = false,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                if !self.behind {
                    tracing::error!("samples are not recorded: the disk of the recording is too slow or hangs");
                }
                self.behind = true;
            }
        }
    }
}

/// Writes samples to FILE, and keeps one older generation as FILE.1.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    /// Size at which a file becomes the older generation: both together stay below the limit.
    generation: u64,
    file: File,
    /// Bytes that are whole lines; what is beyond is the rest of a failed write.
    written: u64,
    encoder: Encoder,
    lines: Vec<u8>,
    /// Whether the file ends within a line.
    torn: bool,
    failed: Option<Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    again_at: Timestamp,
}

/// After a failure it is tried again this much later: a full disk is not helped by a writer that never rests.
const PAUSE: Span = Span::from_secs(30);

impl Recorder {
    /// Opens FILE for appending, or makes it, for its owner only. `most` is for FILE and FILE.1 together.
    ///
    /// # Errors
    /// A path that cannot be opened for writing, is a symbolic link or no ordinary file, or that another process records to.
    pub fn open(path: &Path, most: Bytes) -> io::Result<Self> {
        let file = open(path)?;
        let written = file.metadata()?.len();
        let torn = ends_torn(&file, written)?;
        let encoder = Encoder::new(concat!("highwater ", env!("CARGO_PKG_VERSION")));
        let generation = most.get() / 2;
        Ok(Self { path: path.to_owned(), generation, file, written, encoder, lines: Vec::new(), torn, failed: None })
    }

    /// Appends a sample. A failure is logged when it begins and when it is over.
    pub fn record(&mut self, sample: &Sample) {
        if self.failed.is_some_and(|failed| sample.at < failed.again_at && failed.again_at.since(sample.at) <= PAUSE) {
            return;
        }
        match self.append(sample) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!(file = %self.path.display(), "the recording goes on");
                }
            }
            Err(error) => {
                // The reader needs everything anew: what of the last lines got into the file is not known.
                self.encoder.restart();
                if self.failed.is_none() {
                    tracing::error!(file = %self.path.display(), %error, "samples are not recorded");
                }
                self.failed = Some(Failed { again_at: sample.at + PAUSE });
            }
        }
    }

    fn append(&mut self, sample: &Sample) -> io::Result<()> {
        if self.failed.is_some() {
            // Takes the rest of a failed write away.
            self.file.set_len(self.written)?;
        }
        self.lines.clear();
        if self.torn {
            self.lines.push(b'\n');
        }
        self.encoder.encode(sample, &mut self.lines);
        if self.written > 0 && self.written.saturating_add(length(&self.lines)) > self.generation {
            self.rotate()?;
            self.lines.clear();
            self.encoder.restart();
            self.encoder.encode(sample, &mut self.lines);
        }
        if length(&self.lines) > self.generation {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "one sample is larger than half the size allowed"));
        }
        self.file.write_all(&self.lines)?;
        self.torn = false;
        self.written = self.written.saturating_add(length(&self.lines));
        // One large sample must not keep its memory for ever.
        self.lines.shrink_to(64 << 10);
        Ok(())
    }

    /// FILE becomes FILE.1, in place of what was there, and a new FILE is made.
    fn rotate(&mut self) -> io::Result<()> {
        match rename(&self.path, older(&self.path)) {
            // It was removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        self.file = open(&self.path)?;
        self.written = self.file.metadata()?.len();
        self.torn = false;
        Ok(())
    }
}

/// The path of the older generation.
fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: opening a FIFO would wait for its reader; for a file it means nothing.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file =
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file"));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process records to it"));
        }
        // Some filesystems have no locks.
        Err(TryLockError::Error(error)) => tracing::debug!(%error, "the recording cannot be locked"),
    }
    Ok(file)
}

/// Whether the last line of a recording has no newline: its writer was stopped in the middle.
fn ends_torn(file: &File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(false);
    }
    let mut begin = [0; BEGIN.len()];
    let is_recording = file.read_exact_at(&mut begin, 0).is_ok() && begin == BEGIN;
    if !is_recording {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is there and is not a recording"));
    }
    let mut last = [0; 1];
    file.read_exact_at(&mut last, length.saturating_sub(1))?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::recording::Reader;
    use std::fs;
    use std::io::BufReader;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    const LIMIT: Bytes = Bytes::from_mib(1);

    fn sample(seconds: i64) -> Sample {
        let at = Timestamp::from_micros(seconds * 1_000_000);
        Sample { at, filesystems: Vec::new(), layers: Vec::new() }
    }

    fn times(path: &Path) -> Vec<i64> {
        let mut reader = Reader::new(BufReader::new(File::open(path).unwrap()));
        let times = std::iter::from_fn(|| reader.next_sample()).map(|sample| sample.at.micros() / 1_000_000).collect();
        assert!(reader.report().damage.len() <= 1, "{:?}", reader.report().damage);
        times
    }

    #[test]
    fn a_second_start_appends_also_behind_a_torn_line() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("node.jsonl");
        Recorder::open(&path, LIMIT).unwrap().record(&sample(1));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let length = fs::metadata(&path).unwrap().len();
        Recorder::open(&path, LIMIT).unwrap().record(&sample(2));
        assert_eq!(times(&path), [1, 2]);
        File::options().write(true).open(&path).unwrap().set_len(length + 30).unwrap();
        Recorder::open(&path, LIMIT).unwrap().record(&sample(3));
        assert_eq!(times(&path), [1, 3]);
    }

    #[test]
    fn two_generations_stay_below_the_limit_and_each_stands_alone() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("node.jsonl");
        let mut recorder = Recorder::open(&path, Bytes::new(2_000)).unwrap();
        for second in 0..200 {
            recorder.record(&sample(second));
            let sizes = [&path, &older(&path)].map(|path| fs::metadata(path).map_or(0, |data| data.len()));
            assert!(sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
        }
        let (old, new) = (times(&older(&path)), times(&path));
        assert_eq!(new.last(), Some(&199));
        assert_eq!(old.last().map(|last| last + 1), new.first().copied());
        assert!(old.len() > 10);
    }

    #[test]
    fn what_is_no_recording_is_left_alone() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "precious").unwrap();
        let error = Recorder::open(&path, LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "the file is there and is not a recording");
        let link = directory.path().join("link");
        symlink(directory.path().join("elsewhere"), &link).unwrap();
        assert!(Recorder::open(&link, LIMIT).is_err());
        assert!(Recorder::open(Path::new("/dev/null"), LIMIT).is_err());
        let path = directory.path().join("used");
        let _used = Recorder::open(&path, LIMIT).unwrap();
        let error = Recorder::open(&path, LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "another process records to it");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_disk_that_refuses_costs_the_samples_of_that_time_only() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("node.jsonl");
        let mut recorder = Recorder::open(&path, LIMIT).unwrap();
        recorder.record(&sample(1));
        let writable = std::mem::replace(&mut recorder.file, File::open("/dev/null").unwrap());
        recorder.record(&sample(2));
        assert!(recorder.failed.is_some());
        // Half a line got through.
        (&writable).write_all(b"{\"type\":\"sam").unwrap();
        recorder.file = writable;
        recorder.record(&sample(3));
        recorder.record(&sample(31));
        assert_eq!(times(&path), [1]);
        recorder.record(&sample(32));
        recorder.record(&sample(33));
        assert_eq!(times(&path), [1, 32, 33]);
    }
}

//! Is what a flag or a setting names a file? Opening a FIFO would wait for its writer, and a device may never end.

use nix::fcntl::OFlag;
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file for reading; links are followed. Never waits for another process.
///
/// # Errors
/// When it cannot be opened, or is a FIFO, a socket, a device or a directory.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Asked first, since opening a device may have effects; and again, since it may have been replaced.
    refuse_special(std::fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    refuse_special(file.metadata()?.file_type())?;
    Ok(file)
}

fn refuse_special(kind: FileType) -> io::Result<()> {
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_dir() => "a directory",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}; name a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_opened_and_a_fifo_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink(path("fifo"), path("link-to-fifo")).unwrap();
        let refused = |path: &Path| open_regular(path).map_err(|error| error.to_string()).err();
        for (name, expected) in [
            ("file", None),
            ("link", None),
            ("fifo", Some("it is a FIFO; name a regular file")),
            ("link-to-fifo", Some("it is a FIFO; name a regular file")),
            ("socket", Some("it is a socket; name a regular file")),
            (".", Some("it is a directory; name a regular file")),
        ] {
            assert_eq!(refused(&path(name)).as_deref(), expected, "{name}");
        }
        assert_eq!(refused(Path::new("/dev/null")).as_deref(), Some("it is a device; name a regular file"));
    }
}

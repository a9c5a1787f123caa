//! Resolves the path of an output: symbolic links, kind of file, permissions, identity.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The most symbolic links that are followed, as Linux does (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// How an output is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Stdout,
    /// A regular file, or none yet: an absolute path without symbolic links.
    File(PathBuf),
    /// A FIFO, a device, or the open file of a descriptor: written in place.
    Special(PathBuf),
}

/// Identifies a file, to detect two paths that lead to the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Stdout,
    Existing {
        device: u64,
        inode: u64,
    },
    /// There is no file yet: its path without symbolic links.
    Missing(PathBuf),
    /// `/dev/null`, where outputs can't destroy each other.
    Null,
}

impl Identity {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self == other && *self != Self::Null
    }

    /// Whether this is the file that `path` leads to.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        let metadata = match self {
            Self::Stdout => metadata_of(io::stdout()).ok(),
            _ => None,
        };
        let own = metadata.map_or_else(|| self.clone(), |metadata| identity(&metadata));
        fs::metadata(path).is_ok_and(|metadata| own.is_same(&identity(&metadata)))
    }
}

/// Resolves `path`.
///
/// # Errors
///
/// Why it can't be written, with the remedy.
pub(super) fn find(path: &Path) -> Result<(Place, Identity), String> {
    if path.as_os_str() == "-" {
        return Ok((Place::Stdout, Identity::Stdout));
    }
    match fs::metadata(path) {
        Ok(metadata) => find_existing(path, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => find_missing(path),
        Err(error) => Err(format!("{error}; give another path")),
    }
}

fn find_existing(path: &Path, metadata: &Metadata) -> Result<(Place, Identity), String> {
    let (kind, identity) = (metadata.file_type(), identity(metadata));
    if kind.is_dir() {
        return Err("is a directory; give the name of a file".to_owned());
    }
    let is_stdout =
        metadata_of(io::stdout()).is_ok_and(|stdout| identity.is_same(&self::identity(&stdout)));
    if is_stdout {
        return Ok((Place::Stdout, Identity::Stdout));
    }
    if kind.is_socket() {
        return Err("is a socket; give the name of a file".to_owned());
    }
    let end = follow(path)?;
    if !kind.is_file() || end.is_descriptor {
        return Ok((Place::Special(end.path), identity));
    }
    check_access(&end.path, Access::WRITE_OK)?;
    Ok((Place::File(end.path), identity))
}

fn find_missing(path: &Path) -> Result<(Place, Identity), String> {
    if path.as_os_str().is_empty() {
        return Err("the path is empty; give the name of a file".to_owned());
    }
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err("names a directory; give the name of a file".to_owned());
    }
    let end = follow(path)?;
    let parent = end.path.parent().unwrap_or_else(|| Path::new("/"));
    check_access(parent, Access::WRITE_OK | Access::EXEC_OK)?;
    Ok((Place::File(end.path.clone()), Identity::Missing(end.path)))
}

fn check_access(path: &Path, wanted: Access) -> Result<(), String> {
    access(path, wanted).map_err(|error| {
        let error = io::Error::from(error);
        format!(
            "cannot write {}: {error}; give another path",
            path.display()
        )
    })
}

/// Where symbolic links end.
struct End {
    /// Absolute, and without symbolic links. There may be no such file.
    path: PathBuf,
    /// The path names an open descriptor. A rename would not change the file that it has open.
    is_descriptor: bool,
}

/// Follows symbolic links, also to a file that does not exist.
fn follow(path: &Path) -> Result<End, String> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let canonical = fs::canonicalize(parent).map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!(
                "there is no directory {}; create it, or give another path",
                parent.display()
            ),
            _ => format!("{}: {error}; give another path", parent.display()),
        })?;
        let Some(name) = path.file_name() else {
            return Err("names a directory; give the name of a file".to_owned());
        };
        path = canonical.join(name);
        if holds_descriptors(&canonical) {
            return Ok(End {
                path,
                is_descriptor: true,
            });
        }
        // Any error means that this is no symbolic link, or that nothing is there.
        let Ok(target) = fs::read_link(&path) else {
            return Ok(End {
                path,
                is_descriptor: false,
            });
        };
        path = canonical.join(target);
    }
    Err("too many symbolic links; give another path".to_owned())
}

/// Whether the entries of this directory are open descriptors: `/dev/fd`, `/proc/self/fd`.
fn holds_descriptors(directory: &Path) -> bool {
    let in_proc = directory.starts_with("/proc") && directory.ends_with("fd");
    in_proc || directory == Path::new("/dev/fd")
}

fn metadata_of(stream: impl AsFd) -> io::Result<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned()?).metadata()
}

fn identity(metadata: &Metadata) -> Identity {
    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    if metadata.file_type().is_char_device() && null.is_ok_and(|null| null == metadata.rdev()) {
        return Identity::Null;
    }
    Identity::Existing {
        device: metadata.dev(),
        inode: metadata.ino(),
    }
}

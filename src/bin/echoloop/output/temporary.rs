//! Writes a file under a temporary name and renames it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// The mode of a new file; the umask is taken off.
const NEW_MODE: u32 = 0o666;

/// The bytes of a file's name that are kept in the temporary one, which is longer (NAME_MAX is 255).
const NAME_KEPT: usize = 200;

/// The most temporary names that are tried. Some may be left by programs that were killed.
const NAMES_MAX: usize = 100;

/// A file that is to replace another one. It is removed on drop.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) file: File,
    name: RemovedOnDrop,
    target: PathBuf,
}

/// The names of the temporary files there are. The lock is held while one is created, so that a
/// signal removes it too, and during no other system call.
static NAMES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn names() -> MutexGuard<'static, Vec<PathBuf>> {
    NAMES.lock().unwrap_or_else(|error| error.into_inner())
}

/// Removes all temporary files: the process is about to end without dropping them.
pub(crate) fn remove_temporary_files() {
    let paths = std::mem::take(&mut *names());
    for path in paths {
        let _ = fs::remove_file(path);
    }
}

#[derive(Debug)]
struct RemovedOnDrop(Option<PathBuf>);

impl RemovedOnDrop {
    /// There is no such file any more.
    fn forget(&mut self) {
        if let Some(path) = self.0.take() {
            names().retain(|name| *name != path);
        }
    }
}

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
        self.forget();
    }
}

impl Temporary {
    /// Creates one beside `target`, with the mode and owner of the file there, if there is one.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let old = fs::metadata(target).ok();
        let mode = old.as_ref().map_or(NEW_MODE, |old| old.mode() & 0o777);
        let (name, file) = create_beside(target, mode)?;
        if let Some(old) = old {
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(Self {
            file,
            name,
            target: target.to_owned(),
        })
    }

    /// Replaces the target. Returns the file, positioned at its end.
    pub(super) fn rename(self) -> io::Result<File> {
        let Self {
            mut file,
            mut name,
            target,
        } = self;
        let Some(path) = &name.0 else { return Ok(file) };
        match fs::rename(path, &target) {
            Ok(()) => {
                name.forget();
                Ok(file)
            }
            Err(error) if is_only_in_place(&error) => {
                let mut old = overwrite(&target).map_err(|_| error)?;
                file.rewind()?;
                io::copy(&mut file, &mut old)?;
                Ok(old)
            }
            Err(error) => Err(error),
        }
    }
}

/// Replaces `target` by the content of `spooled`, if there is one, followed by `bytes`. Returns the file,
/// positioned at its end.
///
/// A file that this process may write but not replace is overwritten in place: in a directory without
/// write permission, of another owner, or mounted as a single file.
pub(super) fn replace(target: &Path, spooled: Option<Temporary>, bytes: &[u8]) -> io::Result<File> {
    let temporary = match spooled {
        Some(spooled) => Ok(spooled),
        None => Temporary::create(target),
    };
    match temporary {
        Ok(mut temporary) => {
            temporary.file.write_all(bytes)?;
            temporary.rename()
        }
        Err(error) if is_only_in_place(&error) => {
            let mut old = overwrite(target).map_err(|_| error)?;
            old.write_all(bytes)?;
            Ok(old)
        }
        Err(error) => Err(error),
    }
}

/// Checks that [`replace`] can succeed: permissions do not tell whether a file system creates files
/// (proc(5)).
pub(super) fn check_replaceable(target: &Path) -> io::Result<()> {
    let parent = target.parent().unwrap_or_else(|| Path::new("/"));
    // Without a name, so that a signal that ends the process leaves nothing.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let created = match open(parent, flags, Mode::RUSR) {
        // The file system has only files with names (open(2)).
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
            Temporary::create(target).map(drop)
        }
        outcome => outcome.map(drop).map_err(io::Error::from),
    };
    created.or_else(|error| {
        if !is_only_in_place(&error) {
            return Err(error);
        }
        let in_place = OpenOptions::new().write(true).open(target);
        in_place.map(drop).map_err(|_| error)
    })
}

fn is_only_in_place(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ResourceBusy | ErrorKind::ReadOnlyFilesystem
    )
}

/// Opens a file that exists, and empties it.
fn overwrite(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).truncate(true).open(path)
}

/// Creates a new file in the directory of `target`.
fn create_beside(target: &Path, mode: u32) -> io::Result<(RemovedOnDrop, File)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(mode);
    let mut names = names();
    for number in 0..NAMES_MAX {
        let path = target.with_file_name(temporary_name(target, number));
        match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            outcome => {
                let file = outcome?;
                names.push(path.clone());
                return Ok((RemovedOnDrop(Some(path)), file));
            }
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Such as `.run.csv.echoloop-4711`.
fn temporary_name(target: &Path, number: usize) -> OsString {
    let name = target.file_name().unwrap_or_default().as_bytes();
    let kept = &name[..name.len().min(NAME_KEPT)];
    let mut name = [b".", kept, b".echoloop-"].concat();
    let _ = write!(name, "{}", std::process::id());
    if number > 0 {
        let _ = write!(name, "-{number}");
    }
    OsString::from_vec(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal that ends the process removes the files of these names.
    #[test]
    fn name_of_a_temporary_file_is_kept_as_long_as_the_file_exists() {
        let name = format!("echoloop-temporary-{}", std::process::id());
        let target = std::env::temp_dir().join(name);
        let path = |temporary: &Temporary| temporary.name.0.clone().unwrap();
        let dropped = Temporary::create(&target).unwrap();
        let first = path(&dropped);
        let renamed = Temporary::create(&target).unwrap();
        let second = path(&renamed);
        assert!(names().contains(&first) && names().contains(&second));
        drop(dropped);
        renamed.rename().unwrap();
        assert!(!names().contains(&first) && !names().contains(&second));
        assert!(!first.exists() && !second.exists());
        fs::remove_file(&target).unwrap();
    }
}

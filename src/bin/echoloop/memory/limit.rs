//! The memory limit of this process: that of its control groups, or what the machine has.

use std::fmt;
use std::path::{Path, PathBuf};

use echoloop::report::bytes;

/// How much memory this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemoryLimit {
    pub(super) bytes: u64,
    /// The file that has the limit; `None`: it is the memory of the machine.
    pub(super) file: Option<PathBuf>,
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = bytes(self.bytes as f64);
        match &self.file {
            Some(file) => write!(f, "{size} ({})", file.display()),
            None => write!(f, "{size} (the memory of this machine)"),
        }
    }
}

/// The versions of control groups, which name the file with the limit differently (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    const fn limit_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }
}

/// The smallest limit of the control groups of a process and of all their ancestors, if it is less than the
/// `machine` has.
///
/// `cgroup` and `mounts` are the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. `read` returns the text of
/// a file, or nothing if it can't be read. Both versions are looked at: on a hybrid system the memory controller may
/// be in either.
pub(super) fn memory_limit(
    cgroup: &str,
    mounts: &str,
    machine: u64,
    read: impl Fn(&Path) -> Option<String>,
) -> MemoryLimit {
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut limit = MemoryLimit {
        bytes: machine,
        file: None,
    };
    for (version, group) in cgroup.lines().filter_map(memory_group) {
        for mount in mounts.iter().filter(|mount| mount.version == version) {
            for folder in mount.folders(group) {
                let file = folder.join(version.limit_file());
                // "max", or a version 1 limit beyond the memory of the machine, is no limit.
                let bytes = read(&file).and_then(|text| text.trim().parse().ok());
                if let Some(bytes) = bytes.filter(|&bytes| bytes < limit.bytes) {
                    let file = Some(file);
                    limit = MemoryLimit { bytes, file };
                }
            }
        }
    }
    limit
}

/// The group of a line of `/proc/self/cgroup`, `ID:CONTROLLERS:PATH`, if it may limit memory. The path may contain
/// colons.
fn memory_group(line: &str) -> Option<(Version, &Path)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let version = if id == "0" && controllers.is_empty() {
        Version::V2
    } else if controllers.split(',').any(|name| name == "memory") {
        Version::V1
    } else {
        return None;
    };
    Some((version, Path::new(path)))
}

/// A place where a hierarchy of control groups is mounted.
#[derive(Debug)]
struct Mount {
    version: Version,
    /// The group that is mounted there: that of the container, in one.
    root: PathBuf,
    folder: PathBuf,
}

impl Mount {
    /// The mount of a line of `/proc/self/mountinfo` (proc(5)), if groups with limits to memory may be below it.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, folder) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let version = match fields.next()? {
            "cgroup2" => Version::V2,
            "cgroup" if fields.nth(1)?.split(',').any(|name| name == "memory") => Version::V1,
            _ => return None,
        };
        Some(Self {
            version,
            root: unescape(root).into(),
            folder: unescape(folder).into(),
        })
    }

    /// The folders of `group` and of its ancestors, as far as they are below this mount.
    ///
    /// A group that is not below the root of the mount can't be found by its name: a container sees the name that
    /// its host gave it, or `/..` if it was moved. The root of the mount is then its nearest ancestor that is known.
    fn folders(&self, group: &Path) -> Vec<PathBuf> {
        let below = group.strip_prefix(&self.root).ok();
        let below = below.filter(|below| below.iter().all(|name| name != ".."));
        let group = self.folder.join(below.unwrap_or_else(|| Path::new("")));
        let depth = below.map_or(0, |below| below.iter().count());
        group
            .ancestors()
            .take(depth + 1)
            .map(Path::to_owned)
            .collect()
    }
}

/// A path of `mountinfo`, where a space, a tab, a newline or a backslash is three octal digits after a backslash.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..3);
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                path.push(char::from(byte));
                path.push_str(&part[3..]);
            }
            _ => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: u64 = 16 << 30;
    const UNLIMITED_V1: &str = "9223372036854771712\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

    /// The limit, and the file that has it, where the files in `files` can be read.
    fn limit(cgroup: &str, mounts: &str, files: &[(&str, &str)]) -> (u64, Option<String>) {
        let read = |path: &Path| {
            let (_, text) = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some((*text).to_owned())
        };
        let limit = memory_limit(cgroup, mounts, MACHINE, read);
        let file = limit.file.map(|file| file.to_str().unwrap().to_owned());
        (limit.bytes, file)
    }

    fn from(bytes: u64, file: &str) -> (u64, Option<String>) {
        (bytes, Some(file.to_owned()))
    }

    const NONE: (u64, Option<String>) = (MACHINE, None);

    #[test]
    fn version_2_limit_is_read() {
        let file = "/sys/fs/cgroup/system.slice/echo.service/memory.max";
        let limit = limit(
            "0::/system.slice/echo.service\n",
            V2,
            &[(file, "1073741824\n")],
        );
        assert_eq!(limit, from(1 << 30, file));
    }

    #[test]
    fn version_1_limit_is_read() {
        let file = "/sys/fs/cgroup/memory/echo/memory.limit_in_bytes";
        let cgroup = "5:cpu,cpuacct:/other\n4:hugetlb,memory:/echo\n0::/\n";
        assert_eq!(limit(cgroup, V1, &[(file, "4096\n")]), from(4096, file));
    }

    #[test]
    fn smaller_limit_of_an_ancestor_counts() {
        let (own, parent, top) = (
            "/sys/fs/cgroup/a/b c:d/memory.max",
            "/sys/fs/cgroup/a/memory.max",
            "/sys/fs/cgroup/memory.max",
        );
        let limit = |own_limit, parent_limit, top_limit| {
            let files = [(own, own_limit), (parent, parent_limit), (top, top_limit)];
            limit("0::/a/b c:d\n", V2, &files)
        };
        assert_eq!(limit("2000", "1000", "max"), from(1000, parent));
        assert_eq!(limit("2000", "max", "500"), from(500, top));
        assert_eq!(limit("700", "1000", "800"), from(700, own));
        assert_eq!(limit("max", "1000", "max"), from(1000, parent));
    }

    #[test]
    fn no_limit_is_the_memory_of_the_machine() {
        let (v2, v1) = (
            "/sys/fs/cgroup/a/memory.max",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        );
        assert_eq!(limit("0::/a\n", V2, &[(v2, "max\n")]), NONE);
        assert_eq!(limit("4:memory:/a\n", V1, &[(v1, UNLIMITED_V1)]), NONE);
        // More than there is.
        assert_eq!(limit("0::/a\n", V2, &[(v2, "17179869185\n")]), NONE);
    }

    #[test]
    fn hybrid_system_has_the_limit_in_the_version_with_the_controller() {
        let mounts = format!("{V1}36 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let cgroup = "4:memory:/echo\n1:name=systemd:/init.scope\n0::/init.scope\n";
        let v1 = "/sys/fs/cgroup/memory/echo/memory.limit_in_bytes";
        assert_eq!(limit(cgroup, &mounts, &[(v1, "4096")]), from(4096, v1));
        let v2 = "/sys/fs/cgroup/unified/init.scope/memory.max";
        let files = [(v1, UNLIMITED_V1), (v2, "8192")];
        assert_eq!(limit(cgroup, &mounts, &files), from(8192, v2));
    }

    #[test]
    fn group_of_a_container_is_found_below_the_root_of_its_mount() {
        // With a namespace for control groups: its root has a limit, unlike that of the machine.
        let top = "/sys/fs/cgroup/memory.max";
        assert_eq!(limit("0::/\n", V2, &[(top, "4096")]), from(4096, top));
        // Without one, the names are those of the host.
        let mounts = "35 31 0:32 /docker/1f2e /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let top = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        let inner = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        let files = [(top, "4096"), (inner, "2048")];
        assert_eq!(
            limit("4:memory:/docker/1f2e\n", mounts, &files),
            from(4096, top)
        );
        assert_eq!(
            limit("4:memory:/docker/1f2e/a\n", mounts, &files),
            from(2048, inner)
        );
        // One that is elsewhere is at least below the root of the mount.
        for elsewhere in [
            "4:memory:/docker/9d8c/a\n",
            "4:memory:/../a\n",
            "4:memory:/\n",
        ] {
            assert_eq!(
                limit(elsewhere, mounts, &files),
                from(4096, top),
                "{elsewhere}"
            );
        }
        let outside = "/sys/fs/cgroup/a/memory.max";
        let files = [("/sys/fs/cgroup/../a/memory.max", "1"), (outside, "1")];
        assert_eq!(limit("0::/../a\n", V2, &files), NONE);
    }

    #[test]
    fn files_that_are_missing_or_unreadable_are_no_limit() {
        assert_eq!(limit("", "", &[]), NONE);
        assert_eq!(limit("0::/a\n", "", &[]), NONE);
        assert_eq!(limit("0::/a\n4:memory:/a\n", V1, &[]), NONE);
        let file = "/sys/fs/cgroup/a/memory.max";
        for text in ["", "\n", "-1", "0x10", "1 G", "99999999999999999999"] {
            assert_eq!(limit("0::/a\n", V2, &[(file, text)]), NONE, "{text:?}");
        }
        for text in [
            "0",
            ":",
            "0:",
            "a b - cgroup2",
            "0::",
            " - ",
            "1 2 3 4 5 - cgroup",
        ] {
            limit(text, text, &[]);
        }
    }

    #[test]
    fn escaped_mount_points_are_read() {
        let mounts = "30 23 0:26 /a\\040b /my\\040groups\\134x rw - cgroup2 none rw\n";
        let file = "/my groups\\x/c/memory.max";
        assert_eq!(limit("0::/a b/c\n", mounts, &[(file, "7")]), from(7, file));
        for text in ["\\", "\\9", "\\0é", "\\777x", "a\\04"] {
            assert_eq!(unescape(text), text);
        }
    }
}

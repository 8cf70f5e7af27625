//! What the pools of a suite are made of: the environment's `WEYR_POOL` names it, and shared memory is the default.
//!
//! A suite makes its pools here, has newcomers attach them here, and finds their bytes here; nothing else of it knows
//! what they are made of. `./x crash` runs the suites for every type that can be had.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use weyr_kill::note;
use weyr_managed::{Error, Growth, Mapping, Pool, PoolAttributes, PoolType};
use weyr_shared::{Payload, Region};
use weyr_sys::object::{Access, Object};

/// What a pool is made of: a type, and where that differs, a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    SharedMemory,
    /// A file on the disk of the temporary directory.
    File,
    Sealed,
    /// A tmpfs that has huge pages.
    HugeTmpfs,
    /// Pages of 2 MiB that the kernel sets aside.
    Hugetlbfs,
    Private,
    /// Memory of the test, which its children share.
    Lent,
}

const NAMES: [(&str, Made); 7] = [
    ("shared-memory", Made::SharedMemory),
    ("file", Made::File),
    ("sealed", Made::Sealed),
    ("huge-tmpfs", Made::HugeTmpfs),
    ("hugetlbfs", Made::Hugetlbfs),
    ("private", Made::Private),
    ("lent", Made::Lent),
];

/// What pools of this run are made of.
pub(crate) fn chosen() -> Made {
    let Ok(wanted) = std::env::var("WEYR_POOL") else { return Made::SharedMemory };
    let found = NAMES.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("WEYR_POOL is none of {NAMES:?}: {wanted}")).1
}

/// Whether a test has sense for pools of this run. Where it has none, a note says which and why.
pub(crate) fn allows(test: &str, wants: impl Fn(Made) -> bool, why_not: &str) -> bool {
    let made = chosen();
    let allowed = wants(made);
    if !allowed {
        note(format_args!("not of {}: {test}: {why_not}", made.name()));
    }
    allowed
}

/// Whether a test of pools that grow has sense.
pub(crate) fn allows_growth(test: &str) -> bool {
    allows(test, Made::grows, "it does not grow")
}

/// Whether a test of calls that open a pool by its path has sense.
pub(crate) fn allows_paths(test: &str) -> bool {
    allows(test, |made| made.pool_type().is_named(), "it has no path")
}

impl Made {
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, made)| *made == self).expect("every one has a name").0
    }

    pub(crate) fn pool_type(self) -> PoolType {
        match self {
            Self::SharedMemory => PoolType::SharedMemory,
            Self::File => PoolType::File,
            Self::Sealed => PoolType::Sealed,
            Self::HugeTmpfs | Self::Hugetlbfs => PoolType::HugePages,
            Self::Private => PoolType::Private,
            Self::Lent => PoolType::Lent,
        }
    }

    /// Whether other processes can use it.
    pub(crate) fn is_shared(self) -> bool {
        self != Self::Private
    }

    pub(crate) fn grows(self) -> bool {
        self != Self::Lent
    }

    /// Whether its object can be brought back to an earlier length, as a sweep does.
    pub(crate) fn can_be_shortened(self) -> bool {
        !matches!(self, Self::Sealed | Self::Lent | Self::Private)
    }

    /// Makes a pool, and a home of its own for it.
    pub(crate) fn create(self, attributes: &PoolAttributes) -> (Pool, Home) {
        let made = self.try_create(attributes);
        let (pool, home) = made.unwrap_or_else(|error| panic!("a pool of {}: {error}", self.name()));
        assert_eq!(pool.pool_type(), self.pool_type());
        (pool, home)
    }

    pub(crate) fn try_create(self, attributes: &PoolAttributes) -> Result<(Pool, Home), Error> {
        let attributes = attributes.clone().pool_type(self.pool_type());
        let in_place = |place: Place| {
            let pool = Pool::create(&attributes.clone().directory(place.path()))?;
            let lies = Lies::At(pool.path().to_owned());
            Ok((pool, Home { lies, _place: Some(place) }))
        };
        match self {
            Self::SharedMemory => in_place(Place::on(Path::new("/dev/shm"))),
            Self::File => in_place(Place::on(&std::env::temp_dir())),
            Self::HugeTmpfs | Self::Hugetlbfs => in_place(self.mounted()),
            Self::Private => Ok((Pool::create(&attributes)?, Home { lies: Lies::Here, _place: None })),
            Self::Sealed => {
                let pool = Pool::create(&attributes)?;
                let lies = Lies::Open(pool.share_object()?.into());
                Ok((pool, Home { lies, _place: None }))
            }
            Self::Lent => {
                let place = Place::on(Path::new("/dev/shm"));
                let path = place.path().join("lent");
                std::fs::File::create_new(&path).unwrap().set_len(LENT_BYTES).unwrap();
                let pool = Pool::create_in(lent(&path), &attributes.growth(Growth::None))?;
                Ok((pool, Home { lies: Lies::In(path), _place: Some(place) }))
            }
        }
    }

    fn mounted(self) -> Place {
        let (kind, options) = self.file_system();
        Place::mounted(kind, options).unwrap_or_else(|errno| panic!("no {kind} can be mounted: {errno}"))
    }

    /// Type and options of the file system that it needs for itself.
    pub(crate) fn file_system(self) -> (&'static str, &'static str) {
        match self {
            Self::Hugetlbfs => ("hugetlbfs", "pagesize=2M"),
            _ => ("tmpfs", "huge=always,size=256m"),
        }
    }
}

/// More than any suite needs; what is not touched takes no memory.
const LENT_BYTES: u64 = 64 << 20;

fn lent(path: &Path) -> Arc<Mapping> {
    let object = Object::open(path, Access::ReadWrite).unwrap();
    Arc::new(Mapping::shared(&object, LENT_BYTES as usize, Access::ReadWrite).unwrap())
}

/// Where a newcomer finds a pool.
#[derive(Debug)]
enum Lies {
    At(PathBuf),
    /// In an object that is handed over open.
    Open(std::fs::File),
    /// In memory that is mapped from this file.
    In(PathBuf),
    /// In this process, and nowhere else.
    Here,
}

/// Where a pool lies. What it lies in goes with this value.
#[derive(Debug)]
pub(crate) struct Home {
    lies: Lies,
    _place: Option<Place>,
}

impl Home {
    /// As a newcomer does.
    pub(crate) fn attach(&self) -> Result<Pool, Error> {
        match &self.lies {
            Lies::At(path) => Pool::attach_path(path),
            Lies::Open(object) => Pool::attach_object(object.try_clone().unwrap().into()),
            Lies::In(path) => Pool::attach_in_memory(lent(path)),
            Lies::Here => panic!("nobody attaches private memory"),
        }
    }

    /// The file of the pool's bytes, for who looks at them or overwrites them.
    pub(crate) fn bytes(&self) -> PathBuf {
        match &self.lies {
            Lies::At(path) | Lies::In(path) => path.clone(),
            Lies::Open(object) => format!("/proc/self/fd/{}", object.as_raw_fd()).into(),
            Lies::Here => panic!("private memory is no file"),
        }
    }
}

/// A pool's bytes behind its back, as a stray write of somebody would change them.
#[derive(Debug)]
pub(crate) struct Bytes {
    file: std::fs::File,
    /// Where the pool begins in it.
    start: u64,
}

impl Bytes {
    pub(crate) fn of_file(path: &Path) -> Self {
        Self { file: std::fs::File::options().read(true).write(true).open(path).unwrap(), start: 0 }
    }

    /// Of private memory of a process, at an address.
    pub(crate) fn of_process(id: i32, address: u64) -> Self {
        Self { start: address, ..Self::of_file(Path::new(&format!("/proc/{id}/mem"))) }
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.file.read_exact_at(bytes, self.start + offset)
    }

    /// The word there, or 0 behind the end.
    pub(crate) fn word_at(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read_at(&mut bytes, offset).map_or(0, |()| u64::from_le_bytes(bytes))
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) {
        match self.file.write_all_at(bytes, self.start + offset) {
            // hugetlbfs has no write.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                let object = Object::from(std::os::fd::OwnedFd::from(self.file.try_clone().unwrap()));
                let mapping = Mapping::shared(&object, object.len().unwrap() as usize, Access::ReadWrite);
                let region = Region::new(Arc::new(mapping.unwrap()));
                Payload::new(&region, offset, bytes.len() as u64, None).unwrap().write(0, bytes).unwrap();
            }
            done => done.unwrap(),
        }
    }

    pub(crate) fn set_len(&self, bytes: u64) {
        if self.file.metadata().unwrap().len() != bytes {
            self.file.set_len(bytes).unwrap();
        }
    }
}

/// A directory, with a file system of its own or not.
#[derive(Debug)]
pub(crate) struct Place {
    directory: Option<tempfile::TempDir>,
    mounted: bool,
    /// A forked child leaves it to its parent.
    owner: rustix::process::Pid,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.owner != rustix::process::getpid() {
            return std::mem::forget(self.directory.take());
        }
        if self.mounted {
            let _busy_if_a_test_failed = unmount(self.path(), UnmountFlags::DETACH);
        }
    }
}

impl Place {
    pub(crate) fn on(directory: &Path) -> Self {
        let directory = Some(tempfile::tempdir_in(directory).unwrap());
        Self { directory, mounted: false, owner: rustix::process::getpid() }
    }

    /// A new file system of some type.
    pub(crate) fn mounted(kind: &str, options: &str) -> Result<Self, rustix::io::Errno> {
        let mut place = Self::on(&std::env::temp_dir());
        let words = CString::new(options).unwrap();
        mount(kind, place.path(), kind, MountFlags::empty(), words.as_c_str())?;
        place.mounted = true;
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.as_ref().expect("there as long as the place is").path()
    }
}

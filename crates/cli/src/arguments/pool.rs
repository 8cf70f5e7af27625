//! `weyr pool`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use weyr::managed::{LockKind, PoolType, Preallocated};
use weyr::{Growth, PoolAttributes};

use super::size::{parse_bytes, parse_offset};
use super::transfer::parse_seconds;

/// `weyr pool`.
#[derive(Debug, Args)]
pub(crate) struct PoolArguments {
    /// Directory of the pools [default: $WEYR_DIR, else /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: PoolCommand,
}

/// What `weyr pool attr` says about names and values.
const ATTRIBUTES: &str = "Attributes that can be set:\n  \
    mode    rights of its file, in octal\n  \
    owner   the user to whom it belongs, by number\n  \
    group   the group to which it belongs, by number\n  \
    growth  how far it grows: a size, `unlimited` or `none`; never beyond what it was created for\n\n\
    pool-type, lock-kind and node are ignored, as Dragon's document says; any other change is refused.\n\n\
    Exit codes:\n  0  well\n  1  the pool is damaged\n  2  an attribute cannot be set, or not so\n  \
    3  the system refused";

/// What `weyr pool watch` says of its ends.
const WATCH: &str = "On a terminal it draws; elsewhere it writes each look as text, with --json as one object a line.\n\
    It maps the pool read-only and is no member, so it cannot disturb anybody, and a member that was stopped or killed\n\
    does not hold it up. A pool counts no allocations: what changes is the number of blocks. Messages are counted by\n\
    the positions that receivers have left behind.\n\n\
    Exit codes:\n  0  ended: by q, Ctrl-C, SIGTERM or SIGHUP, after --count looks, or because nobody reads the output any more\n  \
    1  the pool was destroyed or replaced while it was watched, or it is damaged\n  \
    2  the command line asks for something impossible\n  3  the system refused";

/// What to do with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Create a pool, which stays until it is destroyed
    #[command(after_help = super::EXIT_CODES)]
    Create(CreateArguments),
    /// List your pools
    List,
    /// Show what a pool holds and who has it
    Show {
        /// Name of the pool
        name: String,
    },
    /// Show what happens in a pool, again and again, without touching it: use by size, processes, channels, rates, deaths;
    /// q ends it
    #[command(after_help = WATCH)]
    Watch(WatchArguments),
    /// Show all attributes of a pool, and set those that can be; exits with 2 when one cannot
    #[command(after_help = ATTRIBUTES)]
    Attr {
        /// Name of the pool
        name: String,
        /// Set an attribute, for every process at once; can be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_change)]
        set: Vec<(String, String)>,
    },
    /// Check the invariants of a pool, without changing or stopping anything; exits with 1 when one is broken
    Verify {
        /// Name of the pool
        name: String,
        /// Nobody uses the pool: also report what is only right in the middle of an operation
        #[arg(long)]
        quiesced: bool,
    },
    /// Show the bytes of a pool, with the names of its parts and fields; runs of zeros are folded
    #[command(after_help = super::EXIT_CODES)]
    Dump(DumpArguments),
    /// Recover the dead, put right channels, messages, manifest and hints, and count what was; exits with 1 when a finding is left
    #[command(after_help = super::EXIT_CODES)]
    Repair {
        /// Name of the pool
        name: String,
    },
    /// Add memory to a pool that may grow; its users go on meanwhile
    #[command(after_help = super::EXIT_CODES)]
    Grow {
        /// Name of the pool
        name: String,
        /// How many segments to add
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        segments: u64,
    },
    /// Give memory that no allocation uses back to the system; its users go on meanwhile
    #[command(after_help = super::EXIT_CODES)]
    Trim {
        /// Name of the pool
        name: String,
    },
    /// Copy a pool that no process has attached: another pool with the same content, at any place
    #[command(after_help = super::EXIT_CODES)]
    Copy(CopyArguments),
    /// Destroy a pool that nobody uses
    Destroy {
        /// Name of the pool
        name: String,
        /// Also when processes use it, and when it is damaged
        #[arg(long)]
        force: bool,
    },
    /// Remove the pools whose users are all dead
    Prune {
        /// Also those from which everybody has detached
        #[arg(long)]
        unused: bool,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

/// `weyr pool create`: every attribute that a pool has.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Name of the pool: 1 to 200 of letters, digits, '.', '-' and '_'
    pub(crate) name: String,
    /// Bytes that it holds, metadata not counted, with an optional suffix K, M or G
    #[arg(long, value_parser = parse_bytes)]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) shape: ShapeArguments,
}

/// `weyr pool watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Name of the pool
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) looks: LookArguments,
}

/// How often something is looked at.
#[derive(Debug, Args)]
pub(crate) struct LookArguments {
    /// Seconds from look to look
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// End after so many looks
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Look once, and write text also on a terminal
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        interval if interval < Duration::from_millis(10) => Err("choose 0.01 seconds or more".into()),
        interval => Ok(interval),
    }
}

/// `weyr pool dump`: which bytes.
#[derive(Debug, Args)]
pub(crate) struct DumpArguments {
    /// Name of the pool
    pub(crate) name: String,
    /// Only this part: header, lanes, page-words, data, ...; a wrong name lists them all; can be repeated
    #[arg(long, value_name = "PART")]
    pub(crate) part: Vec<String>,
    /// Only the block that starts at this byte of the data, and its word; channels with their fields
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset, conflicts_with_all = ["part", "from"])]
    pub(crate) block: Option<u64>,
    /// From this byte of the pool's file on; hexadecimal after 0x
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    pub(crate) from: Option<u64>,
    /// Not more than so many bytes
    #[arg(long, value_name = "SIZE", value_parser = parse_offset)]
    pub(crate) bytes: Option<u64>,
}

/// All attributes of a pool but name, size and directory.
#[derive(Debug, Args)]
pub(crate) struct ShapeArguments {
    /// What it is made of
    #[arg(long = "type", value_name = "TYPE", default_value = "shared-memory", value_parser = parse_type)]
    pub(crate) pool_type: PoolType,
    /// Let it grow on demand to so many bytes, or `unlimited`
    #[arg(long, value_name = "SIZE", value_parser = parse_growth)]
    pub(crate) grow: Option<Growth>,
    /// Bytes by which it grows at a time [default: 128M, less in small pools]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) segment_size: Option<u64>,
    /// Bytes of a page: 4K, 8K, 16K, 32K or 64K [default: by the size of the pool]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) page_size: Option<u64>,
    /// Rights of its file, in octal, as for chmod(1)
    #[arg(long, value_name = "OCTAL", default_value = "600", value_parser = parse_mode)]
    pub(crate) mode: u32,
    /// User to whom its file belongs, by number [default: you]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) owner: Option<u32>,
    /// Group to which its file belongs, by number [default: yours]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) group: Option<u32>,
    /// Give every allocation room for so many bytes at least
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) minimum_block: Option<u64>,
    /// Put every allocation at a multiple of so many bytes [default: 64]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) alignment: Option<u64>,
    /// Processes that can be attached at once [default: by the size of the pool]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) processes: Option<u32>,
    /// Threads that can have a lane of their own [default: by the size of the pool]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) lanes: Option<u32>,
    /// Channels that can exist in it at once [default: by the size of the pool]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) channels: Option<u32>,
    /// Published allocations that can have a type and id at once [default: by the size of the pool]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) manifest_entries: Option<u32>,
    /// Have the filesystem promise all of its memory now
    #[arg(long)]
    pub(crate) commit: bool,
    /// Have the kernel provide all of its memory now; implies --commit
    #[arg(long)]
    pub(crate) prefault: bool,
    /// Ask the kernel for huge pages, in pools of 16 MiB and more
    #[arg(long)]
    pub(crate) huge_pages: bool,
    /// Set the bytes of each new allocation to zero
    #[arg(long)]
    pub(crate) zeroing: bool,
    /// Set the bytes of each allocation to zero when it is freed, also that of a process which died
    #[arg(long)]
    pub(crate) zero_on_free: bool,
    /// Let its bytes be executed
    #[arg(long)]
    pub(crate) executable: bool,
    /// Place its memory on these NUMA nodes in turn, separated by commas; implies --prefault
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    pub(crate) numa_nodes: Vec<u32>,
    /// Make so many blocks of a size ready now; can be repeated
    #[arg(long, value_name = "SIZExCOUNT", value_parser = parse_preallocated)]
    pub(crate) preallocate: Vec<Preallocated>,
    /// The host on which to create it, by its number: only this one [default: this one]
    #[arg(long, value_name = "NUMBER", value_parser = parse_offset)]
    pub(crate) node: Option<u64>,
    /// The lock to use: kept, without effect
    #[arg(long, value_name = "KIND", default_value = "fifo", value_parser = parse_lock_kind)]
    pub(crate) lock_kind: LockKind,
    /// Name of a file for the manifest: kept, without effect
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) manifest_name: String,
}

impl ShapeArguments {
    /// The attributes of a pool of that name, size and directory.
    pub(crate) fn attributes(&self, name: &str, size: u64, directory: &std::path::Path) -> PoolAttributes {
        let attributes = PoolAttributes::new(name, size)
            .directory(directory)
            .mode(self.mode)
            .growth(self.grow.unwrap_or_default())
            .commit(self.commit)
            .prefault(self.prefault)
            .huge_pages(self.huge_pages)
            .zeroing(self.zeroing)
            .zero_on_free(self.zero_on_free)
            .pool_type(self.pool_type)
            .executable(self.executable)
            .numa_nodes(self.numa_nodes.iter().copied())
            .preallocated(self.preallocate.iter().copied())
            .lock_kind(self.lock_kind)
            .manifest_name(&self.manifest_name);
        let attributes = with(attributes, self.owner, PoolAttributes::owner);
        let attributes = with(attributes, self.group, PoolAttributes::group);
        let attributes = with(attributes, self.minimum_block, PoolAttributes::minimum_block);
        let attributes = with(attributes, self.alignment, PoolAttributes::alignment);
        let attributes = with(attributes, self.node, PoolAttributes::node);
        let attributes = with(attributes, self.segment_size, PoolAttributes::segment_size);
        let attributes = with(attributes, self.page_size, PoolAttributes::page_size);
        let attributes = with(attributes, self.processes, PoolAttributes::processes);
        let attributes = with(attributes, self.lanes, PoolAttributes::lanes);
        let attributes = with(attributes, self.channels, PoolAttributes::channels);
        with(attributes, self.manifest_entries, PoolAttributes::manifest_entries)
    }
}

/// The attributes with a choice that was made.
fn with<T>(
    attributes: PoolAttributes,
    choice: Option<T>,
    set: impl FnOnce(PoolAttributes, T) -> PoolAttributes,
) -> PoolAttributes {
    match choice {
        Some(choice) => set(attributes, choice),
        None => attributes,
    }
}

/// A type whose pools have names: the others end with the command that creates them.
fn parse_type(text: &str) -> Result<PoolType, String> {
    let named = PoolType::ALL.into_iter().filter(|kind| kind.is_named());
    let found = named.clone().find(|kind| kind.name() == text);
    found.ok_or_else(|| format!("the types are {}", listed(named.map(PoolType::name))))
}

pub(crate) fn parse_lock_kind(text: &str) -> Result<LockKind, String> {
    let found = LockKind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| format!("the kinds are {}", listed(LockKind::ALL.map(LockKind::name).into_iter())))
}

fn listed(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// `4Kx100`.
pub(crate) fn parse_preallocated(text: &str) -> Result<Preallocated, String> {
    let wrong = || "write a size, an x and a number of blocks".to_owned();
    let (bytes, count) = text.split_once('x').ok_or_else(wrong)?;
    Ok(Preallocated { bytes: parse_bytes(bytes)?, count: count.parse().map_err(|_| wrong())? })
}

fn parse_change(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn parse_growth(text: &str) -> Result<Growth, String> {
    match text {
        "unlimited" => Ok(Growth::Unlimited),
        _ => parse_bytes(text).map(Growth::UpTo),
    }
}

pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("write rights in octal, from 0 to 777".into()),
    }
}
/// `weyr pool copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// Name of the pool
    pub(crate) name: String,
    /// Name of the copy
    pub(crate) copy: String,
    /// Directory of the copy; by default that of the pool
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

//! One look at a channel: `weyr channel show`, and what `watch` repeats.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Cell, Color};
use serde::Serialize;
use weyr::Pool;
use weyr::managed::{ChannelDetails, Inspection, LevelFacts, Member};

use super::find::Place;
use crate::failure::Failure;
use crate::output::{self, DIM, HEADING, Output};
use crate::pool::show::command;
use crate::pool::watch::draw::{SMALL_BAR, bar, plain, write_rows};
use crate::pool::watch::look::passed_between;

/// What a look saw. The rate is against the look before; the first one has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Look {
    pool: String,
    pub(super) name: Option<String>,
    offset: u64,
    #[serde(skip)]
    generation: u64,
    bytes: u64,
    capacity: u32,
    block_bytes: u32,
    message_attributes: bool,
    side_loading: bool,
    buffer_pool: Option<String>,
    message_type: Option<String>,
    /// What it is bound to, where a group uses it together.
    group: Option<Group>,
    waiting: u32,
    passed: u64,
    passed_per_second: Option<f64>,
    levels: Vec<Level>,
    processes: Vec<Process>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Level {
    level: usize,
    slots: u32,
    waiting: u32,
    /// Of those that wait: given back, or their receiver died.
    returned: u32,
    being_sent: u32,
    being_taken: u32,
    leased: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Group {
    members: u32,
    element: &'static str,
    element_bytes: u32,
    /// The most that a member gives at once.
    elements: u32,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Process {
    pid: u32,
    command: Option<String>,
    alive: bool,
    handles: u16,
}

pub(super) fn run(place: &Place, output: &Output) -> Result<(), Failure> {
    let pool = Pool::inspect(&place.path)?;
    output.write(&Look::of(&pool, &place.look(&pool)?), |to, look| write(to, look, None))
}

impl Look {
    pub(super) fn of(pool: &Inspection, details: &ChannelDetails) -> Self {
        let facts = &details.facts;
        let members = pool.members();
        Self {
            pool: pool.name().to_owned(),
            name: facts.name.clone(),
            offset: facts.reference.offset,
            generation: facts.reference.generation,
            bytes: facts.bytes,
            capacity: facts.capacity,
            block_bytes: facts.block_bytes,
            message_attributes: details.message_attributes,
            side_loading: details.side_loading,
            buffer_pool: details.buffer_pool.clone(),
            message_type: details.message_type.map(|fingerprint| format!("{fingerprint:#018x}")),
            group: details.collective.map(|bound| Group {
                members: bound.members,
                element: bound.element.name(),
                element_bytes: bound.element_bytes,
                elements: bound.elements,
                operation: bound.operation.name(),
            }),
            waiting: facts.waiting,
            passed: facts.passed,
            passed_per_second: None,
            levels: details.levels.iter().enumerate().map(Level::of).collect(),
            processes: users(details, &members).collect(),
        }
    }

    /// Adds what changed since `before`, `elapsed` ago.
    pub(super) fn since(mut self, before: &Self, elapsed: Duration) -> Self {
        let passed = passed_between(before.passed, self.passed);
        self.passed_per_second = Some(passed as f64 / elapsed.as_secs_f64().max(1e-9));
        self
    }

    /// Whether it is a look at the same channel.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (self.offset, self.generation) == (other.offset, other.generation)
    }

    fn title(&self) -> String {
        self.name.as_deref().map_or_else(|| format!("{:#x}", self.offset), plain)
    }
}

impl Level {
    fn of((level, facts): (usize, &LevelFacts)) -> Self {
        let LevelFacts { slots, waiting, returned, being_sent, being_taken, leased } = *facts;
        Self { level, slots, waiting, returned, being_sent, being_taken, leased }
    }
}

/// The members of the pool that have the channel; one that joined meanwhile is not among them.
fn users<'a>(details: &'a ChannelDetails, members: &'a [Member]) -> impl Iterator<Item = Process> + 'a {
    details.users.iter().filter_map(|user| {
        let member = members.iter().find(|member| user.is(member.actor))?;
        Some(Process {
            pid: member.pid,
            command: if member.dead { None } else { command(member.pid) },
            alive: !member.dead,
            handles: user.handles,
        })
    })
}

/// Writes a look, with the rows of each table that fit `room` lines; all of them without it.
pub(super) fn write(to: &mut dyn Write, look: &Look, room: Option<usize>) -> io::Result<()> {
    writeln!(to, "{HEADING}{}{HEADING:#} {DIM}in {}{DIM:#}", look.title(), look.pool)?;
    write_facts(to, look)?;
    let rows = room.map_or(usize::MAX, |lines| {
        lines.saturating_sub(FIXED_LINES + usize::from(look.group.is_some())) / 2
    });
    // The most urgent first, as they are received.
    let levels: Vec<Level> = look.levels.iter().rev().copied().collect();
    write_rows(to, &LEVELS, &levels, rows, level)?;
    write_rows(to, &["PROCESS", "COMMAND", "STATE", ">HANDLES"], &look.processes, rows, process)
}

/// Lines besides rows of tables.
const FIXED_LINES: usize = 13;
const LEVELS: [&str; 8] =
    [">LEVEL", ">MESSAGES", ">SLOTS", "FULL", ">RETURNED", ">BEING SENT", ">BEING TAKEN", ">LEASED"];

fn write_facts(to: &mut dyn Write, look: &Look) -> io::Result<()> {
    let mut table = output::facts();
    let yes_or_no = |is: bool| if is { "yes" } else { "no" };
    let waiting = bar(look.waiting.into(), look.capacity.into(), SMALL_BAR);
    let passed = match look.passed_per_second {
        Some(rate) => format!("{}, {rate:.1} a second", output::count(look.passed)),
        None => output::count(look.passed),
    };
    let larger = match (&look.buffer_pool, look.side_loading) {
        (Some(pool), _) => format!("sent in memory of {pool}"),
        (None, true) => "sent in memory of the pool".to_owned(),
        (None, false) => "refused".to_owned(),
    };
    let block = format!("{} at most; larger ones are {larger}", output::bytes(look.block_bytes.into()));
    let of = format!(
        "{waiting} {} of {}",
        output::count(look.waiting.into()),
        output::count(look.capacity.into())
    );
    table.add_row(["messages", &of]);
    table.add_row(["passed", &passed]);
    table.add_row(["bytes each", &block]);
    table.add_row(["attributes", yes_or_no(look.message_attributes)]);
    table.add_row(["type", look.message_type.as_deref().unwrap_or("-")]);
    if let Some(Group { members, element, element_bytes, elements, operation }) = look.group {
        let each = format!("{} of {element} ({element_bytes} B)", output::count(elements.into()));
        table.add_row(["group", &format!("{members} members, at most {each} each; operation: {operation}")]);
    }
    table.add_row(["memory", &format!("{} at {:#x}", output::bytes(look.bytes), look.offset)]);
    output::write_table(to, table, "  ")
}

fn level(level: &Level) -> Vec<Cell> {
    let returned = if level.returned > 0 { Color::DarkYellow } else { Color::Reset };
    vec![
        Cell::new(level.level),
        Cell::new(output::count(level.waiting.into())),
        Cell::new(output::count(level.slots.into())),
        Cell::new(bar(level.waiting.into(), level.slots.into(), SMALL_BAR)),
        Cell::new(level.returned).fg(returned),
        Cell::new(level.being_sent),
        Cell::new(level.being_taken),
        Cell::new(level.leased),
    ]
}

fn process(process: &Process) -> Vec<Cell> {
    let (state, color) = if process.alive { ("alive", Color::Reset) } else { ("dead", Color::DarkYellow) };
    vec![
        Cell::new(process.pid),
        Cell::new(process.command.as_deref().map_or("-".into(), plain)),
        output::coloured(state, color),
        Cell::new(process.handles),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up() -> Look {
        let level = |level, waiting, leased| Level {
            level,
            slots: 8,
            waiting,
            returned: 0,
            being_sent: 1,
            being_taken: 0,
            leased,
        };
        Look {
            pool: "made-up".into(),
            name: Some("lines".into()),
            offset: 0x4000,
            generation: 1,
            bytes: 4096,
            capacity: 8,
            block_bytes: 256,
            message_attributes: true,
            side_loading: false,
            buffer_pool: None,
            message_type: Some("0x00000000000000ff".into()),
            group: None,
            waiting: 4,
            passed: 1000,
            passed_per_second: Some(12.5),
            levels: vec![level(0, 3, 0), level(1, 1, 2)],
            processes: vec![Process { pid: 77, command: Some("worker".into()), alive: true, handles: 2 }; 40],
        }
    }

    fn shown(look: &Look, room: Option<usize>) -> String {
        let mut bytes = anstream::StripStream::new(Vec::new());
        write(&mut bytes, look, room).unwrap();
        String::from_utf8(bytes.into_inner()).unwrap()
    }

    const WHOLE: &str = "\
lines in made-up
  messages    ████████░░░░░░░░  50 % 4 of 8
  passed      1,000, 12.5 a second
  bytes each  256 B at most; larger ones are refused
  attributes  yes
  type        0x00000000000000ff
  memory      4.00 KiB at 0x4000

LEVEL  MESSAGES  SLOTS  FULL                    RETURNED  BEING SENT  BEING TAKEN  LEASED
    1         1      8  ██░░░░░░░░░░░░░░  12 %         0           1            0       2
    0         3      8  ██████░░░░░░░░░░  38 %         0           1            0       0

PROCESS  COMMAND  STATE  HANDLES
77       worker   alive        2
";

    #[test]
    fn a_look_is_drawn_whole_and_cut_to_the_room_there_is() {
        let mut look = made_up();
        for room in [16, 24, 50] {
            let text = shown(&look, Some(room));
            assert!(text.lines().count() <= room && text.contains("more"), "{room}: {text}");
        }
        look.processes.truncate(1);
        assert_eq!(shown(&look, None), WHOLE);
    }

    #[test]
    fn what_a_group_is_bound_to_is_shown() {
        let group =
            Group { members: 3, element: "f64", element_bytes: 8, elements: 1000, operation: "maximum" };
        let look = Look { group: Some(group), ..made_up() };
        let text = shown(&look, Some(16));
        assert!(
            text.contains("  group       3 members, at most 1,000 of f64 (8 B) each; operation: maximum\n"),
            "{text}"
        );
        assert!(text.lines().count() <= 16);
    }

    #[test]
    fn a_rate_is_of_what_passed_between_two_looks() {
        let (before, now) = (made_up(), Look { passed: 1010, ..made_up() });
        assert_eq!(now.since(&before, Duration::from_secs(4)).passed_per_second, Some(2.5));
    }
}

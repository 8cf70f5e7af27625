//! A look as text: bars and tables, whole, or cut to the lines and columns of a terminal.
//!
//! Lines of text are all that is needed, and `weyr pool show` has the tables already: a library of widgets (ratatui) would
//! make the first build of the command 11 seconds longer on two processors, by 53 more packages.

use std::io::{self, Write};

use comfy_table::{Cell, Color, Table};

use super::look::{Channel, Event, Look, Process, Size};
use crate::output::{self, DIM, GOOD, HEADING, WARNING};

/// Letters of a bar.
const BAR: usize = 32;
/// Letters of a bar in a table.
pub(crate) const SMALL_BAR: usize = 16;

/// Writes a look, with the rows of each table that fit `room` lines; all of them without it.
pub(super) fn write(to: &mut dyn Write, look: &Look, told: &[Event], room: Option<usize>) -> io::Result<()> {
    write_whole(to, look)?;
    let rows = room.map_or(usize::MAX, |lines| lines.saturating_sub(FIXED_LINES + told.len()) / 3);
    let heading = ["PROCESS", "COMMAND", "STATE", ">LANES", ">REVOKED", ">BLOCKS", ">BYTES"];
    write_rows(to, &heading, &look.processes, rows, process)?;
    let heading = ["CHANNEL", ">MESSAGES", ">CAPACITY", "FULL", ">PASSED", ">PER SECOND"];
    write_rows(to, &heading, &look.channels, rows, channel)?;
    let mut sizes = look.sizes.clone();
    if rows < sizes.len() {
        // Those with the most bytes.
        sizes.sort_by_key(|size| std::cmp::Reverse(size.block_bytes * (size.used + size.free)));
    }
    write_rows(to, &[">SIZE", ">USED", ">FREE", "USE"], &sizes, rows, size)?;
    if !told.is_empty() {
        writeln!(to)?;
    }
    told.iter().try_for_each(|event| writeln!(to, "{}", sentence(event)))
}

/// Lines besides rows of tables and events: those of the whole, and an empty line, a heading and a remainder a table.
const FIXED_LINES: usize = 17;

fn write_whole(to: &mut dyn Write, look: &Look) -> io::Result<()> {
    let bytes = output::bytes;
    writeln!(to, "{HEADING}{}{HEADING:#} {DIM}{}{DIM:#}", look.name, look.path)?;
    let segments = output::counted(look.segments, "segment", "segments");
    writeln!(
        to,
        "size       {} {} of at most {}, {segments}",
        bar(look.size_bytes, look.maximum_bytes, BAR),
        bytes(look.size_bytes),
        bytes(look.maximum_bytes)
    )?;
    let blocks = output::counted(look.blocks, "block", "blocks");
    writeln!(
        to,
        "used       {} {} in {blocks}, {} at most so far",
        bar(look.used_bytes, look.size_bytes, BAR),
        bytes(look.used_bytes),
        bytes(look.peak_bytes)
    )?;
    let (free, largest) = (bytes(look.free_bytes), bytes(look.largest_free_bytes));
    writeln!(to, "free       {free}, the largest piece {largest}")?;
    match look.waiting_for_memory {
        true => writeln!(to, "waiting    {WARNING}somebody waits for memory{WARNING:#}")?,
        false => writeln!(to, "waiting    nobody waits for memory")?,
    }
    if let Some(rates) = look.rates {
        let (blocks, messages) = (rates.blocks, rates.messages);
        writeln!(to, "a second   {blocks:+.1} blocks, {messages:.1} messages")?;
    }
    let recovered = output::counted(look.recovered_processes, "dead process", "dead processes");
    writeln!(to, "recovered  {recovered} since the pool was made")
}

pub(crate) fn write_rows<R>(
    to: &mut dyn Write,
    heading: &[&str],
    rows: &[R],
    most: usize,
    cells: impl Fn(&R) -> Vec<Cell>,
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let most = most.max(1);
    let mut table: Table = output::table(heading);
    table.add_rows(rows.iter().take(most).map(cells));
    writeln!(to)?;
    output::write_table(to, table, "")?;
    match rows.len().saturating_sub(most) {
        0 => Ok(()),
        more => writeln!(to, "{DIM}and {more} more{DIM:#}"),
    }
}

fn process(process: &Process) -> Vec<Cell> {
    let (state, color) = if process.alive { ("alive", Color::Reset) } else { ("dead", Color::DarkYellow) };
    vec![
        Cell::new(process.pid),
        Cell::new(process.command.as_deref().map_or("-".into(), plain)),
        output::coloured(state, color),
        Cell::new(process.lanes),
        Cell::new(process.revoked_lanes),
        Cell::new(output::count(process.blocks)),
        Cell::new(output::bytes(process.bytes)),
    ]
}

/// Letters that are one column wide in every terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

fn channel(channel: &Channel) -> Vec<Cell> {
    let name = channel.name.as_deref().map_or_else(|| format!("{:#x}", channel.offset), plain);
    vec![
        Cell::new(name),
        Cell::new(channel.waiting),
        Cell::new(channel.capacity),
        Cell::new(bar(channel.waiting.into(), channel.capacity.into(), SMALL_BAR)),
        Cell::new(output::count(channel.passed)),
        Cell::new(channel.passed_per_second.map_or("-".into(), |rate| format!("{rate:.1}"))),
    ]
}

fn size(size: &Size) -> Vec<Cell> {
    vec![
        Cell::new(output::bytes(size.block_bytes)),
        Cell::new(output::count(size.used)),
        Cell::new(output::count(size.free)),
        Cell::new(bar(size.used, size.used + size.free, SMALL_BAR)),
    ]
}

/// `████░░░░  50 %`: what is there shows at least one letter, and only what is whole is full.
pub(crate) fn bar(part: u64, whole: u64, letters: usize) -> String {
    let part = part.min(whole);
    let share = part as f64 / whole.max(1) as f64;
    let least = usize::from(part > 0);
    let most = letters - usize::from(part < whole);
    let full = ((share * letters as f64).round() as usize).clamp(least, most.max(least));
    format!("{}{} {:3.0} %", "█".repeat(full), "░".repeat(letters - full), share * 100.0)
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Attached { pid } => format!("{GOOD}process {pid} attached{GOOD:#}"),
        Event::Left { pid } => format!("process {pid} left"),
        Event::Died { pid, blocks, bytes } => {
            let (blocks, bytes) = (output::counted(*blocks, "block", "blocks"), output::bytes(*bytes));
            format!("{WARNING}process {pid} died with {blocks} of {bytes}{WARNING:#}")
        }
        Event::Recovered { processes } => {
            let processes = output::counted(*processes, "dead process", "dead processes");
            format!("{GOOD}what {processes} had was recovered{GOOD:#}")
        }
    }
}

/// A line of at most `columns` letters; escape sequences take none, and those behind the cut stay.
pub(super) fn cut(line: &str, columns: usize) -> String {
    let (mut shown, mut in_escape) = (0, false);
    let keep = |letter: &char| {
        let starts = *letter == '\x1b';
        let is_escape = starts || in_escape;
        in_escape = starts || in_escape && !letter.is_ascii_alphabetic();
        shown += usize::from(!is_escape);
        is_escape || shown <= columns
    };
    line.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::watch::look::Rates;

    fn made_up() -> Look {
        let process = |pid, alive: bool| Process {
            pid,
            actor: (1, 1),
            command: alive.then(|| "wörker".to_owned()),
            alive,
            lanes: 2,
            revoked_lanes: u32::from(!alive),
            blocks: 1200,
            bytes: 76_800,
        };
        let channel = |name: Option<&str>, waiting, rate| Channel {
            name: name.map(str::to_owned),
            offset: 0x4000,
            generation: 1,
            waiting,
            capacity: 8,
            passed: 1_234_567,
            passed_per_second: rate,
        };
        Look {
            name: "made-up".into(),
            path: "/dev/shm/weyr.0.made-up".into(),
            uuid: String::new(),
            size_bytes: 1 << 20,
            maximum_bytes: 4 << 20,
            backed_bytes: 640 << 10,
            used_bytes: 512 << 10,
            free_bytes: 512 << 10,
            largest_free_bytes: 256 << 10,
            peak_bytes: 768 << 10,
            segments: 2,
            blocks: 1201,
            waiting_for_memory: true,
            recovered_processes: 1,
            sizes: vec![
                Size { block_bytes: 64, used: 1200, free: 80 },
                Size { block_bytes: 448 << 10, used: 1, free: 0 },
            ],
            processes: vec![process(77, true), process(4_000_000, false)],
            channels: vec![channel(Some("lines"), 8, Some(99.95)), channel(None, 0, None)],
            rates: Some(Rates { blocks: -12.5, messages: 99.95 }),
            events: Vec::new(),
        }
    }

    /// What a terminal without colours shows.
    fn shown(look: &Look, told: &[Event], room: Option<usize>) -> String {
        let mut bytes = anstream::StripStream::new(Vec::new());
        write(&mut bytes, look, told, room).unwrap();
        String::from_utf8(bytes.into_inner()).unwrap()
    }

    const WHOLE: &str = "\
made-up /dev/shm/weyr.0.made-up
size       ████████░░░░░░░░░░░░░░░░░░░░░░░░  25 % 1.00 MiB of at most 4.00 MiB, 2 segments
used       ████████████████░░░░░░░░░░░░░░░░  50 % 512.00 KiB in 1,201 blocks, 768.00 KiB at most so far
free       512.00 KiB, the largest piece 256.00 KiB
waiting    somebody waits for memory
a second   -12.5 blocks, 100.0 messages
recovered  1 dead process since the pool was made
";

    const TABLES: &str = "
PROCESS  COMMAND  STATE  LANES  REVOKED  BLOCKS      BYTES
77       w?rker   alive      2        0   1,200  75.00 KiB
4000000  -        dead       2        1   1,200  75.00 KiB

CHANNEL  MESSAGES  CAPACITY  FULL                       PASSED  PER SECOND
lines           8         8  ████████████████ 100 %  1,234,567       100.0
0x4000          0         8  ░░░░░░░░░░░░░░░░   0 %  1,234,567           -

      SIZE   USED  FREE  USE
      64 B  1,200    80  ███████████████░  94 %
448.00 KiB      1     0  ████████████████ 100 %
";

    const EVENTS: &str = "
process 4000000 died with 1,200 blocks of 75.00 KiB
what 1 dead process had was recovered
";

    #[test]
    fn a_look_is_drawn_whole() {
        let died = Event::Died { pid: 4_000_000, blocks: 1200, bytes: 76_800 };
        let told = [died, Event::Recovered { processes: 1 }];
        assert_eq!(shown(&made_up(), &told, None), [WHOLE, TABLES, EVENTS].concat());
        assert_eq!(shown(&made_up(), &[], None), [WHOLE, TABLES].concat());
    }

    #[test]
    fn tables_are_cut_to_the_room_there_is() {
        let mut look = made_up();
        look.sizes.extend((1..=50).map(|size| Size { block_bytes: size * 64, used: 1, free: 0 }));
        look.processes = vec![look.processes[0].clone(); 50];
        for room in [20, 24, 50, 100] {
            let text = shown(&look, &[], Some(room));
            assert!(text.lines().count() <= room, "{room}: {text}");
            assert!(text.contains("more") && text.contains("448.00 KiB"), "{text}");
        }
    }

    #[test]
    fn a_bar_is_full_of_what_is_whole_and_empty_of_nothing() {
        let letters = |part, whole| bar(part, whole, 4).chars().filter(|letter| *letter == '█').count();
        assert_eq!([letters(0, 100), letters(1, 100), letters(50, 100), letters(99, 100)], [0, 1, 2, 3]);
        assert_eq!([letters(100, 100), letters(7, 3), letters(0, 0)], [4, 4, 0]);
    }

    #[test]
    fn a_cut_line_keeps_its_colours() {
        assert_eq!(cut("\x1b[31mred\x1b[0m and more", 5), "\x1b[31mred\x1b[0m a");
        assert_eq!(cut("\x1b[1mbold and long\x1b[0m", 4), "\x1b[1mbold\x1b[0m");
        assert_eq!(cut("short", 80), "short");
    }
}

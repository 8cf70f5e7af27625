//! The terminal while a pool is watched: another page of it, without cursor, without echo; as it was before whenever
//! this ends, by a panic as well.

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::draw::cut;
use crate::failure::Failure;
use crate::output::DIM;

/// How the terminal was, for as long as this process lives.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// Another page, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// The terminal shows nothing of what is between the two before the second, if it knows them.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// The terminal, in its other page until this is dropped.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        if io::stdin().is_terminal() {
            let before = tcgetattr(io::stdin()).map_err(Failure::system("looking at the terminal"))?;
            // Opened twice: the first knows how it was.
            let before = BEFORE.get_or_init(|| before);
            set(&without_lines(before)).map_err(Failure::system("setting the terminal"))?;
        }
        // From here on something is to be put back.
        let screen = Self(());
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            former(info);
        }));
        say(ENTER).map_err(Failure::system("writing to the terminal"))?;
        Ok(screen)
    }

    /// Draws what `write` writes, given how many lines there are, and below it `footer`.
    pub(super) fn draw(
        &self,
        footer: &str,
        write: impl FnOnce(&mut dyn Write, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let (columns, lines) = size();
        let mut text = Vec::new();
        write(&mut text, lines - 1)?;
        let text = String::from_utf8_lossy(&text);
        let mut drawn = String::from(BEGIN);
        for line in text.lines().take(lines - 1) {
            drawn += &cut(&coloured(line), columns);
            drawn += "\x1b[K\n";
        }
        drawn += &cut(&coloured(&format!("{DIM}{footer}{DIM:#}")), columns);
        drawn += END;
        say(&drawn)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Else the hook did it, before it told of the panic.
        if !std::thread::panicking() {
            restore();
        }
    }
}

/// Every key at once, and none of them shown or made a signal.
fn without_lines(before: &Termios) -> Termios {
    let mut termios = before.clone();
    termios.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
    termios
}

fn set(termios: &Termios) -> rustix::io::Result<()> {
    tcsetattr(io::stdin(), OptionalActions::Now, termios)
}

fn restore() {
    // A terminal that is gone needs nothing.
    let _ = say(LEAVE);
    let _ = BEFORE.get().map(set);
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Columns and lines; of a terminal that does not say, the usual.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// The line, without colours where nobody wants them.
fn coloured(line: &str) -> String {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => anstream::adapter::strip_str(line).to_string(),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    use rustix::fd::OwnedFd;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    const IN_A_TERMINAL: &str = "WEYR_TEST_PANIC_IN_A_TERMINAL";

    /// A terminal of which this process has the other side.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap();
        (master, slave)
    }

    /// The other process; in a run of its own this test does nothing.
    #[test]
    fn a_panic_in_a_screen() {
        if std::env::var_os(IN_A_TERMINAL).is_none() {
            return;
        }
        let screen = Screen::open().unwrap();
        screen.draw("q ends", |to, _| writeln!(to, "drawn")).unwrap();
        panic!("on purpose");
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let (master, slave) = terminal();
        let before = tcgetattr(&slave).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "pool::watch::screen::tests::a_panic_in_a_screen", "--nocapture"]);
        command.env(IN_A_TERMINAL, "1").stdin(Stdio::from(slave.try_clone().unwrap()));
        command.stdout(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert!(!output.status.success());
        let after = tcgetattr(&slave).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        // All that there is, without waiting for more.
        rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut drawn = vec![0; 1 << 16];
        let read = rustix::io::read(&master, &mut drawn).unwrap();
        let drawn = String::from_utf8_lossy(&drawn[..read]).into_owned();
        let (entered, left) = (drawn.find(ENTER).unwrap(), drawn.find(LEAVE).unwrap());
        assert!(entered < drawn.find("drawn").unwrap() && drawn.find("drawn").unwrap() < left, "{drawn:?}");
        assert_eq!(drawn.matches(LEAVE).count(), 1, "{drawn:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"));
    }
}

//! Sweeps over a protocol of two words, small enough that every state of it can be written down.
#![cfg(target_arch = "x86_64")]

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt, ptr};

use rustix::{
    mm::{MapFlags, ProtFlags, mmap},
    process::{Signal, getpid, kill_process},
    thread::sched_getaffinity,
};
use tempfile::NamedTempFile;
use weyr_kill::{
    Choice, Error, FileSegment, Mode, Moment, Outcome, Place, Point, Points, Refusal, Rendezvous, Report,
    Segment, Sweep, Syscall, child, refuse_with,
};

const BYTES: usize = 4096;
const DATA: usize = 0;
const FLAG: usize = 1;

/// Two words of a mapped file.
struct Words(*mut u64);

impl Words {
    fn map(file: &File) -> Self {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe { mmap(ptr::null_mut(), BYTES, access, flags, file, 0) };
        Self(start.unwrap().cast())
    }

    fn set(&self, word: usize, value: u64) {
        // SAFETY: both words lie in the page that was mapped.
        let place = unsafe { self.0.add(word) };
        // SAFETY: the page is mapped for writing, and volatile keeps the write and its place among others.
        unsafe { place.write_volatile(value) }
    }

    fn get(&self, word: usize) -> u64 {
        // SAFETY: both words lie in the page that was mapped.
        let place = unsafe { self.0.add(word) };
        // SAFETY: the page is mapped for reading.
        unsafe { place.read_volatile() }
    }
}

/// The file, as its observers see it.
struct Board(NamedTempFile);

impl Board {
    fn new() -> Self {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(BYTES as u64).unwrap();
        Self(file)
    }

    fn segment(&self) -> FileSegment {
        FileSegment::open(self.0.path()).unwrap()
    }

    fn words(&self) -> Words {
        Words::map(self.0.as_file())
    }

    fn read(&self) -> (u64, u64) {
        let mut bytes = [0; 16];
        self.0.as_file().read_exact_at(&mut bytes, 0).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (word(0), word(8))
    }
}

/// Data first, then the flag, then the data of the next round.
fn publish(words: &mut Words) {
    words.set(DATA, 7);
    words.set(FLAG, 1);
    words.set(FLAG, 1);
    words.set(DATA, 8);
}

/// The states that a process may leave behind.
const STATES: [(u64, u64); 5] = [(0, 0), (7, 0), (7, 1), (8, 1), (8, 1)];

#[test]
fn deaths_show_every_state_of_the_protocol_once() {
    let (board, seen) = (Board::new(), RefCell::default());
    let segment = board.segment();
    let sweep = Sweep::new("two words", &segment).floor(STATES.len());
    let note = |states: &RefCell<Vec<_>>, point: &Point| {
        assert_eq!(point.moment, Moment::Died);
        states.borrow_mut().push(board.read());
        Ok(())
    };
    let report = sweep.run(|| board.words(), publish, |point| note(&seen, point)).unwrap();
    report.assert_clean();
    assert_eq!(*seen.borrow(), STATES);
    assert_eq!((report.points_distinct, report.points_run), (5, 5));
    assert_eq!(report.skipped, report.steps + 1 - 5, "every other boundary is counted as equal");
    assert_eq!(board.read(), (0, 0), "the segment is put back");
}

#[test]
fn what_the_prepared_child_wrote_is_no_point() {
    let board = Board::new();
    let segment = board.segment();
    let prepare = || {
        let words = board.words();
        words.set(FLAG, 5);
        words
    };
    let mut seen = Vec::new();
    let report = Sweep::new("prepared", &segment).run(prepare, publish, |_| {
        seen.push(board.read());
        Ok(())
    });
    report.unwrap().assert_clean();
    assert_eq!(seen, [(0, 5), (7, 5), (7, 1), (8, 1), (8, 1)]);
}

#[test]
fn a_flag_that_is_set_before_its_data_is_found_at_the_one_point_that_shows_it() {
    let board = Board::new();
    let segment = board.segment();
    let flag_first = |words: &mut Words| {
        words.set(FLAG, 1);
        words.set(DATA, 7);
    };
    let published_means_complete = |_: &Point| match board.read() {
        (0, 1) => Err("the flag is set, and the data is not there".to_owned()),
        _ => Ok(()),
    };
    let report = Sweep::new("planted", &segment).run(|| board.words(), flag_first, published_means_complete);
    let report = report.unwrap();
    let found: Vec<_> = report.failures.iter().map(|failure| failure.point.as_ref().unwrap()).collect();
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0].place, Place::Behind { write: 1, steps: 0 });
    let text = report.to_string();
    assert!(text.contains("the flag is set, and the data is not there"), "{text}");
    assert!(text.contains("stepping.rs:"), "the report names the line that wrote last: {text}");
}

#[test]
fn a_stopped_process_stands_and_then_comes_to_its_end() {
    let board = Board::new();
    let segment = board.segment();
    let mut seen = Vec::new();
    let sweep = Sweep::new("stop", &segment).mode(Mode::StopThenContinue);
    let report = sweep.run(
        || board.words(),
        publish,
        |point| {
            seen.push((point.moment, board.read()));
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    let expected = STATES.iter().flat_map(|state| [(Moment::Stopped, *state), (Moment::Ended, (8, 1))]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

#[test]
fn a_stopped_process_that_is_killed_writes_no_more() {
    let board = Board::new();
    let segment = board.segment();
    let mut seen = Vec::new();
    let sweep = Sweep::new("stop and kill", &segment).mode(Mode::StopThenKill);
    let report = sweep.run(
        || board.words(),
        publish,
        |point| {
            seen.push((point.moment, board.read()));
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    let expected = STATES.iter().flat_map(|state| [(Moment::Stopped, *state), (Moment::Ended, *state)]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

/// Adds one by reading and writing apart: right only if nobody comes between.
fn add_one(words: &mut Words) {
    words.set(DATA, words.get(DATA) + 1);
}

#[test]
fn a_stop_before_the_write_shows_an_update_that_is_lost_when_the_process_goes_on() {
    let board = Board::new();
    let segment = board.segment();
    let other_adds_one_meanwhile = |point: &Point| {
        if point.moment == Moment::Stopped {
            add_one(&mut board.words());
            return Ok(());
        }
        match board.read() {
            (2, 0) => Ok(()),
            (sum, _) => Err(format!("two were added, and the sum is {sum}")),
        }
    };
    let lost_with = |points| {
        let sweep = Sweep::new("lost update", &segment).mode(Mode::StopThenContinue).points(points);
        let report = sweep.run(|| board.words(), add_one, other_adds_one_meanwhile).unwrap();
        report.failures.len()
    };
    assert_eq!(lost_with(Points::AfterWrites), 0, "the old value is read and written between two points");
    assert_eq!(lost_with(Points::BeforeWrites), 1);
    assert_eq!(lost_with(Points::AroundWrites), 1);
    assert!(lost_with(Points::Instructions) >= 1);
}

#[test]
fn a_process_that_goes_on_and_fails_is_a_failure_of_its_point() {
    let board = Board::new();
    let segment = board.segment();
    let checks_its_data = |words: &mut Words| {
        words.set(DATA, 7);
        assert_eq!(words.get(DATA), 7, "somebody wrote what this process owns (planted by the test)");
    };
    let intrude = |point: &Point| {
        if matches!(point.place, Place::Behind { .. }) && point.moment == Moment::Stopped {
            board.words().set(DATA, 9);
        }
        Ok(())
    };
    let sweep = Sweep::new("intruder", &segment).mode(Mode::StopThenContinue);
    let report = sweep.run(|| board.words(), checks_its_data, intrude).unwrap();
    assert_eq!(report.failures.len(), 1, "{report}");
    assert!(report.failures[0].message.contains("exit code 101"), "{report}");
}

#[test]
fn a_zombie_is_still_there_while_the_others_look() {
    let board = Board::new();
    let segment = board.segment();
    let sweep = Sweep::new("zombie", &segment);
    let state_of = |sweep: &Sweep<'_>| {
        let state = RefCell::new(Vec::new());
        let prepare = || {
            let words = board.words();
            words.set(FLAG, u64::from(std::process::id()));
            words
        };
        let look = |_: &Point| {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", board.read().1));
            let letter =
                status.ok().and_then(|text| text.rsplit(") ").next().and_then(|rest| rest.chars().next()));
            state.borrow_mut().push(letter);
            Ok(())
        };
        sweep.run(prepare, |words| words.set(DATA, 1), look).unwrap().assert_clean();
        state.into_inner()
    };
    assert_eq!(state_of(&sweep), [None, None, None]);
    let sweep = sweep.mode(Mode::KillUnreaped);
    assert_eq!(state_of(&sweep), [Some('Z'), Some('Z'), Some('Z')]);
    let sweep = sweep.mode(Mode::StopThenKill);
    let (stood, reaped) = (Some('T'), None);
    assert_eq!(state_of(&sweep), [stood, reaped, stood, reaped, stood, reaped]);
}

#[test]
fn a_point_is_found_again_when_the_way_to_it_has_another_length() {
    let board = Board::new();
    let segment = board.segment();
    // The test's own file counts the runs, outside the segment.
    let runs = Board::new();
    let wander = |words: &mut Words| {
        let rounds = Words::map(runs.0.as_file());
        rounds.set(DATA, rounds.get(DATA) + 1);
        (0..rounds.get(DATA) * 10).for_each(|_| {
            words.get(DATA);
        });
        publish(words);
    };
    let mut seen = Vec::new();
    let report = Sweep::new("wander", &segment).run(
        || board.words(),
        wander,
        |_| {
            seen.push(board.read());
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    assert_eq!(seen, STATES);
}

#[test]
fn a_stop_stands_right_before_the_write_when_the_way_to_it_has_another_length() {
    let board = Board::new();
    let segment = board.segment();
    // The test's own file counts the runs, outside the segment.
    let runs = Board::new();
    let wander_and_add = |words: &mut Words| {
        let rounds = Words::map(runs.0.as_file());
        rounds.set(DATA, rounds.get(DATA) + 1);
        let read = words.get(DATA);
        (0..rounds.get(DATA) % 3 * 10).for_each(|_| {
            words.get(DATA);
        });
        words.set(DATA, read + 1);
        words.set(FLAG, 1);
    };
    for points in [Points::BeforeWrites, Points::AroundWrites, Points::Instructions] {
        let mut seen = Vec::new();
        let sweep = Sweep::new("wander", &segment).mode(Mode::StopThenContinue).points(points);
        let report = sweep.run(
            || board.words(),
            wander_and_add,
            |point| {
                seen.push((point.moment, board.read()));
                Ok(())
            },
        );
        report.unwrap().assert_clean();
        let ended = |(moment, _): &&(Moment, (u64, u64))| *moment == Moment::Ended;
        assert!(seen.iter().filter(ended).all(|(_, read)| *read == (1, 1)), "{seen:?}");
        seen.retain(|(moment, _)| *moment == Moment::Stopped);
        let seen: Vec<_> = seen.into_iter().map(|(_, read)| read).collect();
        match points {
            Points::BeforeWrites => assert_eq!(seen, [(0, 0), (0, 0), (1, 0), (1, 1)]),
            Points::AroundWrites => {
                assert!(seen.is_sorted() && seen[..3] == [(0, 0), (0, 0), (1, 0)], "{seen:?}");
            }
            _ => assert!(seen.len() > 10 && seen.is_sorted() && seen.contains(&(1, 0)), "{seen:?}"),
        }
    }
}

#[test]
fn several_ways_are_run_after_one_look_each_with_a_report_of_its_name() {
    let board = Board::new();
    let segment = board.segment();
    let ways = [
        (Mode::Kill, Points::AfterWrites, Choice::All),
        (Mode::StopThenContinue, Points::AroundWrites, Choice::AtMost { points: 3, seed: 1 }),
    ];
    let reports =
        Sweep::new("both", &segment).run_each(&ways, || board.words(), publish, |_| Ok(())).unwrap();
    let told: Vec<_> = reports.iter().map(|report| (report.name.as_str(), report.points_run)).collect();
    assert_eq!(told, [("both, Kill AfterWrites", 5), ("both, StopThenContinue AroundWrites", 3)]);
    reports.iter().for_each(Report::assert_clean);
}

#[test]
fn a_point_that_no_later_run_has_is_a_failure_unless_the_operation_varies() {
    let board = Board::new();
    let segment = board.segment();
    let runs = Board::new();
    // The first run makes two writes, all others one.
    let fewer = |words: &mut Words| {
        let rounds = Words::map(runs.0.as_file());
        words.set(DATA, 7);
        if rounds.get(DATA) == 0 {
            words.set(FLAG, 1);
        }
        rounds.set(DATA, 1);
    };
    let report = Sweep::new("fewer", &segment).run(|| board.words(), fewer, |_| Ok(())).unwrap();
    assert!(report.to_string().contains("not reached"), "{report}");
    Words::map(runs.0.as_file()).set(DATA, 0);
    let varying = Sweep::new("fewer", &segment).varying();
    let report = varying.floor(3).run(|| board.words(), fewer, |_| Ok(())).unwrap();
    report.assert_clean();
    assert_eq!(report.points_run, 3);
    Words::map(runs.0.as_file()).set(DATA, 0);
    let varying = Sweep::new("fewer", &segment).varying();
    let report = varying.floor(4).run(|| board.words(), fewer, |_| Ok(())).unwrap();
    assert!(report.to_string().contains("3 distinct points, and at least 4"), "{report}");
}

#[test]
fn another_process_acts_in_the_step_in_which_the_operation_sleeps() {
    let board = Board::new();
    let segment = board.segment();
    let (told, heard) = (Rendezvous::new().unwrap(), Rendezvous::new().unwrap());
    let woken = Rendezvous::new().unwrap();
    let prepare = || {
        let get_ready = || {
            told.post().unwrap();
            heard.wait().unwrap();
            board.words()
        };
        let act = |words: Words| {
            words.set(DATA, 7);
            woken.post().unwrap();
        };
        let other = weyr_kill::child::when_parent_sleeps(get_ready, act).unwrap();
        told.wait_from(&other).unwrap();
        heard.post().unwrap();
        std::mem::forget(other);
        board.words()
    };
    let wait = |words: &mut Words| {
        woken.wait().unwrap();
        assert_eq!(words.get(DATA), 7);
        words.set(FLAG, 1);
    };
    let mut seen = Vec::new();
    let report = Sweep::new("asleep", &segment).run(prepare, wait, |_| {
        seen.push(board.read());
        Ok(())
    });
    report.unwrap().assert_clean();
    assert_eq!(seen, [(0, 0), (7, 0), (7, 1), (7, 1)]);
}

#[test]
fn a_point_is_found_on_the_shorter_way_that_children_take_after_a_look() {
    let board = Board::new();
    let segment = board.segment();
    // Memory of this process, which its children inherit.
    let rounds = std::cell::Cell::new(50);
    let shortening = |words: &mut Words| {
        words.set(DATA, 7);
        (0..rounds.get()).for_each(|round| {
            std::hint::black_box(round);
        });
        words.set(FLAG, 1);
    };
    let mut seen = Vec::new();
    let sweep = Sweep::new("shortening", &segment).points(Points::BeforeWrites);
    let report = sweep.run(
        || board.words(),
        shortening,
        |_| {
            rounds.set(10);
            seen.push(board.read());
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    assert_eq!(seen, [(0, 0), (0, 0), (7, 0), (7, 1)]);
}

#[test]
fn fewer_points_than_the_floor_are_a_failure_and_a_sample_does_not_lower_it() {
    let board = Board::new();
    let segment = board.segment();
    let run = |floor, choice| {
        let sweep = Sweep::new("floor", &segment).floor(floor).choose(choice);
        sweep.run(|| board.words(), publish, |_| Ok(())).unwrap()
    };
    let low = run(6, Choice::All);
    assert!(low.to_string().contains("5 distinct points, and at least 6 were expected"), "{low}");
    assert!(!low.is_clean());
    let sampled = run(5, Choice::AtMost { points: 3, seed: 1 });
    sampled.assert_clean();
    assert_eq!((sampled.points_run, sampled.points_distinct), (3, 5));
}

#[test]
fn an_operation_that_ends_by_itself_is_an_error_and_no_result() {
    let board = Board::new();
    let segment = board.segment();
    let run = |operation: fn(&mut Words)| {
        Sweep::new("broken", &segment).run(|| board.words(), operation, |_| Ok(())).unwrap_err()
    };
    let panicked = run(|_| panic!("planted by the test"));
    assert!(matches!(panicked, Error::Ended { outcome: Outcome::Exited(101), .. }), "{panicked}");
    let crashed = run(|_| {
        // SAFETY: none; the test wants the crash of its child.
        unsafe { ptr::without_provenance_mut::<u8>(8).write_volatile(1) }
    });
    assert!(matches!(crashed, Error::Ended { outcome: Outcome::Signalled(11), .. }), "{crashed}");
    let ended = run(|_| kill_process(getpid(), Signal::TERM).unwrap());
    assert!(matches!(ended, Error::Ended { outcome: Outcome::Signalled(15), .. }), "{ended}");
}

#[test]
fn an_operation_that_waits_or_spins_for_ever_is_an_error_and_no_result() {
    let board = Board::new();
    let segment = board.segment();
    let wait = |_: &mut Words| {
        let (reader, _writer) = io::pipe().unwrap();
        // Nobody writes: the read ends with the process.
        let _ = io::Read::read(&mut &reader, &mut [0]);
    };
    let sweep = Sweep::new("waiting", &segment).limit_seconds(1);
    let waiting = sweep.run(|| board.words(), wait, |_| Ok(())).unwrap_err();
    assert!(matches!(waiting, Error::Hung { seconds: 1, .. }), "{waiting}");
    let spin = |words: &mut Words| while words.get(FLAG) == 0 {};
    let sweep = Sweep::new("long", &segment).limit_steps(1000);
    let long = sweep.run(|| board.words(), spin, |_| Ok(())).unwrap_err();
    assert!(matches!(long, Error::TooLong { limit: 1000 }), "{long}");
}

#[test]
fn a_point_that_no_later_run_reaches_is_a_failure() {
    let board = Board::new();
    let segment = board.segment();
    let runs = Board::new();
    let only_once = |words: &mut Words| {
        let earlier = Words::map(runs.0.as_file());
        if earlier.get(DATA) == 0 {
            words.set(DATA, 7);
        }
        earlier.set(DATA, 1);
    };
    let report = Sweep::new("once", &segment).run(|| board.words(), only_once, |_| Ok(())).unwrap();
    assert_eq!(report.failures.len(), 1, "{report}");
    assert!(report.to_string().contains("not reached in 20 runs"), "{report}");
}

#[test]
fn a_panic_of_the_test_at_one_point_is_its_failure_and_the_others_are_run() {
    let board = Board::new();
    let segment = board.segment();
    let look = |point: &Point| {
        assert_ne!(point.index, 2, "planted by the test");
        Ok(())
    };
    let report = Sweep::new("asserting", &segment).run(|| board.words(), publish, look).unwrap();
    assert_eq!((report.failures.len(), report.points_run), (1, 5));
    assert!(report.to_string().contains("planted by the test"), "{report}");
}

#[test]
fn a_write_on_a_way_that_the_first_run_did_not_take_is_counted() {
    let board = Board::new();
    let segment = board.segment();
    let runs = Board::new();
    // The first run writes at the first place, all others at the second.
    let fork_in_the_road = |words: &mut Words| {
        let earlier = Words::map(runs.0.as_file());
        let first = earlier.get(DATA) == 0;
        earlier.set(DATA, 1);
        if first {
            words.set(DATA, 7)
        } else {
            publish_elsewhere(words)
        }
        words.set(FLAG, 1);
    };
    let mut seen = Vec::new();
    let report = Sweep::new("road", &segment).run(
        || board.words(),
        fork_in_the_road,
        |_| {
            seen.push(board.read());
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    assert_eq!(seen, [(0, 0), (7, 0), (7, 1), (7, 1)]);
}

#[inline(never)]
fn publish_elsewhere(words: &mut Words) {
    words.set(DATA, 7);
}

#[test]
fn a_kernel_that_refuses_ptrace_is_an_error_that_says_what_to_do() {
    let board = Board::new();
    let segment = board.segment();
    let mut child = child::spawn(|| {
        refuse_with(&[Syscall::Ptrace], Refusal::Forbidden).unwrap();
        let error = Sweep::new("refused", &segment).run(|| board.words(), publish, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(error.to_string().contains("SYS_PTRACE"), "{error}");
    });
    assert_eq!(child.as_mut().unwrap().wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn a_prepare_that_fails_says_so() {
    let board = Board::new();
    let segment = board.segment();
    let prepare = || -> Words { panic!("planted by the test") };
    let failed = Sweep::new("unprepared", &segment).run(prepare, publish, |_| Ok(())).unwrap_err();
    assert!(matches!(failed, Error::Ended { steps: 0, outcome: Outcome::Exited(101) }), "{failed}");
}

#[test]
fn a_segment_that_never_changes_has_a_start_and_an_end() {
    struct Deaf<'a>(&'a FileSegment);
    impl Segment for Deaf<'_> {
        fn save(&self) -> io::Result<weyr_kill::Image> {
            self.0.save()
        }
        fn restore(&self, image: &weyr_kill::Image) -> io::Result<()> {
            self.0.restore(image)
        }
        fn fingerprint(&self) -> io::Result<u64> {
            Ok(0)
        }
    }
    let board = Board::new();
    let inner = board.segment();
    let segment = Deaf(&inner);
    let report = Sweep::new("deaf", &segment).run(|| board.words(), publish, |_| Ok(())).unwrap();
    assert_eq!(report.points_distinct, 2);
}

#[test]
fn the_others_are_not_pinned_to_the_core_of_the_stepped() {
    let board = Board::new();
    let segment = board.segment();
    let before = sched_getaffinity(None).unwrap();
    let mut seen = Vec::new();
    let report = Sweep::new("pinned", &segment).run(
        || board.words(),
        publish,
        |_| {
            seen.push(sched_getaffinity(None).unwrap() == before);
            Ok(())
        },
    );
    report.unwrap().assert_clean();
    assert_eq!(seen, [true; 5]);
    assert!(sched_getaffinity(None).unwrap() == before);
}

/// Runs `test` in a child whose environment has the variable set.
fn with_variable(name: &str, value: &str, test: impl FnOnce()) {
    let in_child = || {
        // SAFETY: the child has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
        test();
    };
    assert_eq!(child::spawn(in_child).unwrap().wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn reports_are_appended_to_the_file_that_the_environment_names() {
    let lines = NamedTempFile::new().unwrap();
    with_variable("WEYR_REPORT", lines.path().to_str().unwrap(), || {
        let board = Board::new();
        let segment = board.segment();
        for name in ["first", "second"] {
            Sweep::new(name, &segment).run(|| board.words(), publish, |_| Ok(())).unwrap().assert_clean();
        }
    });
    let text = std::fs::read_to_string(lines.path()).unwrap();
    let names: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["sweep first", "sweep second"], "{text}");
}

#[test]
fn the_environment_chooses_between_all_points_and_a_sample() {
    with_variable("WEYR_SWEEP", "full", || assert_eq!(Choice::from_environment(5), Choice::All));
    with_variable("WEYR_SWEEP", "sample", || {
        assert!(matches!(Choice::from_environment(5), Choice::AtMost { points: 5, .. }));
    });
    with_variable("WEYR_SEED", "77", || {
        assert!(matches!(Choice::from_environment(5), Choice::All | Choice::AtMost { points: 5, seed: 77 }));
    });
}

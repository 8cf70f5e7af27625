//! The explore face: what must be found is found, what must hold holds, and what means nothing is reported so.
#![cfg(weyr_face = "explore")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use weyr_atomic::explore::{
    self, Context, Fate, Ghost, Model, Outcome, Report, Woken, choose, futex_wait, futex_wait_timed,
    futex_wake, is_dead, wait_until,
};
use weyr_atomic::{
    AtomicU8, AtomicU32, AtomicU64, Ordering, Zeroed, fence, heavy_barrier, hint, light_barrier,
    publish_then_look, thread,
};

const RELAXED: Ordering = Ordering::Relaxed;

/// Two words that two processes share, and what each process saw in the other's.
struct Pair {
    words: [AtomicU64; 2],
    seen: Ghost<[Option<u64>; 2]>,
}

fn pair() -> Pair {
    Pair { words: Zeroed::zeroed(), seen: Ghost::new([None; 2]) }
}

/// Each process stores into its own word, does `between`, and looks at the other's: both must not miss.
fn dekker(name: &str, tso: bool, between: [fn(); 2]) -> Report {
    let program = move |pair: &Pair, cx: &Context| {
        let me = cx.process();
        pair.words[me].store(1, Ordering::Release);
        between[me]();
        let saw = pair.words[1 - me].load(Ordering::Acquire);
        pair.seen.update(|seen| seen[me] = Some(saw));
    };
    Model::new(name).memory(pair).process(program).process(program).tso(tso).at_end(not_both_missed).run()
}

fn not_both_missed(pair: &Pair, _: &Outcome) -> Result<(), String> {
    if pair.seen.get() == [Some(0), Some(0)] { Err("both missed".into()) } else { Ok(()) }
}

fn nothing() {}

fn full_fence() {
    fence(Ordering::SeqCst);
}

#[test]
fn with_store_buffers_both_sides_can_miss() {
    let report = dekker("Dekker, store buffers", true, [nothing, nothing]);
    report.assert_violated("both missed");
    let trace = report.violation.expect("asserted above").trace;
    assert!(trace.iter().any(|line| line.contains("P0: store world+0 = 0x1")), "{trace:#?}");
    assert!(trace.iter().any(|line| line.contains("P1: load world+0 -> 0x0")), "{trace:#?}");
}

#[test]
fn without_store_buffers_one_side_sees_the_other() {
    dekker("Dekker, sequentially consistent", false, [nothing, nothing]).assert_holds();
}

#[test]
fn with_fences_one_side_sees_the_other() {
    dekker("Dekker, fences", true, [full_fence, full_fence]).assert_holds();
}

#[test]
fn one_fence_is_not_enough() {
    dekker("Dekker, one fence", true, [full_fence, nothing]).assert_violated("both missed");
}

#[test]
fn a_heavy_barrier_stands_in_for_the_fence_of_the_light_side() {
    let heavy = || assert!(heavy_barrier(|| false));
    dekker("Dekker, light and heavy", true, [light_barrier, heavy]).assert_holds();
    dekker("Dekker, light and light", true, [light_barrier, light_barrier]).assert_violated("both missed");
}

#[test]
fn of_two_publishers_one_sees_the_other() {
    let program = |pair: &Pair, cx: &Context| {
        let me = cx.process();
        assert_eq!(publish_then_look(&pair.words[me], 0, 1), Ok(0));
        let saw = pair.words[1 - me].load(RELAXED);
        pair.seen.update(|seen| seen[me] = Some(saw));
    };
    let model = Model::new("publish_then_look").memory(pair).process(program).process(program);
    model.tso(true).at_end(not_both_missed).run().assert_holds();
}

#[test]
fn a_sequentially_consistent_store_lands_before_the_next_load() {
    let program = |pair: &Pair, cx: &Context| {
        let me = cx.process();
        pair.words[me].store(1, Ordering::SeqCst);
        let saw = pair.words[1 - me].load(RELAXED);
        pair.seen.update(|seen| seen[me] = Some(saw));
    };
    let model = Model::new("SeqCst stores").memory(pair).process(program).process(program);
    model.tso(true).at_end(not_both_missed).run().assert_holds();
}

#[test]
fn stores_land_in_program_order_and_own_loads_see_them_first() {
    let report = Model::new("message passing")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| {
            words[0].store(7, RELAXED);
            assert_eq!(words[0].load(RELAXED), 7);
            words[1].store(1, Ordering::Release);
        })
        .process(|words, _| {
            if words[1].load(Ordering::Acquire) == 1 {
                assert_eq!(words[0].load(RELAXED), 7, "the flag came before the payload");
            }
        })
        .tso(true)
        .run();
    report.assert_holds();
}

/// Counts up by a load and a store, or by one step.
fn counting(atomic: bool) -> Report {
    let program = move |count: &AtomicU32, _: &Context| {
        if atomic {
            count.fetch_add(1, RELAXED);
        } else {
            count.store(count.load(RELAXED) + 1, RELAXED);
        }
    };
    Model::new("counting")
        .memory(AtomicU32::zeroed)
        .process(program)
        .process(program)
        .process(program)
        .at_end(|count, _| match count.load(RELAXED) {
            3 => Ok(()),
            other => Err(format!("three increments gave {other}")),
        })
        .run()
}

#[test]
fn a_lost_update_is_found() {
    counting(false).assert_violated("three increments gave");
    counting(true).assert_holds();
}

#[test]
fn small_atomics_wrap_at_their_width() {
    let report = Model::new("wrap")
        .memory(|| (AtomicU8::new(255), AtomicU32::new(0)))
        .process(|world, _| {
            assert_eq!(world.0.fetch_add(2, RELAXED), 255);
            assert_eq!(world.0.load(RELAXED), 1);
            assert_eq!(world.1.fetch_sub(1, RELAXED), 0);
            assert_eq!(world.1.fetch_max(1, RELAXED), u32::MAX);
            assert_eq!(world.1.fetch_and(6, RELAXED), u32::MAX);
            assert_eq!(world.1.fetch_or(1, RELAXED), 6);
            assert_eq!(world.1.swap(9, RELAXED), 7);
            assert_eq!(world.1.compare_exchange(8, 1, RELAXED, RELAXED), Err(9));
            assert_eq!(world.0.compare_exchange(1, 3, RELAXED, RELAXED), Ok(1));
            assert_eq!(world.0.load(RELAXED), 3);
            assert_eq!(world.1.fetch_add(u32::MAX, RELAXED), 9);
            assert_eq!(world.1.compare_exchange(8, 1, RELAXED, RELAXED), Ok(8));
            assert_eq!(world.1.load(RELAXED), 1);
        })
        .run();
    report.assert_holds();
}

/// What three words can hold at the end when their writer may die.
fn prefixes_left_by_a_death(tso: bool) -> BTreeSet<(bool, [u64; 3])> {
    let ends = Rc::new(RefCell::new(BTreeSet::new()));
    let found = ends.clone();
    let report = Model::new("prefixes")
        .memory(<[AtomicU64; 3]>::zeroed)
        .process(|words, _| words.iter().for_each(|word| word.store(1, RELAXED)))
        .may_die([0])
        .tso(tso)
        .at_end(move |words, outcome| {
            let values = words.each_ref().map(|word| word.load(RELAXED));
            found.borrow_mut().insert((outcome.dead(0), values));
            Ok(())
        })
        .run();
    report.assert_holds();
    ends.take()
}

#[test]
fn a_death_is_tried_before_every_step_and_before_the_return() {
    let prefixes = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]];
    let mut expected: BTreeSet<_> = prefixes.into_iter().map(|prefix| (true, prefix)).collect();
    expected.insert((false, [1, 1, 1]));
    assert_eq!(prefixes_left_by_a_death(false), expected);
    assert_eq!(prefixes_left_by_a_death(true), expected);
}

/// A writer that may die in two phases, payload and tag in this order, and a recoverer.
fn two_phases(payload: usize, tag: usize) -> Report {
    Model::new("two phases")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(move |words, _| {
            words[payload].store(1, RELAXED);
            words[tag].store(1, Ordering::Release);
        })
        .process(|words, _| {
            if is_dead(0) && words[1].load(Ordering::Acquire) == 1 {
                assert_eq!(words[0].load(RELAXED), 1, "tag without payload");
            }
        })
        .may_die([0])
        .tso(true)
        .run()
}

#[test]
fn a_recoverer_sees_a_prefix_of_the_stores_of_the_dead() {
    two_phases(0, 1).assert_holds();
    two_phases(1, 0).assert_violated("tag without payload");
}

#[test]
fn a_death_is_seen_only_after_the_last_store_has_landed() {
    let report = Model::new("death after drain")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| words.iter().for_each(|word| word.store(1, RELAXED)))
        .process(|words, _| {
            if is_dead(0) {
                let seen = [words[0].load(RELAXED), words[1].load(RELAXED)];
                let again = [words[0].load(RELAXED), words[1].load(RELAXED)];
                assert_eq!(seen, again, "a dead process wrote");
            }
        })
        .may_die([0])
        .tso(true)
        .run();
    report.assert_holds();
}

#[test]
fn deaths_are_limited_in_number() {
    let most = Rc::new(Cell::new(0));
    let found = most.clone();
    let program = |word: &AtomicU64, _: &Context| {
        word.load(RELAXED);
    };
    let model =
        Model::new("deaths").memory(AtomicU64::zeroed).process(program).process(program).process(program);
    let model = model.may_die([0, 1, 2]).deaths(2).at_end(move |_, outcome| {
        found.set(found.get().max(outcome.fates.iter().filter(|fate| **fate == Fate::Dead).count()));
        Ok(())
    });
    model.run().assert_holds();
    assert_eq!(most.get(), 2);
}

#[test]
fn the_destructors_of_a_process_that_does_not_go_on_change_nothing() {
    struct Clears<'a>(&'a AtomicU64);
    impl Drop for Clears<'_> {
        fn drop(&mut self) {
            while self.0.compare_exchange(1, 0, RELAXED, RELAXED).is_err() {}
            hint::spin_loop();
            fence(Ordering::SeqCst);
        }
    }
    let report = Model::new("destructors")
        .memory(AtomicU64::zeroed)
        .process(|word, _| {
            let _clears = Clears(word);
            word.store(1, RELAXED);
            wait_until("never", || word.load(RELAXED) == 2);
        })
        .may_die([0])
        .at_end(|word, outcome| match (outcome.anybody_blocked(), word.load(RELAXED)) {
            (true, 0) => Err("cleared by who still waits".into()),
            _ => Ok(()),
        })
        .run();
    report.assert_holds();
}

#[test]
fn a_process_that_catches_its_own_end_changes_nothing_either() {
    let report = Model::new("catches everything")
        .memory(AtomicU64::zeroed)
        .process(|word, _| {
            for _ in 0..3 {
                let _ = std::panic::catch_unwind(|| word.fetch_add(1, RELAXED));
            }
            let _ = std::panic::catch_unwind(|| wait_until("never", || word.load(RELAXED) == 4));
            while word.load(RELAXED) < 5 {
                hint::spin_loop();
            }
        })
        .process(|word, _| {
            if is_dead(0) {
                assert_eq!(word.load(RELAXED), word.load(RELAXED), "a dead process wrote");
            }
        })
        .may_die([0])
        .run();
    report.assert_holds();
}

#[test]
fn what_the_finished_have_buffered_tells_states_apart() {
    let ends = Rc::new(RefCell::new(BTreeSet::new()));
    let found = ends.clone();
    let report = Model::new("buffers of the finished")
        .memory(AtomicU32::zeroed)
        .process(|word, _| word.store(5 + choose(2), RELAXED))
        .tso(true)
        .at_end(move |word, _| {
            found.borrow_mut().insert(word.load(RELAXED));
            Ok(())
        })
        .run();
    report.assert_holds();
    assert_eq!(*ends.borrow(), BTreeSet::from([5, 6]));
}

#[test]
fn a_stopped_process_is_not_dead_and_never_goes_on() {
    let stopped_midway = Rc::new(Cell::new(false));
    let found = stopped_midway.clone();
    let report = Model::new("stops")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| words.iter().for_each(|word| word.store(1, RELAXED)))
        .process(|_, _| assert!(!is_dead(0), "stopped is not dead"))
        .may_stop([0])
        .at_end(move |words, outcome| {
            let midway = words[0].load(RELAXED) == 1 && words[1].load(RELAXED) == 0;
            found.set(found.get() || midway && outcome.fates[0] == Fate::Stopped);
            outcome.nobody_blocked()
        })
        .run();
    report.assert_holds();
    assert!(stopped_midway.get());
}

/// A waiter that sleeps on a word, and a waker that changes it and wakes.
fn sleeping(expects_what_it_saw: bool) -> Report {
    Model::new("futex")
        .memory(AtomicU32::zeroed)
        .process(move |word, _| {
            let seen = word.load(Ordering::Acquire);
            if seen == 0 {
                let expected = if expects_what_it_saw { seen } else { word.load(RELAXED) };
                futex_wait(word, expected);
            }
        })
        .process(|word, _| {
            word.store(1, Ordering::Release);
            futex_wake(word, 1);
        })
        .tso(true)
        .at_end(|_, outcome| outcome.nobody_blocked())
        .run()
}

#[test]
fn a_lost_wake_up_is_found() {
    let report = sleeping(false);
    report.assert_violated("P0 blocked in futex_wait");
    sleeping(true).assert_holds();
}

#[test]
fn a_waker_may_choose_any_sleeper_and_counts_whom_it_woke() {
    let woken = Rc::new(RefCell::new(BTreeSet::new()));
    let found = woken.clone();
    let sleeper = |word: &AtomicU32, _: &Context| {
        futex_wait(word, 0);
    };
    let report = Model::new("choice of sleepers")
        .memory(AtomicU32::zeroed)
        .process(sleeper)
        .process(sleeper)
        .process(sleeper)
        .process(|word, _| {
            let count = futex_wake(word, 2);
            word.store(count, RELAXED);
        })
        .at_end(move |word, outcome| {
            let awake: Vec<_> = (0..3).filter(|&process| outcome.finished(process)).collect();
            if awake.len() != word.load(RELAXED) as usize && word.load(RELAXED) < 2 {
                return Ok(());
            }
            found.borrow_mut().insert((word.load(RELAXED), awake));
            Ok(())
        })
        .run();
    report.assert_holds();
    let both = [vec![0, 1], vec![0, 2], vec![1, 2]];
    assert!(both.iter().all(|pair| woken.borrow().contains(&(2, pair.clone()))), "{woken:?}");
}

#[test]
fn a_sleeper_that_is_stopped_still_takes_a_wake_up() {
    let sleeper = |word: &AtomicU32, _: &Context| {
        futex_wait(word, 0);
    };
    let waking = |count: u32| {
        Model::new("stopped sleeper")
            .memory(AtomicU32::zeroed)
            .process(sleeper)
            .process(sleeper)
            .process(move |word, _| {
                word.store(1, Ordering::SeqCst);
                futex_wake(word, count);
            })
            .may_stop([0])
            .at_end(|_, outcome| outcome.nobody_blocked())
            .run()
    };
    waking(1).assert_violated("P0 stopped, P1 blocked in futex_wait");
    waking(2).assert_holds();
}

#[test]
fn a_timed_sleep_may_end_by_itself() {
    let ends = Rc::new(RefCell::new(BTreeSet::new()));
    let found = ends.clone();
    let report = Model::new("timed sleep")
        .memory(|| (AtomicU32::zeroed(), Ghost::new(0_u8)))
        .process(|(word, end), _| {
            let woken = futex_wait_timed(word, 0);
            end.update(|end| *end = woken as u8 + 1);
        })
        .process(|(word, _), _| {
            word.store(1, Ordering::SeqCst);
            futex_wake(word, 1);
        })
        .at_end(move |(_, end), outcome| {
            found.borrow_mut().insert(end.get());
            outcome.nobody_blocked()
        })
        .run();
    report.assert_holds();
    let all = [Woken::ByWaker, Woken::ValueDiffered, Woken::TimedOut].map(|woken| woken as u8 + 1);
    assert_eq!(*ends.borrow(), BTreeSet::from(all));
}

#[test]
fn spinning_ends_when_memory_changes_and_is_blocked_when_it_does_not() {
    let spinning = |sets: u64| {
        Model::new("spin")
            .memory(AtomicU64::zeroed)
            .process(|flag, _| {
                while flag.load(Ordering::Acquire) == 0 {
                    hint::spin_loop();
                }
            })
            .process(move |flag, _| {
                flag.store(sets, Ordering::Release);
                thread::yield_now();
            })
            .tso(true)
            .at_end(|_, outcome| outcome.nobody_blocked())
            .run()
    };
    spinning(1).assert_holds();
    spinning(0).assert_violated("P0 blocked in spin");
}

#[test]
fn own_writes_do_not_let_a_process_spin_on() {
    let report = Model::new("busy waiter")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| {
            while words[0].load(RELAXED) == 0 {
                words[1].fetch_add(1, RELAXED);
                hint::spin_loop();
            }
        })
        .max_states(1000)
        .at_end(|_, outcome| outcome.nobody_blocked())
        .run();
    report.assert_violated("P0 blocked in spin");
}

#[test]
fn what_a_process_may_still_spin_tells_states_apart() {
    let fates = Rc::new(RefCell::new(BTreeSet::new()));
    let found = fates.clone();
    let report = Model::new("patience")
        .memory(AtomicU64::zeroed)
        .process(|_, _| {
            hint::spin_loop();
            hint::spin_loop();
        })
        .process(|word, _| {
            if choose(2) == 1 {
                word.store(1, RELAXED);
                word.store(0, RELAXED);
            }
        })
        .at_end(move |_, outcome| {
            found.borrow_mut().insert(outcome.finished(0));
            Ok(())
        })
        .run();
    report.assert_holds();
    assert_eq!(*fates.borrow(), BTreeSet::from([false, true]));
}

#[test]
fn a_bounded_spin_runs_out_when_patience_allows_it() {
    let bounded = |patience: u32| {
        Model::new("bounded spin")
            .memory(AtomicU64::zeroed)
            .process(|flag, _| {
                for _ in 0..3 {
                    if flag.load(RELAXED) == 1 {
                        return;
                    }
                    hint::spin_loop();
                }
            })
            .spin_patience(patience)
            .at_end(|_, outcome| outcome.nobody_blocked())
            .run()
    };
    bounded(3).assert_holds();
    bounded(2).assert_violated("P0 blocked in spin");
}

#[test]
fn a_poller_of_a_death_goes_on_when_it_happens() {
    let report = Model::new("poll death")
        .memory(AtomicU64::zeroed)
        .process(|word, _| word.store(0, RELAXED))
        .process(|_, _| {
            while !is_dead(0) {
                hint::spin_loop();
            }
        })
        .may_die([0])
        .tso(true)
        .at_end(|_, outcome| if outcome.dead(0) { outcome.nobody_blocked() } else { Ok(()) })
        .run();
    report.assert_holds();
}

#[test]
fn conditions_wait_for_memory_ghosts_and_deaths() {
    let report = Model::new("conditions")
        .memory(|| (AtomicU64::zeroed(), Ghost::new(0_u32)))
        .process(|(word, _), _| word.store(1, RELAXED))
        .process(|(word, done), _| {
            wait_until("the word is set", || word.load(RELAXED) == 1);
            done.update(|done| *done += 1);
            word.load(RELAXED);
        })
        .process(|(word, done), _| {
            wait_until("P1 is done, or P0 dead", || done.get() == 1 || is_dead(0));
            assert!(word.load(RELAXED) == 1 || is_dead(0));
        })
        .may_die([0])
        .tso(true)
        .at_end(|_, outcome| match &outcome.fates[1] {
            Fate::Blocked(_) if outcome.dead(0) => Ok(()),
            _ => outcome.nobody_blocked(),
        })
        .run();
    report.assert_holds();
}

#[test]
fn waiting_for_what_never_comes_is_reported_with_its_label() {
    let report = Model::new("deadlock")
        .memory(AtomicU64::zeroed)
        .process(|word, _| wait_until("two", || word.load(RELAXED) == 2))
        .process(|word, _| word.store(1, RELAXED))
        .at_end(|_, outcome| outcome.nobody_blocked())
        .run();
    report.assert_violated("P0 blocked in wait_until \"two\", P1 finished");
}

#[test]
fn who_waits_for_ever_is_blocked_though_it_may_die() {
    let report = Model::new("mortal waiter")
        .memory(AtomicU64::zeroed)
        .process(|word, _| wait_until("one", || word.load(RELAXED) == 1))
        .may_die([0])
        .at_end(|_, outcome| outcome.nobody_blocked())
        .run();
    report.assert_violated("P0 blocked in wait_until");
}

#[test]
fn every_choice_is_tried() {
    let chosen = Rc::new(RefCell::new(BTreeSet::new()));
    let found = chosen.clone();
    let report = Model::new("choices")
        .memory(AtomicU32::zeroed)
        .process(|word, _| word.store(10 * choose(3) + choose(2), RELAXED))
        .at_end(move |word, _| {
            found.borrow_mut().insert(word.load(RELAXED));
            Ok(())
        })
        .run();
    report.assert_holds();
    assert_eq!(*chosen.borrow(), BTreeSet::from([0, 1, 10, 11, 20, 21]));
}

#[test]
fn states_that_differ_in_a_ghost_alone_are_two() {
    let program = |order: &Ghost<Vec<usize>>, cx: &Context| {
        let _ = choose(1);
        order.update(|order| order.push(cx.process()));
    };
    let orders = Rc::new(RefCell::new(BTreeSet::new()));
    let found = orders.clone();
    let model = Model::new("ghosts").memory(|| Ghost::new(Vec::new()));
    let model = model.process(program).process(program).process(program).at_end(move |order, _| {
        found.borrow_mut().insert(order.get());
        Ok(())
    });
    model.run().assert_holds();
    assert_eq!(orders.borrow().len(), 6);
}

#[test]
fn a_ghost_returns_to_a_rebuilt_process_what_it_returned_at_first() {
    let program = |(word, tickets): &(AtomicU64, Ghost<u64>), _: &Context| {
        word.fetch_add(1, RELAXED);
        let ticket = tickets.update(|tickets| {
            *tickets += 1;
            *tickets
        });
        word.load(RELAXED);
        let again = explore::ghost(|| ticket);
        assert_eq!(ticket, again);
        word.fetch_add(ticket, RELAXED);
    };
    let model = Model::new("tickets").memory(|| (AtomicU64::zeroed(), Ghost::new(0)));
    let model = model.process(program).process(program).process(program);
    let report = model
        .at_end(|(word, _), _| match word.load(RELAXED) {
            9 => Ok(()),
            other => Err(format!("three increments and tickets 1, 2, 3 gave {other}")),
        })
        .run();
    report.assert_holds();
}

#[test]
fn a_checkpoint_makes_an_endless_loop_finite() {
    let blinking = |checkpoint: bool| {
        Model::new("blinker")
            .memory(AtomicU64::zeroed)
            .process(move |word, _| {
                loop {
                    let value = word.load(RELAXED);
                    word.store(1 - value, RELAXED);
                    if checkpoint {
                        explore::checkpoint(1);
                    }
                }
            })
            .process(|word, _| {
                word.load(RELAXED);
            })
            .max_states(1000)
            .run()
    };
    let finite = blinking(true);
    finite.assert_holds();
    assert!(finite.states < 20, "{finite}");
    let endless = blinking(false);
    assert!(!endless.complete && endless.violation.is_none() && endless.error.is_none(), "{endless}");
    assert!(endless.to_string().contains("bounded at 1000 states"), "{endless}");
}

#[test]
fn a_checkpoint_that_stands_for_two_local_states_is_an_error() {
    let report = Model::new("false summary")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| {
            let choice = choose(2);
            explore::checkpoint(5);
            words[choice as usize].store(1, RELAXED);
        })
        .run();
    assert!(report.error.as_ref().is_some_and(|error| error.contains("checkpoint(0x5)")), "{report}");
    assert!(report.to_string().contains("MEANS NOTHING"), "{report}");
}

#[test]
fn a_process_that_does_not_repeat_itself_is_an_error() {
    let runs = Rc::new(Cell::new(0_u64));
    let report = Model::new("divergence")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(move |words, _| {
            runs.set(runs.get() + 1);
            words[0].load(RELAXED);
            words[1].store(runs.get(), RELAXED);
        })
        .process(|words, _| words[1].store(1, RELAXED))
        .run();
    assert!(
        report.error.as_ref().is_some_and(|error| error.contains("P0 did not repeat itself")),
        "{report}"
    );
    assert!(!report.holds() && report.violation.is_none());
}

#[test]
fn a_panic_is_a_violation_with_the_steps_that_led_to_it() {
    let report = Model::new("panic")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| words[1].store(1, RELAXED))
        .process(|words, _| assert_eq!(words[1].load(RELAXED), 0, "saw it"))
        .regions(|words, regions| {
            regions.add(&words[1], "flag").add(&words[0], "rest");
        })
        .run();
    report.assert_violated("saw it");
    let text = report.to_string();
    assert!(text.contains("VIOLATION: P1 panicked"), "{text}");
    assert!(text.contains("1  P0: store flag = 0x1"), "{text}");
    assert!(text.contains("2  P1: load flag -> 0x1"), "{text}");
}

#[test]
fn an_invariant_is_checked_in_every_state() {
    let report = Model::new("invariant")
        .memory(AtomicU64::zeroed)
        .process(|word, _| {
            word.store(1, RELAXED);
            word.store(0, RELAXED);
        })
        .invariant(|word| if word.load(RELAXED) == 1 { Err("one in between".into()) } else { Ok(()) })
        .run();
    report.assert_violated("one in between");
}

#[test]
fn rules_may_change_memory_without_effect_on_the_model() {
    let report = Model::new("rules write")
        .memory(<[AtomicU64; 2]>::zeroed)
        .process(|words, _| words[0].store(1, RELAXED))
        .process(|words, _| wait_until("nobody wrote", || words[1].load(RELAXED) == 0))
        .invariant(|words| {
            let local = AtomicU64::new(words[0].load(RELAXED));
            local.fetch_add(1, RELAXED);
            words[0].fetch_add(5, RELAXED);
            words[1].fetch_add(1, RELAXED);
            let sums_up = local.load(RELAXED) + 4 == words[0].load(RELAXED);
            if sums_up && words[1].load(RELAXED) == 1 {
                Ok(())
            } else {
                Err("saw another rule's write".into())
            }
        })
        .at_end(|_, outcome| outcome.nobody_blocked())
        .run();
    report.assert_holds();
}

#[test]
fn atomics_on_the_stack_of_a_process_are_its_own() {
    let two_adders = |with_one_of_its_own: bool| {
        let program = move |word: &AtomicU64, cx: &Context| {
            let mine = AtomicU64::new(cx.process() as u64);
            let former = word.fetch_add(1, RELAXED);
            if with_one_of_its_own {
                mine.fetch_add(former, RELAXED);
                assert_eq!(mine.load(RELAXED), former + cx.process() as u64);
            }
            word.load(RELAXED);
        };
        Model::new("stack").memory(AtomicU64::zeroed).process(program).process(program).run()
    };
    let (with, without) = (two_adders(true), two_adders(false));
    with.assert_holds();
    assert_eq!((with.states, with.steps), (without.states, without.steps), "{with}; {without}");
}

#[test]
fn atomics_on_the_heap_are_private_when_the_model_says_so() {
    let shared = Box::new(AtomicU64::zeroed());
    let report = Model::new("heap")
        .memory(move || shared)
        .process(|word, _| {
            let mine = Box::new(AtomicU64::zeroed());
            mine.fetch_add(1, RELAXED);
            word.fetch_add(mine.load(RELAXED), RELAXED);
        })
        .process(|word, _| {
            word.fetch_add(1, RELAXED);
        })
        .regions(|word, regions| {
            regions.add(&**word, "word");
        })
        .private_elsewhere()
        .at_end(|word, _| if word.load(RELAXED) == 2 { Ok(()) } else { Err("lost".into()) })
        .run();
    report.assert_holds();
    assert_eq!(report.states, 4, "{report}");
}

#[test]
fn five_processes_with_store_buffers_and_deaths_are_explored_to_the_end() {
    let program = |words: &[AtomicU64; 5], cx: &Context| {
        let me = cx.process();
        words[me].store(1, RELAXED);
        let next = words[(me + 1) % 5].load(RELAXED);
        words[me].fetch_add(next + 1, RELAXED);
    };
    let mut model = Model::new("five in a ring").memory(<[AtomicU64; 5]>::zeroed);
    for _ in 0..5 {
        model = model.process(program);
    }
    let report = model.may_die([0, 1]).tso(true).run();
    report.assert_holds();
    assert!(report.states > 100_000, "{report}");
}

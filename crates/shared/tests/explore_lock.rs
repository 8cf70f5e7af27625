//! Locks in every interleaving, with deaths, stops and store buffers.
#![cfg(weyr_face = "explore")]
#![forbid(unsafe_code)]

mod modelled;

use modelled::{Case, Modelled, Small, explore, walk};
use weyr_shared::fault::Fault;
use weyr_shared::lock::GreedyLock;

fn holds<L: Modelled>(case: Case) {
    explore::<L>(case).assert_holds();
}

fn is_found<L: Modelled>(faults: &'static [Fault], case: Case) {
    explore::<L>(Case { faults, ..case }).assert_violated("");
}

macro_rules! name {
    ($kind:ident, $what:literal) => {
        concat!(stringify!($kind), ", ", $what)
    };
}

/// One line a kind.
macro_rules! of_each_kind {
    ($($kind:ident: $lock:ty, whole: $whole:literal;)*) => {$(
        mod $kind {
            use super::*;

            const PLAIN: Case = Case::PLAIN;
            const THREE: &[u32] = &[1, 1, 1];

            /// Three users of a queue are many states.
            fn of_three(case: Case) {
                let case = Case { rounds: THREE, ..case };
                if $whole { holds::<$lock>(case) } else { walk::<$lock>(case) }
            }

            #[test]
            fn one_at_a_time_and_nobody_sleeps_for_ever() {
                holds::<$lock>(Case { name: name!($kind, "2 users, 2 and 1 times"), rounds: &[2, 1], ..PLAIN });
                of_three(Case { name: name!($kind, "3 users"), ..PLAIN });
            }

            #[test]
            fn a_death_is_told_of_and_in_nobodys_way() {
                let case = Case { deaths: 1, slices: true, ..PLAIN };
                holds::<$lock>(Case { name: name!($kind, "2 users, 2 and 1 times, a death"), rounds: &[2, 1], ..case });
                of_three(Case { name: name!($kind, "3 users, a death"), tso: false, ..case });
                let case = Case { deaths: 2, tso: false, ..case };
                of_three(Case { name: name!($kind, "3 users, 2 deaths"), ..case });
            }

            #[test]
            fn a_death_costs_no_wake_but_those_that_the_dead_owed() {
                let case = Case { deaths: 1, rounds: THREE, tso: false, ..PLAIN };
                of_three(Case { name: name!($kind, "3 users, a death, no slices"), ..case });
            }

            #[test]
            fn one_that_is_stopped_is_waited_for_as_the_owner_alone() {
                let case = Case { stops: 1, slices: true, patience: 1, tso: false, ..PLAIN };
                holds::<$lock>(Case { name: name!($kind, "2 users, 2 and 1 times, a stop"), rounds: &[2, 1], ..case });
                of_three(Case { name: name!($kind, "3 users, a stop"), ..case });
            }

            #[test]
            fn who_is_passed_though_it_moves_waits_on() {
                let case = Case { slices: true, patience: 1, tso: false, ..PLAIN };
                of_three(Case { name: name!($kind, "3 users, slow"), ..case });
            }

            #[test]
            fn who_gives_up_leaves_nothing_behind() {
                let case = Case { deadline: true, ..PLAIN };
                holds::<$lock>(Case { name: name!($kind, "2 users, a deadline"), rounds: &[2, 1], ..case });
                of_three(Case { name: name!($kind, "3 users, a deadline"), ..case });
                let case = Case { deaths: 1, slices: true, tso: false, ..case };
                of_three(Case { name: name!($kind, "3 users, a deadline, a death"), ..case });
            }
        }
    )*};
}

of_each_kind! {
    greedy: GreedyLock, whole: true;
    fifo: Small<3>, whole: false;
    fifo_crowded: Small<1>, whole: false;
}

/// What each step is there for: without it, something is found.
#[test]
fn a_step_left_out_is_found() {
    const PLAIN: Case = Case::PLAIN;
    const THREE: Case = Case { rounds: &[1, 1, 1], ..PLAIN };
    let unannounced = Case { name: "fifo, waits unannounced", ..PLAIN };
    is_found::<Small<2>>(&[Fault::WaitsUnannounced], unannounced);
    let once = Case { name: "fifo, release looks once", ..THREE };
    is_found::<Small<2>>(&[Fault::ReleaseLooksOnce], once);
    let deadline = Case { deadline: true, ..THREE };
    const BOTH: &[Fault] = &[Fault::LeavesWithoutLook, Fault::HandsOverBlindly];
    is_found::<Small<2>>(BOTH, Case { name: "fifo, nobody looks who leaves or hands over", ..deadline });
    let forgets = Case { name: "greedy, who was woken does not arm again for the others", ..THREE };
    is_found::<GreedyLock>(&[Fault::WokenForgetsOthers], forgets);
}

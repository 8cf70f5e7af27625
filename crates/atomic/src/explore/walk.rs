//! Schedules that a seed draws, for models whose states are too many to be seen.
//!
//! Each is taken from the start until nobody can go on. Of the ways on one is drawn; deaths and stops seldom, for else
//! all who may die would be dead within a few steps.
//!
//! Source of the numbers: Steele, Lea, Flood, *Fast splittable pseudorandom number generators* (SplitMix64).
//!
//! What it does *not* do: it looks for no schedule in particular, and one that is rare it will not find.

use super::crew::Crew;
use super::local::Locals;
use super::machine;
use super::search::{Frame, Search, Stop, oracle};
use super::step::Step;

/// One way on in so many is a death or stop, where one is possible.
const DISTURBANCE: u64 = 64;
/// Steps after which a schedule is left unfinished.
const LONGEST: usize = 20_000;

/// How many schedules, drawn by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walks {
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn draw(&mut self, steps: &[Step]) -> Step {
        let (going_on, disturbing): (Vec<Step>, Vec<Step>) =
            steps.iter().partition(|step| step.is_progress());
        let disturb = !disturbing.is_empty() && self.below(DISTURBANCE) == 0;
        let from = if disturb { disturbing } else { going_on };
        from[self.below(from.len() as u64) as usize]
    }
}

impl Search {
    /// Takes the schedules. Fails at the first that breaks a rule, whose steps are then the path.
    pub(super) fn walk(&mut self, walks: Walks) -> Result<(), Stop> {
        let memory = machine::with(|machine| machine.state.clone());
        let mut random = Random(walks.seed);
        for _ in 0..walks.count {
            machine::with(|machine| {
                machine.state.clone_from(&memory);
                machine.state.grow(&machine.cells);
            });
            // What was learnt of the processes in one schedule hardly serves another, and would fill the memory.
            self.frames.clear();
            (self.locals, self.crew) = (Locals::default(), Crew::default());
            self.start()?;
            self.schedules += usize::from(self.walk_to_the_end(&mut random)?);
        }
        Ok(())
    }

    /// Whether it came to an end: processes that wait for each other in slices may go round for ever.
    fn walk_to_the_end(&mut self, random: &mut Random) -> Result<bool, Stop> {
        for _ in 0..LONGEST {
            let key = machine::with(|machine| machine.state.fingerprint(&machine.cells, &self.locals)).key();
            self.seen.insert(key);
            let state = machine::with(|machine| machine.state.clone());
            if let Some(invariant) = &self.rules.invariant {
                oracle(invariant)?;
            }
            let steps = self.steps_from(&state)?;
            if !steps.iter().any(|step| step.is_progress()) {
                return self.check_end(&state).map(|()| true);
            }
            let step = random.draw(&steps);
            self.frames.push(Frame { state, steps: Vec::new(), taken: Some((step, 0)) });
            self.steps_taken += 1;
            self.take(step)?;
        }
        Ok(false)
    }
}

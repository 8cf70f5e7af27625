//! The way of an operation through its instructions, and the points on it.

use std::collections::HashSet;

use crate::{Mode, Moment, Place, Point, Points};

/// What the first pass saw: how long the operation is, and its writes.
#[derive(Default)]
pub(crate) struct Path {
    pub(crate) steps: u64,
    pub(crate) writes: Vec<Write>,
}

/// A step that changed the segment.
pub(crate) struct Write {
    /// Steps made when the bytes had changed.
    pub(crate) step: u64,
    /// The instruction that changed them.
    pub(crate) address: u64,
}

impl Path {
    /// The instructions that changed the segment.
    pub(crate) fn writers(&self) -> HashSet<u64> {
        self.writes.iter().map(|write| write.address).collect()
    }

    /// The points of one kind, ascending.
    pub(crate) fn points(&self, points: Points, mode: Mode) -> Vec<Point> {
        let moment = match mode {
            Mode::Kill | Mode::KillUnreaped => Moment::Died,
            Mode::StopThenKill | Mode::StopThenContinue => Moment::Stopped,
        };
        let first = (Place::BeforeFirst, 0);
        let last = (Place::AfterLast, self.steps);
        let places = [first].into_iter().chain(self.between(points)).chain([last]);
        let numbered = places.enumerate();
        numbered
            .map(|(index, (place, step))| Point {
                index,
                place,
                step,
                moment,
                written_by: self
                    .writes
                    .iter()
                    .rev()
                    .find(|write| write.step <= step)
                    .map(|write| write.address),
            })
            .collect()
    }

    /// The places between the first and the last, each with its step.
    fn between(&self, points: Points) -> Vec<(Place, u64)> {
        let starts = || [0].into_iter().chain(self.writes.iter().map(|write| write.step));
        let ends = self.writes.iter().map(|write| write.step).chain([self.steps]);
        let quiet = starts().zip(ends).enumerate();
        let after = starts().enumerate().skip(1);
        let after = after.map(|(write, step)| (Place::Behind { write, steps: 0 }, step));
        let before = self.writes.iter().zip(1..);
        let before = before.map(|(Write { step, .. }, write)| (Place::Before { write }, step - 1));
        match points {
            Points::AfterWrites => after.collect(),
            Points::BeforeWrites => before.collect(),
            Points::AroundWrites => {
                // Where a write follows the other, or is the first instruction, both are one point.
                let apart = before.zip(starts()).filter(|((_, step), former)| step > former);
                let mut around: Vec<_> = apart.map(|(place, _)| place).chain(after).collect();
                around.sort_by_key(|(_, step)| *step);
                around
            }
            Points::Instructions => quiet
                .flat_map(|(write, (start, end))| {
                    (0..end - start).map(move |steps| (Place::Behind { write, steps }, start + steps))
                })
                .skip(1)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(points: Points) -> Vec<(u64, Place)> {
        let write = |step| Write { step, address: 0 };
        let path = Path { steps: 7, writes: vec![write(2), write(3), write(6)] };
        path.points(points, Mode::Kill).into_iter().map(|point| (point.step, point.place)).collect()
    }

    fn behind(write: usize, steps: u64) -> Place {
        Place::Behind { write, steps }
    }

    #[test]
    fn points_lie_after_writes_before_writes_or_everywhere() {
        let (first, last) = ((0, Place::BeforeFirst), (7, Place::AfterLast));
        let after = [first, (2, behind(1, 0)), (3, behind(2, 0)), (6, behind(3, 0)), last];
        assert_eq!(places(Points::AfterWrites), after);
        let right_before = |step, write| (step, Place::Before { write });
        let before = [first, right_before(1, 1), right_before(2, 2), right_before(5, 3), last];
        assert_eq!(places(Points::BeforeWrites), before);
        let around = [first, before[1], after[1], after[2], before[3], after[3], last];
        assert_eq!(places(Points::AroundWrites), around);
        let steps: Vec<u64> = places(Points::Instructions).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}

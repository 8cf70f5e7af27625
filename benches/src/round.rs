//! Running a row: rounds in which every contestant runs once, in an order that rotates.

use std::io::{IsTerminal, Write};

use serde::{Deserialize, Serialize};

use crate::row::{Contestant, Effort, Part, Row, Sweep, Target, Unit};

/// What one contestant did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContestantResult {
    pub(crate) name: String,
    /// A figure a round, in the row's unit; or why there is none.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Figures(Vec<f64>),
    Absent(String),
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowResult {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sweep: Option<Sweep>,
    /// Ours first.
    pub(crate) contestants: Vec<ContestantResult>,
    pub(crate) targets: Vec<Target>,
}

/// Median, smallest and largest of some figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Self { median, least, most })
    }
}

/// Runs all rounds of `row`.
pub(crate) fn run(row: &Row, effort: &Effort) -> RowResult {
    let mut outcomes: Vec<Outcome> = row.contestants.iter().map(first_outcome).collect();
    for round in 0..effort.rounds.min(row.most_rounds) as usize {
        show_progress(row, round);
        for turn in 0..outcomes.len() {
            let index = (round + turn) % outcomes.len();
            run_once(&row.contestants[index], &mut outcomes[index], effort);
        }
    }
    let contestants = row.contestants.iter().zip(outcomes);
    RowResult {
        group: row.group.to_owned(),
        name: row.name.clone(),
        unit: row.unit,
        sweep: row.sweep,
        contestants: contestants
            .map(|(contestant, outcome)| ContestantResult { name: contestant.name.clone(), outcome })
            .collect(),
        targets: row.targets.clone(),
    }
}

fn first_outcome(contestant: &Contestant) -> Outcome {
    match &contestant.part {
        Part::Runs(_) => Outcome::Figures(vec![]),
        Part::Absent(why) => Outcome::Absent(why.clone()),
    }
}

fn run_once(contestant: &Contestant, outcome: &mut Outcome, effort: &Effort) {
    let (Part::Runs(measure), Outcome::Figures(figures)) = (&contestant.part, &mut *outcome) else { return };
    let figure = measure(effort).and_then(|samples| {
        let spread = Spread::of(&samples).ok_or("it gave no samples")?;
        Ok(spread.median)
    });
    match figure {
        Ok(figure) => figures.push(figure),
        Err(error) => *outcome = Outcome::Failed(error.to_string()),
    }
}

fn show_progress(row: &Row, round: usize) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{} (round {})", row.title(), round + 1);
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
    }
}

impl RowResult {
    /// Whether all that took part came to an end.
    pub(crate) fn is_sound(&self) -> bool {
        !self.contestants.iter().any(|contestant| matches!(contestant.outcome, Outcome::Failed(_)))
    }

    pub(crate) fn figures(&self, index: usize) -> Option<&[f64]> {
        match &self.contestants.get(index)?.outcome {
            Outcome::Figures(figures) => Some(figures),
            Outcome::Absent(_) | Outcome::Failed(_) => None,
        }
    }

    /// Ours over the peer's, a round each.
    pub(crate) fn ratios(&self, peer: usize) -> Option<Vec<f64>> {
        let (ours, theirs) = (self.figures(0)?, self.figures(peer)?);
        Some(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// Ours less the peer's, a round each.
    pub(crate) fn differences(&self, peer: usize) -> Option<Vec<f64>> {
        let (ours, theirs) = (self.figures(0)?, self.figures(peer)?);
        Some(ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect())
    }

    pub(crate) fn peer(&self, name: &str) -> Option<usize> {
        self.contestants.iter().position(|contestant| contestant.name == name)
    }

    /// Whether `target` holds; none when that cannot be said.
    pub(crate) fn holds(&self, target: &Target) -> Option<bool> {
        match target {
            Target::Times(times, peer) => Some(Spread::of(&self.ratios(self.peer(peer)?)?)?.median <= *times),
            Target::Faster(times, peer) => {
                Some(Spread::of(&self.ratios(self.peer(peer)?)?)?.median <= 1.0 / times)
            }
            Target::Above(most, peer) => {
                Some(Spread::of(&self.differences(self.peer(peer)?)?)?.median <= *most)
            }
            Target::AtMost(figure) => Some(Spread::of(self.figures(0)?)?.median <= *figure),
            Target::BestPeer { times, share, among } => Some(self.share_within(*times, among)? >= *share),
        }
    }

    /// Part of the rounds in which ours was within `times` of the best of the peers `among` them.
    pub(crate) fn share_within(&self, times: f64, among: &[String]) -> Option<f64> {
        let ours = self.figures(0)?;
        let peers: Vec<&[f64]> = among.iter().filter_map(|name| self.figures(self.peer(name)?)).collect();
        let best =
            |round: usize| peers.iter().filter_map(|figures| figures.get(round)).copied().reduce(f64::min);
        let within = ours
            .iter()
            .enumerate()
            .filter(|(round, ours)| best(*round).is_some_and(|best| **ours <= best * times));
        (!ours.is_empty() && !peers.is_empty()).then(|| within.count() as f64 / ours.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(ours: &[f64], peers: &[&[f64]]) -> RowResult {
        let contestant = |(index, figures): (usize, &[f64])| ContestantResult {
            name: index.to_string(),
            outcome: Outcome::Figures(figures.to_vec()),
        };
        let all = std::iter::once(ours).chain(peers.iter().copied()).enumerate();
        RowResult {
            group: "group".into(),
            name: "name".into(),
            unit: Unit::Nanoseconds,
            sweep: None,
            contestants: all.map(contestant).collect(),
            targets: vec![],
        }
    }

    #[test]
    fn ratios_pair_the_figures_of_a_round() {
        let row = result(&[10.0, 40.0, 90.0], &[&[10.0, 20.0, 30.0]]);
        assert_eq!(row.ratios(1).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(row.holds(&Target::Times(2.0, "1".into())), Some(true));
        assert_eq!(row.holds(&Target::Times(1.9, "1".into())), Some(false));
        assert_eq!(row.holds(&Target::Times(1.9, "nobody".into())), None);
    }

    #[test]
    fn so_many_times_faster_is_the_inverse_ratio() {
        let row = result(&[10.0], &[&[80.0]]);
        assert_eq!(row.holds(&Target::Faster(8.0, "1".into())), Some(true));
        assert_eq!(row.holds(&Target::Faster(8.1, "1".into())), Some(false));
    }

    #[test]
    fn the_best_peer_is_found_anew_in_each_round() {
        let peers: [&[f64]; 3] = [&[5.0, 10.0, 20.0, 20.0], &[20.0, 20.0, 9.5, 9.0], &[1.0; 4]];
        let row = result(&[10.0, 10.0, 10.0, 10.0], &peers);
        assert_eq!(row.share_within(1.1, &["1".into(), "2".into()]), Some(0.5));
        assert_eq!(row.share_within(1.1, &["nobody".into()]), None);
    }

    #[test]
    fn above_a_peer_is_the_median_difference() {
        let row = result(&[110.0, 90.0, 300.0], &[&[10.0, 10.0, 10.0]]);
        assert_eq!(row.holds(&Target::Above(100.0, "1".into())), Some(true));
        assert_eq!(row.holds(&Target::Above(99.0, "1".into())), Some(false));
    }

    #[test]
    fn a_contestant_that_fails_leaves_the_others_and_makes_the_row_unsound() {
        let row = Row::new("group", "name")
            .with("ours", |_| Ok(vec![3.0, 1.0, 2.0]))
            .with("broken", |_| Err("it broke".into()))
            .with_if("absent", Err("not installed".into()), |_| Ok(vec![1.0]));
        let done = run(&row, &Effort { rounds: 2, divisor: 1 });
        assert_eq!(done.figures(0).unwrap(), [2.0, 2.0]);
        assert!(!done.is_sound());
        assert!(done.ratios(1).is_none() && done.ratios(2).is_none());
    }
}

//! What the plots of a run show: time and throughput over the size of a message. Data; [`svg`](crate::svg) draws it.

use crate::round::{Outcome, RowResult, Spread};
use crate::row::Direction;
use crate::run::Run;
use crate::{amount, svg};

/// A plot with two logarithmic axes.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Ends the name of its file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    /// How a power of ten of the vertical axis is called.
    pub(crate) y_name: fn(f64) -> String,
    /// Sizes that were measured, in bytes: the ticks of the horizontal axis.
    pub(crate) sizes: Vec<u64>,
    /// Ours first.
    pub(crate) series: Vec<Series>,
    /// Sentences below it.
    pub(crate) notes: Vec<String>,
}

/// What one contestant did, as bytes and a figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Contestants of one family have one colour.
    pub(crate) family: usize,
    /// Whether it is the variant of a family that copies nothing.
    pub(crate) variant: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The plots of `run`, each with its file name's end; none of series that it has not run.
pub(crate) fn drawn(run: &Run) -> Vec<(String, String)> {
    let plots = [latency(run), throughput(run)].into_iter().flatten();
    plots.map(|plot| (format!("{}.svg", plot.name), svg::draw(&plot))).collect()
}

fn latency(run: &Run) -> Option<Plot> {
    plotted(run, Direction::RoundTrip, |_, nanoseconds| nanoseconds).map(|plot| Plot {
        name: "latency",
        title: "Round trip of a message between two processes",
        y_title: "time of a round trip (less is better)",
        y_name: time,
        ..plot
    })
}

fn throughput(run: &Run) -> Option<Plot> {
    plotted(run, Direction::OneWay, |bytes, nanoseconds| bytes / nanoseconds * 1e9).map(|plot| Plot {
        name: "throughput",
        title: "Messages one way, as fast as the receiver takes them",
        y_title: "payload a second (more is better)",
        y_name: rate,
        ..plot
    })
}

/// The median figures of one direction, made of bytes and nanoseconds by `figure`.
fn plotted(run: &Run, direction: Direction, figure: impl Fn(f64, f64) -> f64) -> Option<Plot> {
    let mut rows: Vec<(u64, &RowResult)> = run
        .rows
        .iter()
        .filter_map(|row| Some((row.sweep.filter(|sweep| sweep.direction == direction)?.bytes, row)))
        .collect();
    rows.sort_by_key(|(bytes, _)| *bytes);
    let (_, first) = rows.first()?;
    let names: Vec<&str> = first.contestants.iter().map(|contestant| &*contestant.name).collect();
    let series = names.iter().map(|name| Series {
        name: (*name).to_owned(),
        family: family(name, &names),
        variant: name.contains(", "),
        points: points(name, &rows, &figure),
    });
    Some(Plot {
        name: "",
        title: "",
        x_title: "size of the message",
        y_title: "",
        y_name: time,
        sizes: rows.iter().map(|(bytes, _)| *bytes).collect(),
        series: series.filter(|series| !series.points.is_empty()).collect(),
        notes: notes(run, &rows),
    })
}

fn points(name: &str, rows: &[(u64, &RowResult)], figure: impl Fn(f64, f64) -> f64) -> Vec<(f64, f64)> {
    let point = |(bytes, row): &(u64, &RowResult)| {
        let median = Spread::of(row.figures(row.peer(name)?)?)?.median;
        let (x, y) = (*bytes as f64, figure(*bytes as f64, median));
        // A logarithmic axis has no place for anything else.
        (y.is_finite() && y > 0.0).then_some((x, y))
    };
    rows.iter().filter_map(point).collect()
}

/// Which of the different names before a comma this one's is.
fn family(name: &str, names: &[&str]) -> usize {
    let stem = |name: &str| name.split(", ").next().unwrap_or_default().to_owned();
    let mut stems: Vec<String> = Vec::new();
    for other in names.iter().map(|name| stem(name)) {
        if !stems.contains(&other) {
            stems.push(other);
        }
    }
    stems.iter().position(|other| *other == stem(name)).unwrap_or_default()
}

fn notes(run: &Run, rows: &[(u64, &RowResult)]) -> Vec<String> {
    let machine = &run.machine;
    let mut notes = vec![
        format!("Medians of {} rounds, {}, weyr {}.", run.rounds, machine.date, machine.weyr),
        format!("{}, {}. Dashed: the payload is not copied.", machine.processor, machine.kernel),
    ];
    let contestants = rows.iter().flat_map(|(_, row)| &row.contestants);
    let mut missing: Vec<String> = contestants
        .filter_map(|contestant| match &contestant.outcome {
            Outcome::Figures(_) => None,
            Outcome::Absent(why) => Some(format!("{} ({why})", contestant.name)),
            Outcome::Failed(_) => Some(format!("{} (failed)", contestant.name)),
        })
        .collect();
    missing.dedup();
    missing.sort();
    missing.dedup();
    if !missing.is_empty() {
        notes.push(format!("Not shown: {}.", missing.join(", ")));
    }
    notes
}

/// A power of ten of nanoseconds.
fn time(nanoseconds: f64) -> String {
    scaled(nanoseconds, ["ns", "µs", "ms", "s"])
}

/// A power of ten of bytes a second.
fn rate(bytes: f64) -> String {
    scaled(bytes, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s"])
}

fn scaled<const N: usize>(figure: f64, units: [&str; N]) -> String {
    // Powers of ten are not exact below one.
    let step = ((figure.log10() + 1e-9) / 3.0).floor().clamp(0.0, (N - 1) as f64);
    format!("{} {}", figure / 1000f64.powf(step), units[step as usize])
}

/// A tick of the horizontal axis.
pub(crate) fn size(bytes: u64) -> String {
    amount::size(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn time_and_throughput_are_plotted_from_data() {
        let plot = throughput(&sample::run()).unwrap();
        assert_eq!(plot.sizes, [8, 4096, 1 << 20]);
        let pipe = plot.series.iter().find(|series| series.name == "pipe").unwrap();
        // 8 bytes in the median of 3803.6 and 1.1 times as many nanoseconds.
        assert!((pipe.points[0].1 - 8e9 / (3803.6 * 1.05)).abs() < 1.0, "{:?}", pipe.points);
        assert_eq!(latency(&sample::run()).unwrap().series[0].points.len(), 3);
    }

    #[test]
    fn a_family_has_one_colour() {
        let plot = latency(&sample::run()).unwrap();
        let of = |name: &str| plot.series.iter().find(|series| series.name == name).unwrap();
        assert_eq!(
            (of("weyr").family, of("weyr, by ownership").family, of("iceoryx2, loaned").family),
            (0, 0, 2)
        );
        assert!(of("iceoryx2, loaned").variant && !of("iceoryx2").variant);
    }

    #[test]
    fn who_did_not_run_is_named() {
        let plot = latency(&sample::run()).unwrap();
        assert!(plot.series.iter().all(|series| series.name != "gone"));
        assert_eq!(plot.notes.last().unwrap(), "Not shown: gone (not installed).");
    }

    #[test]
    fn a_run_without_series_has_no_plots() {
        let mut run = sample::run();
        run.rows.truncate(1);
        assert_eq!(drawn(&run), []);
    }

    #[test]
    fn powers_of_ten_have_the_unit_that_fits() {
        assert_eq!(
            [1.0, 100.0, 1e3, 1e4, 1e6, 1e9].map(time),
            ["1 ns", "100 ns", "1 µs", "10 µs", "1 ms", "1 s"]
        );
        assert_eq!([1e5, 1e9, 1e13].map(rate), ["100 kB/s", "1 GB/s", "10 TB/s"]);
    }
}

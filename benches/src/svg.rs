//! Drawing a plot: one SVG file without scripts, fonts or links, light or dark as its reader's desktop is.

use std::fmt::Write;

use crate::plot::{self, Plot, Series};

const WIDTH: f64 = 920.0;
const TOP: f64 = 80.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 706.0;
const BOTTOM: f64 = 460.0;
/// Where names of series begin, and how far apart they are at least.
const NAMES: f64 = 738.0;
const NAME_HEIGHT: f64 = 20.0;
const NOTE_HEIGHT: f64 = 18.0;

/// Colours of families on white, then on black: text and lines have a contrast of 4.5 or more on both.
const LIGHT: [&str; 6] = ["#0b62c4", "#a34f00", "#0a7352", "#99317a", "#5f6875", "#b3261e"];
const DARK: [&str; 6] = ["#63b0ff", "#ffb057", "#45cfa2", "#f191d3", "#a9b3c0", "#ff8f85"];

/// Where figures lie on the page.
struct Scales {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scales {
    fn of(plot: &Plot) -> Self {
        let ys = || plot.series.iter().flat_map(|series| &series.points).map(|point| point.1.log10());
        let (least, most) = (ys().reduce(f64::min), ys().reduce(f64::max));
        let (floor, ceiling) = (least.unwrap_or(0.0).floor(), most.unwrap_or(1.0).ceil());
        let (first, last) = (plot.sizes.first().copied(), plot.sizes.last().copied());
        let log = |bytes: Option<u64>| (bytes.unwrap_or(1) as f64).log2();
        Self { x: (log(first), log(last)), y: (floor, ceiling.max(floor + 1.0)) }
    }

    fn x(&self, bytes: f64) -> f64 {
        let span = (self.x.1 - self.x.0).max(1.0);
        LEFT + 14.0 + (bytes.log2() - self.x.0) / span * (RIGHT - LEFT - 28.0)
    }

    fn y(&self, figure: f64) -> f64 {
        BOTTOM - (figure.log10() - self.y.0) / (self.y.1 - self.y.0) * (BOTTOM - TOP)
    }

    /// Powers of ten from bottom to top.
    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.y.0 as i32..=self.y.1 as i32).map(|power| 10f64.powi(power))
    }
}

/// The whole file.
pub(crate) fn draw(plot: &Plot) -> String {
    let (mut out, scales) = (String::new(), Scales::of(plot));
    let height = BOTTOM + 78.0 + NOTE_HEIGHT * plot.notes.len() as f64;
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"14\">"
    );
    let _ = writeln!(out, "<title>{}</title>\n{}", escaped(plot.title), style());
    let _ = writeln!(out, "<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>");
    text(&mut out, "title", 24.0, 34.0, "start", plot.title);
    axes(&mut out, plot, &scales);
    // Ours is drawn last, over the others.
    plot.series.iter().rev().for_each(|series| line(&mut out, series, &scales));
    names(&mut out, plot, &scales);
    for (index, note) in plot.notes.iter().enumerate() {
        text(&mut out, "note", 24.0, BOTTOM + 84.0 + NOTE_HEIGHT * index as f64, "start", note);
    }
    out.push_str("</svg>\n");
    out
}

fn style() -> String {
    let colours = |colours: [&str; 6], [page, ink, faint, grid]: [&str; 4]| {
        let mut rules = format!(
            ".page,.open{{fill:{page}}} text{{fill:{ink}}} .note,.tick{{fill:{faint}}} .grid{{stroke:{grid}}} \
             .axis{{stroke:{faint}}}"
        );
        for (family, colour) in colours.iter().enumerate() {
            let _ = write!(rules, " .line.c{family},.open.c{family},.lead.c{family}{{stroke:{colour}}}");
            let _ = write!(rules, " .full.c{family},.name.c{family}{{fill:{colour}}}");
        }
        rules
    };
    format!(
        "<style>\n.title{{font-size:18px;font-weight:600}} .note,.tick{{font-size:13px}} .ours{{font-weight:700}}\n\
         .line{{fill:none;stroke-width:2;stroke-linejoin:round}} .line.thick{{stroke-width:3.2}} \
         .dashed{{stroke-dasharray:7 5}} .open{{stroke-width:2}} .lead{{fill:none;stroke-width:1;opacity:.55}} \
         .grid,.axis{{stroke-width:1}}\n{}\n@media (prefers-color-scheme: dark) {{\n{}\n}}\n</style>",
        colours(LIGHT, ["#ffffff", "#1f2328", "#59636e", "#dfe4e9"]),
        colours(DARK, ["#0d1117", "#e6edf3", "#9da7b3", "#2b323b"])
    )
}

fn axes(out: &mut String, plot: &Plot, scales: &Scales) {
    for figure in scales.powers() {
        let y = scales.y(figure);
        segment(out, "grid", (LEFT, y), (RIGHT, y));
        text(out, "tick", LEFT - 10.0, y + 4.5, "end", &(plot.y_name)(figure));
    }
    for bytes in &plot.sizes {
        let x = scales.x(*bytes as f64);
        segment(out, "axis", (x, BOTTOM), (x, BOTTOM + 6.0));
        text(out, "tick", x, BOTTOM + 24.0, "middle", &plot::size(*bytes));
    }
    segment(out, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    text(out, "axis-title", (LEFT + RIGHT) / 2.0, BOTTOM + 50.0, "middle", plot.x_title);
    text(out, "note", 24.0, TOP - 22.0, "start", plot.y_title);
}

fn line(out: &mut String, series: &Series, scales: &Scales) {
    let family = series.family % LIGHT.len();
    let points: Vec<(f64, f64)> = series.points.iter().map(|(x, y)| (scales.x(*x), scales.y(*y))).collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let thick = if series.family == 0 { " thick" } else { "" };
    let (dashed, dot) = if series.variant { (" dashed", "open") } else { ("", "full") };
    let _ =
        writeln!(out, "<polyline class=\"line c{family}{thick}{dashed}\" points=\"{}\"/>", path.join(" "));
    for (x, y) in points {
        let _ = writeln!(out, "<circle class=\"{dot} c{family}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>");
    }
}

/// The legend: each name at the end of its line, moved as far as it takes for all to be legible.
fn names(out: &mut String, plot: &Plot, scales: &Scales) {
    let mut ends: Vec<(&Series, (f64, f64))> = plot
        .series
        .iter()
        .filter_map(|series| {
            let (x, y) = series.points.last()?;
            Some((series, (scales.x(*x), scales.y(*y))))
        })
        .collect();
    ends.sort_by(|(_, one), (_, other)| one.1.total_cmp(&other.1));
    let places = spread(&ends.iter().map(|(_, end)| end.1).collect::<Vec<_>>());
    for ((series, (x, y)), place) in ends.into_iter().zip(places) {
        let (family, ours) = (series.family % LIGHT.len(), if series.family == 0 { " ours" } else { "" });
        let dashed = if series.variant { " dashed" } else { "" };
        let _ = writeln!(
            out,
            "<path class=\"lead c{family}{dashed}\" d=\"M{:.1} {y:.1}L{:.1} {place:.1}H{:.1}\"/>",
            x + 6.0,
            NAMES - 14.0,
            NAMES - 4.0
        );
        text(out, &format!("name c{family}{ours}"), NAMES, place + 4.5, "start", &series.name);
    }
}

/// Places in the order of the `wanted` ones, near them and apart, between the top and the bottom.
fn spread(wanted: &[f64]) -> Vec<f64> {
    let mut places = wanted.to_vec();
    let mut least = TOP;
    for place in &mut places {
        *place = place.max(least);
        least = *place + NAME_HEIGHT;
    }
    let mut most = BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - NAME_HEIGHT;
    }
    places
}

fn segment(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plot, sample};

    #[test]
    fn every_series_is_drawn_and_named_inside_the_page() {
        let drawn = plot::drawn(&sample::run());
        assert_eq!(
            drawn.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
            ["latency.svg", "throughput.svg"]
        );
        for (_, text) in drawn {
            assert_eq!(text.matches("<polyline").count(), 7);
            assert!(text.contains(">weyr, by ownership</text>") && text.contains(">1 MiB</text>"));
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.matches('<').count(), text.matches('>').count());
        }
    }

    #[test]
    fn names_are_apart_and_inside_however_close_the_lines_end() {
        for wanted in [vec![BOTTOM; 9], vec![TOP; 9], vec![TOP, TOP + 1.0, 200.0, 201.0, BOTTOM]] {
            let places = spread(&wanted);
            assert!(places.windows(2).all(|two| two[1] - two[0] >= NAME_HEIGHT - 1e-9), "{places:?}");
            assert!(places.iter().all(|place| (TOP..=BOTTOM).contains(place)), "{places:?}");
        }
    }

    #[test]
    fn marks_in_names_are_escaped() {
        assert_eq!(escaped("a<b> & c"), "a&lt;b&gt; &amp; c");
    }
}

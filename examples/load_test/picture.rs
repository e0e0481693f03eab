//! The waits of some runs, drawn: over time, and how they are distributed.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::load::{End, Run};
use crate::table::{advice, longest_wait, mean_wait, readable};

/// Of Okabe and Ito, which colour-blind people can tell apart as well.
const COLOURS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(105, 105, 105);
const LINES: RGBColor = RGBColor(225, 225, 225);

// In pixels of a picture that is shown at its own size.
const WIDTH: u32 = 1080;
const HEAD: u32 = 64;
const PANELS: u32 = 400;
const LINE: i32 = 21;
const MARGIN: i32 = 24;
const DOT: u32 = 2;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// An SVG of `runs`, of a load that `load` describes.
pub fn picture(runs: &[Run], load: &str) -> io::Result<String> {
    let mut svg = String::new();
    draw(&mut svg, runs, load).map_err(io::Error::other)?;
    // In a narrow page it becomes smaller.
    Ok(svg.replacen("<svg ", r#"<svg role="img" style="max-width:100%;height:auto" "#, 1))
}

fn draw(svg: &mut String, runs: &[Run], load: &str) -> Drawn {
    let lines = 2 + runs.iter().map(|run| 1 + advice(run).len() as i32).sum::<i32>();
    let height = HEAD + PANELS + (lines * LINE).unsigned_abs();
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(HEAD);
    let (panels, foot) = rest.split_vertically(PANELS);
    let (left, right) = panels.split_horizontally(WIDTH / 2);
    text(&head, "How long calls waited for an agent of the pool", (MARGIN, 14), 22, INK)?;
    text(&head, load, (MARGIN, 42), 14, FAINT)?;
    over_time(&left, runs)?;
    distribution(&right, runs)?;
    legend(&foot, runs)?;
    root.present()
}

/// Marks for all calls, where their waits ended.
fn over_time(area: &Area, runs: &[Run]) -> Drawn {
    let calls = || runs.iter().flat_map(|run| &run.calls);
    let (last, longest) = (end(calls().map(|call| call.at)), end(calls().map(|it| it.waited)));
    let (x, y) = ("when its wait ended, s since the start", "wait, s");
    let mut chart = chart(area, "All calls", (x, last), (y, longest))?;
    for (run, colour) in runs.iter().zip(COLOURS) {
        let (dot, cross) = (colour.mix(0.6).filled(), colour.stroke_width(1));
        for ((_, _, succeeded), (at, calls)) in marks(run, (last, longest)) {
            // So much larger that its area tells how many they are.
            let size = DOT + (f64::from(calls).sqrt() / 2.0) as u32;
            match succeeded {
                true => chart.draw_series([Circle::new(at, size, dot)])?,
                false => chart.draw_series([Cross::new(at, size, cross)])?,
            };
        }
    }
    Ok(())
}

/// Where marks are, and for how many calls each stands: those that would cover each other, some of
/// which succeeded and some did not.
type Marks = BTreeMap<(u32, u32, bool), ((f64, f64), u32)>;

fn marks(run: &Run, (last, longest): (f64, f64)) -> Marks {
    let mut marks = Marks::new();
    for call in &run.calls {
        let (x, y) = (call.at.as_secs_f64(), call.waited.as_secs_f64());
        let succeeded = matches!(call.end, End::Answered(_));
        let mark = marks.entry((place(x, last), place(y, longest), succeeded));
        mark.or_insert(((x, y), 0)).1 += 1;
    }
    marks
}

/// In steps that can hardly be told apart on an axis that ends at `end`.
fn place(value: f64, end: f64) -> u32 {
    (value / end * 200.0) as u32
}

/// For each wait, how many of all calls waited no longer and succeeded. A line that ends below 100 %
/// has lost the others.
fn distribution(area: &Area, runs: &[Run]) -> Drawn {
    let longest = end(runs.iter().flat_map(|run| &run.calls).map(|call| call.waited));
    let (x, y) = ("wait, s", "share of all calls, %");
    let caption = "Succeeded, after a wait of at most";
    let mut chart = chart(area, caption, (x, longest), (y, 104.0))?;
    for (number, (run, colour)) in runs.iter().zip(COLOURS).enumerate() {
        // Where lines run together, the later and thinner ones are seen on top.
        let width = 2 + 2 * (runs.len() - 1 - number) as u32;
        let line = LineSeries::new(steps(run, longest), colour.stroke_width(width));
        chart.draw_series(line)?;
    }
    Ok(())
}

fn steps(run: &Run, to: f64) -> Vec<(f64, f64)> {
    let mut waits: Vec<_> = run.answered().map(|(call, _)| call.waited.as_secs_f64()).collect();
    waits.sort_by(f64::total_cmp);
    let share = |calls: usize| 100.0 * calls as f64 / run.calls.len().max(1) as f64;
    let mut steps = vec![(0.0, 0.0)];
    let mut so_far = 0;
    for together in waits.chunk_by(|one, next| place(*one, to) == place(*next, to)) {
        steps.push((together[0], share(so_far)));
        so_far += together.len();
        steps.push((together[0], share(so_far)));
    }
    steps.push((to, share(so_far)));
    steps
}

/// What the colours mean, and what came of each run.
fn legend(area: &Area, runs: &[Run]) -> Drawn {
    let mut y = 4;
    let marks = "\u{25cf} succeeded, \u{d7} did not, most often because the deadline came first; \
                 the larger, the more calls";
    text(area, marks, (MARGIN + 18, y), 13, FAINT)?;
    for (run, colour) in runs.iter().zip(COLOURS) {
        y += LINE;
        area.draw(&Circle::new((MARGIN + 5, y + 7), 5, colour.filled()))?;
        let (answered, of) = (run.answered().count(), run.calls.len());
        let (cap, took) = (run.cap, readable(run.took));
        let mut line = format!("max_per_host {cap}: {answered} of {of} succeeded, in {took}");
        if let (Some(mean), Some(longest)) = (mean_wait(run), longest_wait(run)) {
            line += &format!("; mean wait {}, longest {}", readable(mean), readable(longest));
        }
        text(area, &line, (MARGIN + 18, y), 15, INK)?;
        for advice in advice(run) {
            y += LINE;
            text(area, &advice, (MARGIN + 18, y), 13, FAINT)?;
        }
    }
    Ok(())
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// An empty one from zero, with the name and the end of each axis.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    caption: &str,
    (x_name, x_end): (&str, f64),
    (y_name, y_end): (&str, f64),
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<io::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(caption, font(16, INK))
        .margin(10)
        .margin_right(MARGIN)
        .x_label_area_size(46)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..x_end, 0.0..y_end)?;
    let (x, y) = (label(x_end), label(y_end));
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x_name).y_desc(y_name).axis_desc_style(font(14, INK)).label_style(font(13, INK));
    mesh.x_labels(7).y_labels(7).x_label_formatter(&x).y_label_formatter(&y);
    mesh.axis_style(FAINT).bold_line_style(LINES).light_line_style(TRANSPARENT).draw()?;
    Ok(chart)
}

/// Where an axis ends: a little beyond the longest of `times`, in seconds.
fn end(times: impl Iterator<Item = Duration>) -> f64 {
    times.max().unwrap_or_default().as_secs_f64().max(0.001) * 1.04
}

/// With as many decimals as the steps of an axis that ends at `end` have.
fn label(end: f64) -> impl Fn(&f64) -> String {
    let decimals = if end >= 10.0 { 0 } else { (1.0 - end.log10().floor()) as usize };
    move |value| format!("{value:.decimals$}")
}

fn text(area: &Area, text: &str, at: (i32, i32), size: i32, colour: RGBColor) -> Drawn {
    area.draw(&Text::new(text.to_owned(), at, font(size, colour)))
}

fn font(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

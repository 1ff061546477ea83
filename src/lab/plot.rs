//! Pictures: lines over axes with units, in colours that survive printing.
//!
//! The colours are Okabe and Ito's, which the colour-blind can tell apart; every line has its own marker besides, so
//! that a grey print can be read too: no two systems share one. A variant of a system has its colour, a thin line and a hollow marker. Laws and
//! limits are dashed. The legend lists the lines in the order in which they end. A picture may have several panels, which
//! share their colours and the legend.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::{Drawable, PathElement, PointCollection};
use plotters::prelude::{Cartesian2d, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend, Text};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, TextStyle, WHITE};
use plotters_backend::{BackendCoord, DrawingErrorKind};

use super::systems::System;

/// Width and height of a picture with one panel, in pixels.
const SIZE: (u32, u32) = (960, 600);
/// Width that each panel beside the first adds, in pixels.
const BESIDE_PX: u32 = 480;
/// Width of the legend, in pixels.
const LEGEND_PX: u32 = 190;
/// A line of more points has a marker on some of them only.
const MARKERS: usize = 24;
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// A line's colour and marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    ink: RGBColor,
    marker: Marker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Dot,
    Square,
    Triangle,
    Diamond,
    Cross,
    Ring,
    Frame,
    Plus,
    /// A triangle on its point, full or hollow.
    Pit,
    Funnel,
}

const PALETTE: [Colour; 9] = [
    Colour { ink: RGBColor(0xd5, 0x5e, 0x00), marker: Marker::Dot },
    Colour { ink: RGBColor(0x00, 0x72, 0xb2), marker: Marker::Square },
    Colour { ink: RGBColor(0x00, 0x9e, 0x73), marker: Marker::Triangle },
    Colour { ink: RGBColor(0xcc, 0x79, 0xa7), marker: Marker::Diamond },
    Colour { ink: RGBColor(0xe6, 0x9f, 0x00), marker: Marker::Cross },
    Colour { ink: RGBColor(0x56, 0xb4, 0xe9), marker: Marker::Ring },
    Colour { ink: RGBColor(0x00, 0x00, 0x00), marker: Marker::Pit },
    Colour { ink: RGBColor(0x80, 0x80, 0x80), marker: Marker::Funnel },
    Colour { ink: RGBColor(0x8a, 0x6d, 0x3b), marker: Marker::Plus },
];

impl Colour {
    /// The `n`-th of the palette.
    #[must_use]
    pub const fn nth(n: usize) -> Self {
        PALETTE[n % PALETTE.len()]
    }

    /// The colour of a system, the same in every picture.
    #[must_use]
    pub const fn of(system: System) -> Self {
        match system {
            System::Kademlia => PALETTE[0],
            System::Chord => PALETTE[1],
            System::Pastry => PALETTE[2],
            System::Tapestry => PALETTE[3],
            System::Bep5 => PALETTE[4],
            System::Kademlia5 => Self { marker: Marker::Ring, ..PALETTE[0] },
            System::Chord6 => Self { marker: Marker::Frame, ..PALETTE[1] },
            System::Can2 => PALETTE[6],
            System::Can4 => PALETTE[7],
            System::Viceroy => PALETTE[8],
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    colour: Colour,
    /// The length of its dashes; 0 of an unbroken line.
    dash: i32,
    width: u32,
    points: Vec<(f64, f64)>,
    /// From where to where each point's interval of confidence reaches, if it has one.
    intervals: Vec<(f64, f64)>,
}

impl Series {
    /// A measured line.
    #[must_use]
    pub fn new(name: impl Into<String>, colour: Colour, points: &[(f64, f64)]) -> Self {
        Self { name: name.into(), colour, dash: 0, width: 2, points: points.to_vec(), intervals: Vec::new() }
    }

    /// The line of a system; that of this project's node is bold, those of variants are thin.
    #[must_use]
    pub fn of(system: System, points: &[(f64, f64)]) -> Self {
        let width = match system {
            System::Kademlia => 3,
            System::Kademlia5 | System::Chord6 => 1,
            _ => 2,
        };
        Self { width, ..Self::new(system.name(), Colour::of(system), points) }
    }

    /// A law or a limit, drawn grey and dashed. Without a name it has no entry in the legend.
    #[must_use]
    pub fn dashed(name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        Self { dash: 6, width: 1, ..Self::new(name, Colour { ink: GREY, marker: Marker::Dot }, points) }
    }

    /// The same line in the colour of the one that it belongs to.
    #[must_use]
    pub fn of_colour(self, colour: Colour) -> Self {
        Self { colour, width: 2, ..self }
    }

    /// The same line with dashes of another length: prints without colours tell them apart.
    #[must_use]
    pub fn of_dash(self, dash: i32) -> Self {
        Self { dash, ..self }
    }

    /// The same line with an interval of confidence at each point.
    #[must_use]
    pub fn with_intervals(self, intervals: Vec<(f64, f64)>) -> Self {
        Self { intervals, ..self }
    }

    fn stroke(&self) -> ShapeStyle {
        self.colour.ink.stroke_width(self.width)
    }

    /// The part of the line below the upper edge: it leaves the picture where it crosses that.
    fn below(&self, edge: f64) -> Self {
        let inside = self.points.iter().take_while(|point| point.1 <= edge).count();
        let mut points = self.points[..inside].to_vec();
        if let (Some(&(x, y)), Some(&(next_x, next_y))) = (points.last(), self.points.get(inside)) {
            points.push((x + (next_x - x) * (edge - y) / (next_y - y), edge));
        }
        Self { points, ..self.clone() }
    }

    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NEG_INFINITY, |point| point.1)
    }
}

/// An axis: what it counts, from where to where, and how its marks are written.
#[derive(Clone, Debug)]
pub struct Axis {
    label: String,
    from: f64,
    to: f64,
    write: fn(&f64) -> String,
    marks: usize,
}

impl Axis {
    /// Equal steps.
    #[must_use]
    pub fn linear(label: &str, from: f64, to: f64) -> Self {
        Self { label: label.into(), from, to, write: |value| format!("{}", (value * 1e3).round() / 1e3), marks: 10 }
    }

    /// Each step is ten times as much; values are logarithms to the base of 10.
    #[must_use]
    pub fn decades(label: &str, from: f64, to: f64) -> Self {
        let write = |value: &f64| format!("{}", (libm::pow(10.0, *value) * 1e3).round() / 1e3);
        Self { label: label.into(), from, to, write, marks: (to - from) as usize + 1 }
    }

    /// Each step doubles; `from` and `to` are powers of two.
    #[must_use]
    pub fn doublings(label: &str, from: f64, to: f64) -> Self {
        let write = |value: &f64| thousands(libm::exp2(*value).round() as u64);
        Self { label: label.into(), from, to, write, marks: (to - from) as usize + 1 }
    }
}

fn thousands(value: u64) -> String {
    if value < 1000 { value.to_string() } else { format!("{},{:03}", thousands(value / 1000), value % 1000) }
}

/// A picture: a title, and panels with two axes and lines.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    subtitle: String,
    panels: Vec<Panel>,
    is_stacked: bool,
}

/// Two axes and the lines over them.
#[derive(Clone, Debug)]
struct Panel {
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

impl Chart {
    /// A picture with one panel without lines.
    #[must_use]
    pub fn new(title: &str, subtitle: &str, x: Axis, y: Axis) -> Self {
        let panels = vec![Panel { x, y, series: Vec::new() }];
        Self { title: title.into(), subtitle: subtitle.into(), panels, is_stacked: false }
    }

    /// Adds a panel on the right; what is added from now on is drawn there.
    pub fn begin_beside(&mut self, x: Axis, y: Axis) {
        self.panels.push(Panel { x, y, series: Vec::new() });
    }

    /// Adds a panel underneath; what is added from now on is drawn there.
    pub fn begin_below(&mut self, x: Axis, y: Axis) {
        self.begin_beside(x, y);
        self.is_stacked = true;
    }

    /// Adds a line to the last panel.
    pub fn add(&mut self, series: Series) {
        if let Some(panel) = self.panels.last_mut() {
            panel.series.push(series);
        }
    }

    /// The picture as SVG.
    ///
    /// # Panics
    /// Never: writing into memory cannot fail.
    #[must_use]
    pub fn render(&self) -> String {
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, self.size()).into_drawing_area())
            .expect("memory takes every shape");
        svg
    }

    fn size(&self) -> (u32, u32) {
        let beside = if self.is_stacked { 0 } else { self.panels.len() as u32 - 1 };
        (SIZE.0 + beside * BESIDE_PX, SIZE.1)
    }

    fn draw<'a>(&self, root: &Area<'a>) -> Result<(), Failure<'a>> {
        root.fill(&WHITE)?;
        root.draw(&Text::new(self.title.clone(), (64, 22), text(22)))?;
        root.draw(&Text::new(self.subtitle.clone(), (64, 50), text(13).color(&GREY)))?;
        let (field, legend) = root.margin(72, 12, 12, 0).split_horizontally(self.size().0 - LEGEND_PX - 12);
        let grid = if self.is_stacked { (self.panels.len(), 1) } else { (1, self.panels.len()) };
        let places = field.split_evenly(grid);
        places.iter().zip(&self.panels).try_for_each(|(place, panel)| panel.draw(place))?;
        self.draw_legend(&legend)?;
        root.present()
    }

    /// One entry for each name: lines of several panels share it.
    fn draw_legend<'a>(&self, area: &Area<'a>) -> Result<(), Failure<'a>> {
        let mut listed: Vec<&Series> = Vec::new();
        for series in self.panels.iter().flat_map(Panel::in_order_of_their_ends) {
            if !series.name.is_empty() && listed.iter().all(|other| other.name != series.name) {
                listed.push(series);
            }
        }
        for (row, series) in listed.into_iter().enumerate() {
            let y = 12 + 22 * row as i32;
            if series.dash > 0 {
                for at in (8..40).step_by(series.dash as usize + 4) {
                    let dash = vec![(at, y), ((at + series.dash).min(40), y)];
                    area.draw(&PathElement::new(dash, series.stroke()))?;
                }
            } else {
                area.draw(&PathElement::new(vec![(8, y), (40, y)], series.stroke()))?;
                area.draw(&Mark { at: (24, y), colour: series.colour })?;
            }
            area.draw(&Text::new(series.name.clone(), (48, y), text(13).pos(Pos::new(HPos::Left, VPos::Center))))?;
        }
        Ok(())
    }
}

impl Panel {
    fn draw<'a>(&self, place: &Area<'a>) -> Result<(), Failure<'a>> {
        let mut plane = ChartBuilder::on(place)
            .x_label_area_size(52)
            .y_label_area_size(60)
            .margin_right(30)
            .build_cartesian_2d(self.x.from..self.x.to, self.y.from..self.y.to)?;
        self.draw_grid(&mut plane)?;
        self.series.iter().try_for_each(|series| draw_line(&mut plane, series, self.y.to))
    }

    fn draw_grid<'b>(&self, plane: &mut Plane<'_, 'b>) -> Result<(), Failure<'b>> {
        let mut mesh = plane.configure_mesh();
        mesh.bold_line_style(FAINT).light_line_style(WHITE).axis_style(INK.stroke_width(1));
        mesh.x_desc(&self.x.label).y_desc(&self.y.label).axis_desc_style(text(14)).label_style(text(12));
        mesh.x_labels(self.x.marks).y_labels(self.y.marks);
        mesh.x_label_formatter(&self.x.write).y_label_formatter(&self.y.write).draw()
    }

    fn in_order_of_their_ends(&self) -> Vec<&Series> {
        let mut series: Vec<&Series> = self.series.iter().collect();
        series.sort_by(|a, b| b.last().total_cmp(&a.last()));
        series
    }
}

/// Draws the part of a line below the upper edge, and its markers: these only where something was measured.
fn draw_line<'b>(plane: &mut Plane<'_, 'b>, series: &Series, edge: f64) -> Result<(), Failure<'b>> {
    let below = series.below(edge).points;
    if series.dash > 0 {
        plane.draw_series(DashedLineSeries::new(below, series.dash, 4, series.stroke()))?;
        return Ok(());
    }
    let bar = |(&(x, _), &(low, high)): (&(f64, f64), &(f64, f64))| {
        PathElement::new(vec![(x, low), (x, high)], series.colour.ink.stroke_width(1))
    };
    plane.draw_series(series.points.iter().zip(&series.intervals).map(bar))?;
    plane.draw_series(LineSeries::new(below, series.stroke()))?;
    let every = series.points.len().div_ceil(MARKERS).max(1);
    let measured = series.points.iter().step_by(every).filter(|point| point.1 <= edge);
    plane.draw_series(measured.map(|&point| Mark { at: point, colour: series.colour }))?;
    Ok(())
}

/// A line's marker at a point.
struct Mark<C> {
    at: C,
    colour: Colour,
}

impl<'a, C: 'a> PointCollection<'a, C> for &'a Mark<C> {
    type Point = &'a C;
    type IntoIter = std::iter::Once<&'a C>;
    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.at)
    }
}

impl<C, DB: DrawingBackend> Drawable<DB> for Mark<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        points: I,
        backend: &mut DB,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<DB::ErrorType>> {
        let (solid, thin) = (self.colour.ink.filled(), self.colour.ink.stroke_width(2));
        for (x, y) in points {
            let mut polygon =
                |corners: &[(i32, i32)]| backend.fill_polygon(corners.iter().map(|(dx, dy)| (x + dx, y + dy)), &solid);
            match self.colour.marker {
                Marker::Square => polygon(&[(-4, -4), (4, -4), (4, 4), (-4, 4)])?,
                Marker::Triangle => polygon(&[(0, -5), (5, 4), (-5, 4)])?,
                Marker::Diamond => polygon(&[(0, -6), (5, 0), (0, 6), (-5, 0)])?,
                Marker::Pit => polygon(&[(0, 5), (5, -4), (-5, -4)])?,
                Marker::Funnel => backend.draw_path([(x, y + 5), (x + 5, y - 4), (x - 5, y - 4), (x, y + 5)], &thin)?,
                Marker::Dot => backend.draw_circle((x, y), 4, &solid, true)?,
                Marker::Ring => backend.draw_circle((x, y), 5, &thin, false)?,
                Marker::Frame => backend.draw_rect((x - 4, y - 4), (x + 4, y + 4), &thin, false)?,
                Marker::Cross => {
                    backend.draw_line((x - 4, y - 4), (x + 4, y + 4), &thin)?;
                    backend.draw_line((x - 4, y + 4), (x + 4, y - 4), &thin)?;
                }
                Marker::Plus => {
                    backend.draw_line((x - 5, y), (x + 5, y), &thin)?;
                    backend.draw_line((x, y - 5), (x, y + 5), &thin)?;
                }
            }
        }
        Ok(())
    }
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_systems_share_a_marker_and_grey_tells_them_apart() {
        let mut markers: Vec<String> =
            System::ALL.into_iter().map(|system| format!("{:?}", Colour::of(system).marker)).collect();
        markers.sort();
        markers.dedup();
        assert_eq!(markers.len(), System::ALL.len());
    }

    #[test]
    fn a_picture_is_the_same_svg_each_time() {
        let mut chart = Chart::new("t", "s", Axis::doublings("nodes", 8.0, 14.0), Axis::linear("hops", 0.0, 10.0));
        chart.add(Series::dashed("law", &[(8.0, 4.0), (14.0, 7.0)]));
        System::ALL.into_iter().for_each(|system| chart.add(Series::of(system, &[(8.0, 1.0), (14.0, 2.0)])));
        let svg = chart.render();
        assert_eq!(svg, chart.render());
        for expected in ["16,384", "kademlia", "law", "hops"] {
            assert!(svg.contains(expected), "{expected}");
        }
    }
}

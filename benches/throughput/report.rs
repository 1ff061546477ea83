//! What came out: JSON for programs, a chart and a table for people.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::Options;
use crate::load::Outcome;
use crate::query::Shape;
use crate::server::Kind;

/// One scenario on one server, once.
pub struct Measurement {
    pub server: Kind,
    pub scenario: &'static str,
    pub outcome: Outcome,
    pub cpu: Duration,
    pub shape: Shape,
}

impl Measurement {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.verified as f64
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { verified, wrong, lost, other, .. } = self.outcome;
        let latency = |share| self.outcome.latency.quantile_us(share);
        write!(
            f,
            "{:32} {:15} {:9.0}/s {:7.3} us cpu  p50 {:7.0} p99 {:7.0} us  {verified} verified, {wrong} wrong, {lost} lost, {other} other",
            self.scenario,
            self.server.name(),
            self.outcome.replies_per_second(),
            self.cpu_us(),
            latency(0.5),
            latency(0.99),
        )
    }
}

/// The medians of one scenario on one server.
#[derive(Serialize)]
struct Row {
    scenario: &'static str,
    server: &'static str,
    cpu_us_per_reply: f64,
    /// CPU time per reply against the batched echo's of the same round.
    ratio_to_echo: Option<f64>,
    replies_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    /// Of all queries of all rounds.
    lost_share: f64,
    wrong: u64,
    reply: Shape,
    /// Each round's CPU time per reply, in order.
    rounds_cpu_us: Vec<f64>,
}

#[derive(Serialize)]
struct Report {
    machine: String,
    kernel: String,
    rounds: usize,
    seconds: f64,
    window: usize,
    infohashes_filled: usize,
    rows: Vec<Row>,
}

/// Writes `throughput.json` and `throughput.svg`, and prints the table.
pub fn write(options: &Options, measurements: &[Measurement]) -> anyhow::Result<()> {
    let report = Report {
        machine: machine(),
        kernel: read_line("/proc/sys/kernel/osrelease"),
        rounds: options.rounds,
        seconds: options.seconds,
        window: options.window,
        infohashes_filled: options.fill,
        rows: rows(options, measurements),
    };
    std::fs::write(options.out.join("throughput.json"), serde_json::to_string_pretty(&report)?)?;
    std::fs::write(options.out.join("throughput.svg"), chart(&report))?;
    println!("{}", table(&report));
    Ok(())
}

fn rows(options: &Options, measurements: &[Measurement]) -> Vec<Row> {
    let mut scenarios: Vec<&str> = Vec::new();
    for measurement in measurements {
        if !scenarios.contains(&measurement.scenario) {
            scenarios.push(measurement.scenario);
        }
    }
    let mut rows = Vec::new();
    for scenario in scenarios {
        let of = |kind: Kind| -> Vec<&Measurement> {
            measurements.iter().filter(|m| m.scenario == scenario && m.server == kind).collect()
        };
        let echo: Vec<f64> = of(Kind::Echo).iter().map(|m| m.cpu_us()).collect();
        rows.extend(options.servers.iter().filter_map(|&kind| row(&of(kind), &echo)));
    }
    rows
}

fn row(rounds: &[&Measurement], echo: &[f64]) -> Option<Row> {
    let first = rounds.first()?;
    let of = |figure: &dyn Fn(&Measurement) -> f64| median(rounds.iter().map(|m| figure(m)).collect());
    let rounds_cpu_us: Vec<f64> = rounds.iter().map(|m| m.cpu_us()).collect();
    let ratios: Vec<f64> = rounds_cpu_us.iter().zip(echo).map(|(own, echo)| own / echo).collect();
    let sum = |figure: &dyn Fn(&Outcome) -> u64| rounds.iter().map(|m| figure(&m.outcome)).sum::<u64>();
    Some(Row {
        scenario: first.scenario,
        server: first.server.name(),
        cpu_us_per_reply: median(rounds_cpu_us.clone()),
        ratio_to_echo: (!ratios.is_empty()).then(|| median(ratios)),
        replies_per_second: of(&|m| m.outcome.replies_per_second()),
        p50_us: of(&|m| m.outcome.latency.quantile_us(0.5)),
        p99_us: of(&|m| m.outcome.latency.quantile_us(0.99)),
        p999_us: of(&|m| m.outcome.latency.quantile_us(0.999)),
        lost_share: sum(&|o| o.lost) as f64 / sum(&|o| o.sent).max(1) as f64,
        wrong: sum(&|o| o.wrong),
        reply: first.shape,
        rounds_cpu_us,
    })
}

/// The middle one; the mean of the two middle ones of an even number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

fn table(report: &Report) -> String {
    let mut text = String::from(
        "| scenario | server | CPU us per reply | to echo | replies/s | p50 us | p99 us | p999 us | lost | wrong | reply bytes |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in &report.rows {
        let ratio = row.ratio_to_echo.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {ratio} | {:.0} | {:.0} | {:.0} | {:.0} | {:.3} % | {} | {} |",
            row.scenario,
            row.server,
            row.cpu_us_per_reply,
            row.replies_per_second,
            row.p50_us,
            row.p99_us,
            row.p999_us,
            row.lost_share * 100.0,
            row.wrong,
            row.reply.bytes,
        );
    }
    text
}

/// Bars of CPU time per reply, one group for each scenario.
fn chart(report: &Report) -> String {
    const COLOURS: [&str; 6] = ["#9aa5b1", "#cbd2d9", "#0b7285", "#e8590c", "#862e9c", "#f59f00"];
    const SCALE: f64 = 16.0;
    const LEFT: f64 = 330.0;
    let height = 60 + report.rows.len() * 18 + 30;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='1100' height='{height}' font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n\
         <text x='10' y='22' font-size='16'>CPU time of the serving process per verified reply, microseconds (less is better)</text>\n\
         <text x='10' y='40' fill='#616e7c'>{}, Linux {}, medians of {} rounds</text>\n",
        report.machine, report.kernel, report.rounds
    );
    let mut servers: Vec<&str> = Vec::new();
    let mut before = "";
    for (index, row) in report.rows.iter().enumerate() {
        let y = 60 + index * 18;
        if !servers.contains(&row.server) {
            servers.push(row.server);
        }
        let colour = servers.iter().position(|&name| name == row.server).unwrap_or(0) % COLOURS.len();
        let width = (row.cpu_us_per_reply * SCALE).min(650.0);
        let title = if std::mem::replace(&mut before, row.scenario) == row.scenario { "" } else { row.scenario };
        let ratio = row.ratio_to_echo.map_or_else(String::new, |ratio| format!(" ({ratio:.2} x)"));
        let _ = writeln!(
            svg,
            "<text x='10' y='{base}' font-weight='bold'>{title}</text><text x='{name}' y='{base}' text-anchor='end'>{server}</text>\
             <rect x='{LEFT}' y='{y}' width='{width:.1}' height='14' fill='{fill}'/><text x='{end:.1}' y='{base}'>{cpu:.2}{ratio}</text>",
            base = y + 12,
            name = LEFT - 8.0,
            server = row.server,
            fill = COLOURS[colour],
            end = LEFT + width + 6.0,
            cpu = row.cpu_us_per_reply,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}

fn read_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

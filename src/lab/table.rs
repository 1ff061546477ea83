//! A table of results, as CSV.

use std::fmt;

/// Columns with names, and rows of rendered cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not one cell per column.
    pub fn push(&mut self, cells: &[&dyn fmt::Display]) {
        assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells.iter().map(ToString::to_string).collect());
    }

    /// The table for people: its columns under their names, in line.
    #[must_use]
    pub fn in_columns(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].len());
            cells.chain([self.columns[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
            padded.collect::<Vec<_>>().join("  ")
        };
        let head = line(&mut self.columns.iter().copied());
        let rows = self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
        [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }
}

impl fmt::Display for Table {
    /// CSV with a head line. No cell of ours needs quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.columns.join(","))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{}", row.join(",")))
    }
}

/// A number with three decimals, as it stands in every table.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub f64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns the negative zero of a rounded difference into zero.
        write!(f, "{:.3}", (self.0 * 1e3).round() / 1e3 + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_csv() {
        let mut table = Table::new(&["system", "share"]);
        table.push(&[&"chord", &Decimal(-0.000_01)]);
        table.push(&[&"can2", &Decimal(12.345_6)]);
        assert_eq!(table.to_string(), "system,share\nchord,0.000\ncan2,12.346\n");
        assert_eq!(table.in_columns(), "system   share\n chord   0.000\n  can2  12.346");
    }
}

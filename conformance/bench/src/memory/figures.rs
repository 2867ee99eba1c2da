//! `memory.tsv`: one figure per line, after a line for each mode on the conditions of its
//! measurement.
//!
//! A run adds to the existing file. A figure of the same mode, cell, cache and name is replaced;
//! all others stay. So a measurement can be made in parts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::spread::Spread;

/// All figures so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Figures {
    /// For each mode, the conditions of its last measurement.
    pub(crate) conditions: Vec<(String, String)>,
    pub(crate) rows: Vec<Figure>,
}

/// One figure.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Figure {
    pub(crate) mode: String,
    pub(crate) cell: String,
    pub(crate) cache: String,
    pub(crate) what: String,
    pub(crate) value: Spread,
}

impl Figures {
    /// Reads the figures in a folder; there are no figures if the file does not exist.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    /// Writes the figures to a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join(FILE);
        fs::write(&file, self.text()).with_context(|| file.display().to_string())
    }

    /// Sets the conditions under which a mode is measured.
    pub(crate) fn set_conditions(&mut self, mode: &str, line: String) {
        self.conditions.retain(|(known, _)| known != mode);
        self.conditions.push((mode.to_owned(), line));
    }

    /// Adds a figure, and replaces an existing one.
    pub(crate) fn put(&mut self, mode: &str, cell: &str, cache: &str, what: &str, value: Spread) {
        let [mode, cell, cache, what] = [mode, cell, cache, what].map(str::to_owned);
        let figure = Figure { mode, cell, cache, what, value };
        match self.rows.iter_mut().find(|row| row.place() == figure.place()) {
            Some(row) => *row = figure,
            None => self.rows.push(figure),
        }
    }

    /// The value of a figure.
    pub(crate) fn get(&self, mode: &str, cell: &str, cache: &str, what: &str) -> Option<Spread> {
        let found = self.rows.iter().find(|row| row.place() == [mode, cell, cache, what]);
        found.map(|row| row.value)
    }

    /// The cells of a mode, in the order in which they were first measured.
    pub(crate) fn cells(&self, mode: &str) -> Vec<&str> {
        self.distinct(mode, |row| &row.cell)
    }

    /// The caches of a mode, in the order in which they were first measured.
    pub(crate) fn caches(&self, mode: &str) -> Vec<&str> {
        self.distinct(mode, |row| &row.cache)
    }

    fn distinct(&self, mode: &str, part: fn(&Figure) -> &str) -> Vec<&str> {
        let mut found = Vec::new();
        for row in self.rows.iter().filter(|row| row.mode == mode) {
            if !found.contains(&part(row)) {
                found.push(part(row));
            }
        }
        found
    }

    fn text(&self) -> String {
        let conditions = self.conditions.iter().map(|(mode, line)| format!("# {mode} {line}\n"));
        let rows = self.rows.iter().map(|Figure { mode, cell, cache, what, value }| {
            let Spread { median, min, max } = value;
            format!("{mode}\t{cell}\t{cache}\t{what}\t{median:.4}\t{min:.4}\t{max:.4}\n")
        });
        conditions.chain([format!("{HEADER}\n")]).chain(rows).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for (number, line) in text.lines().enumerate() {
            if let Some((mode, line)) =
                line.strip_prefix("# ").and_then(|line| line.split_once(' '))
            {
                figures.set_conditions(mode, line.to_owned());
            } else if line != HEADER {
                let row = Figure::parse(line).with_context(|| format!("line {}", number + 1))?;
                figures.rows.push(row);
            }
        }
        Ok(figures)
    }
}

impl Figure {
    fn place(&self) -> [&str; 4] {
        [&self.mode, &self.cell, &self.cache, &self.what]
    }

    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        ensure!(fields.len() == 7, "{} fields, not 7", fields.len());
        let text = |at: usize| fields[at].to_owned();
        let number = |at: usize| fields[at].parse().with_context(|| format!("{:?}", fields[at]));
        let value = Spread { median: number(4)?, min: number(5)?, max: number(6)? };
        Ok(Self { mode: text(0), cell: text(1), cache: text(2), what: text(3), value })
    }
}

const FILE: &str = "memory.tsv";
const HEADER: &str = "mode\tcell\tcache\twhat\tvalue\tmin\tmax";

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread { median, min: 0.5, max: 9.0 }
    }

    #[test]
    fn written_figures_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut figures = Figures::read(folder.path()).unwrap();
        assert_eq!(figures, Figures::default());
        figures.set_conditions("resident", "date=today cpu=a b".to_owned());
        figures.put("resident", "1m", "ours", "bytes", spread(227.0));
        figures.put("resident", "1m", "lru", "bytes", spread(250.0));
        figures.put("resident", "1m", "ours", "bytes", spread(170.25));
        figures.write(folder.path()).unwrap();

        let read = Figures::read(folder.path()).unwrap();
        assert_eq!(read, figures);
        assert_eq!(read.get("resident", "1m", "ours", "bytes"), Some(spread(170.25)));
        assert_eq!(read.caches("resident"), ["ours", "lru"]);
        assert_eq!(read.cells("stalls"), [""; 0]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let error = Figures::parse(&format!("{HEADER}\na\tb\tc\td\t1\t1\tmany\n")).unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2: \"many\": "), "{error:#}");
        assert!(Figures::parse("a\tb\n").is_err());
    }
}

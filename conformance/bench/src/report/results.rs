//! Reads `results.tsv`: the conditions of the measurement, and a row for each cell and client.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};
use clap::ValueEnum as _;

use crate::cell::{Cell, Flavour, Op};

/// The whole file.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Results {
    /// The date, machine, versions and command in the first line.
    pub(crate) conditions: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

/// The results of one client at one cell: medians over the rounds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    pub(crate) client: String,
    pub(crate) rounds: usize,
    pub(crate) ops_s: f64,
    pub(crate) ops_s_min: f64,
    pub(crate) ops_s_max: f64,
    pub(crate) cpu_us_op: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) switches_op: Option<f64>,
    pub(crate) commands_write: Option<f64>,
}

impl Results {
    /// All cells, in the order of the file.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for row in &self.rows {
            if !cells.contains(&row.cell) {
                cells.push(row.cell);
            }
        }
        cells
    }

    /// The clients of some cells, in the order of the file.
    pub(crate) fn clients(&self, cells: &[Cell]) -> Vec<&str> {
        let mut clients = Vec::new();
        for row in self.rows.iter().filter(|row| cells.contains(&row.cell)) {
            if !clients.contains(&row.client.as_str()) {
                clients.push(row.client.as_str());
            }
        }
        clients
    }

    /// The row of a client at a cell.
    pub(crate) fn row(&self, cell: Cell, client: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.cell == cell && row.client == client)
    }

    /// The rows of other clients at a cell: all but ours and the raw wire.
    pub(crate) fn peers(&self, cell: Cell) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.cell == cell && row.is_peer())
    }

    /// The fastest peer at a cell.
    pub(crate) fn best_peer(&self, cell: Cell) -> Option<&Row> {
        self.peers(cell).max_by(|one, other| one.ops_s.total_cmp(&other.ops_s))
    }
}

impl Row {
    fn is_peer(&self) -> bool {
        self.client != RAW && !self.client.starts_with(OURS)
    }
}

impl FromStr for Results {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut results = Self::default();
        let mut names: Option<Vec<&str>> = None;
        for (number, line) in text.lines().enumerate() {
            if let Some(comment) = line.strip_prefix('#') {
                results.conditions.extend(conditions(comment));
            } else if let Some(names) = &names {
                let row = row(names, line).with_context(|| format!("line {}", number + 1))?;
                results.rows.push(row);
            } else {
                names = Some(line.split('\t').collect());
            }
        }
        Ok(results)
    }
}

/// Values may contain spaces and `=`, so each extends to the beginning of the next name.
fn conditions(comment: &str) -> Vec<(String, String)> {
    let mut rest = comment;
    let mut conditions = Vec::new();
    for (at, name) in CONDITIONS.iter().enumerate() {
        let Some((_, after)) = rest.split_once(&format!(" {name}=")) else { continue };
        let ends = CONDITIONS[at + 1..].iter().filter_map(|next| after.find(&format!(" {next}=")));
        let value = &after[..ends.min().unwrap_or(after.len())];
        conditions.push(((*name).to_owned(), value.trim().to_owned()));
        rest = &after[value.len()..];
    }
    conditions
}

fn row(names: &[&str], line: &str) -> Result<Row> {
    let values: Vec<_> = line.split('\t').collect();
    ensure!(values.len() == names.len(), "{} fields, {} names", values.len(), names.len());
    let fields: HashMap<_, _> = names.iter().copied().zip(values).collect();
    let text = |name: &str| fields.get(name).copied().with_context(|| format!("no {name}"));
    let optional = |name: &str| match text(name)? {
        "" => Ok(None),
        value => value.parse::<f64>().map(Some).with_context(|| format!("{name}: {value:?}")),
    };
    let number = |name: &str| optional(name)?.with_context(|| format!("{name} is empty"));
    let cell = Cell {
        flavour: Flavour::from_str(text("flavour")?, false).map_err(Error::msg)?,
        op: Op::from_str(text("op")?, false).map_err(Error::msg)?,
        size: text("size")?.parse().context("size")?,
        tasks: text("tasks")?.parse().context("tasks")?,
    };
    Ok(Row {
        cell,
        client: text("client")?.to_owned(),
        rounds: text("rounds")?.parse().context("rounds")?,
        ops_s: number("ops_s")?,
        ops_s_min: number("ops_s_min")?,
        ops_s_max: number("ops_s_max")?,
        cpu_us_op: optional("cpu_us_op")?,
        p50_us: optional("p50_us")?,
        p99_us: optional("p99_us")?,
        switches_op: optional("switches_op")?,
        commands_write: optional("commands_write")?,
    })
}

/// The name of the raw wire, and the beginning of the names of all our clients.
pub(crate) const RAW: &str = "raw";
pub(crate) const OURS: &str = "ours";

const CONDITIONS: &[&str] = &["date", "server", "rustc", "cpu", "cores", "command", "versions"];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small file.
    pub(crate) const FILE: &str = "\
        # date=2025-11-24 server=redis 7.0.15 rustc=1.95.0 cpu=Some CPU @ 2 GHz cores=2 \
        command=speed --clients raw,ours@maxsize=1 versions=redis 1.8.1, fred 10.1.0\n\
        flavour\top\tsize\ttasks\tclient\trounds\tops_s\tops_s_min\tops_s_max\tcpu_us_op\tp50_us\
        \tp99_us\tswitches_op\tcommands_write\n\
        ct\tget\t64\t1\traw\t3\t35000\t34000\t36000\t9.000\t\t\t1.00000\t1.00\n\
        ct\tget\t64\t1\tours\t3\t34000\t33000\t35000\t10.000\t28.0\t40.0\t1.00000\t1.00\n\
        ct\tget\t64\t1\tredis\t3\t34500\t33500\t35500\t11.000\t28.0\t50.0\t1.00000\t1.00\n\
        ct\tget\t64\t64\traw\t3\t1200000\t1100000\t1300000\t0.100\t\t\t0.01563\t64.00\n\
        ct\tget\t64\t64\tours\t3\t1000000\t900000\t1100000\t0.250\t60.0\t90.0\t0.01563\t64.00\n\
        ct\tget\t64\t64\tredis\t3\t400000\t390000\t410000\t1.000\t90.0\t120.0\t0.02000\t40.00\n\
        ct\tget\t64\t64\tfred\t3\t500000\t490000\t510000\t1.500\t90.0\t130.0\t0.02000\t40.00\n\
        mt\tget_or_set\t64\t64\tours\t3\t850000\t800000\t900000\t0.300\t60.0\t90.0\t0.10000\t60.00\n\
        mt\tget_json\t64\t64\tours\t3\t1000000\t900000\t1100000\t0.300\t60.0\t90.0\t0.10000\t60.00\n";

    #[test]
    fn a_file_is_read_with_the_conditions_of_its_first_line() {
        let results: Results = FILE.parse().unwrap();
        let condition = |name: &str| {
            let found = results.conditions.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(condition("cpu"), Some("Some CPU @ 2 GHz"));
        assert_eq!(condition("command"), Some("speed --clients raw,ours@maxsize=1"));
        assert_eq!(condition("versions"), Some("redis 1.8.1, fred 10.1.0"));
        assert_eq!(results.rows.len(), 9);
        let raw = results.row("ct/get/64/64".parse().unwrap(), "raw").unwrap();
        assert_eq!((raw.ops_s, raw.p99_us, raw.rounds), (1_200_000.0, None, 3));
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_the_raw_wire() {
        let results: Results = FILE.parse().unwrap();
        let best = results.best_peer("ct/get/64/64".parse().unwrap()).unwrap();
        assert_eq!(best.client, "fred");
        assert_eq!(results.best_peer("mt/get_json/64/64".parse().unwrap()), None);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let error = FILE.replace("400000\t390000", "many\t390000").parse::<Results>().unwrap_err();
        assert_eq!(format!("{error:#}"), "line 8: ops_s: \"many\": invalid float literal");
        let error = FILE.replace("\t40.00\n", "\n").parse::<Results>().unwrap_err();
        assert_eq!(format!("{error:#}"), "line 8: 13 fields, 14 names");
    }
}

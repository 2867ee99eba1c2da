//! Reads `counts.tsv`: the counts of the second mode, if they were written to a file.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail};

use crate::cell::Cell;

/// The whole file.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Counts {
    counts: Vec<Count>,
}

/// One count of one operation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Count {
    pub(crate) cell: Cell,
    pub(crate) client: String,
    pub(crate) what: String,
    pub(crate) count: f64,
}

impl Counts {
    /// All counts of one thing for one client.
    pub(crate) fn of<'c>(&'c self, what: &str, client: &str) -> impl Iterator<Item = &'c Count> {
        self.counts.iter().filter(move |count| count.what == what && count.client == client)
    }

    /// One count.
    pub(crate) fn get(&self, cell: Cell, client: &str, what: &str) -> Option<f64> {
        self.of(what, client).find(|count| count.cell == cell).map(|count| count.count)
    }
}

impl FromStr for Counts {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = |(number, line): (usize, &str)| {
            let fields: Vec<_> = line.split('\t').collect();
            let [cell, client, what, count] = fields[..] else {
                bail!("line {}: {} fields, not 4", number + 1, fields.len());
            };
            let count = count.parse().with_context(|| format!("line {}: {count:?}", number + 1))?;
            let (client, what) = (client.to_owned(), what.to_owned());
            Ok(Count { cell: cell.parse()?, client, what, count })
        };
        Ok(Self { counts: text.lines().enumerate().skip(1).map(read).collect::<Result<_>>()? })
    }
}

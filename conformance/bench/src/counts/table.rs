//! Counts as Markdown tables, and as `counts.tsv`.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use super::measure::Counted;
use super::subject::Subject;
use super::ways::{Way, What};

/// A table of counts, with a line for each subject, and a table of its system calls.
pub(crate) fn tables(rows: &[(Subject, Counted)]) -> String {
    let mut text = String::from(COUNTS);
    for (Subject { client, cell }, counted) in rows {
        let _ = write!(text, "| {cell} | {client} |");
        for what in What::value_variants() {
            let count = counted.counts.get(what).map_or_else(String::new, |&n| what.show(n));
            let _ = write!(text, " {count} |");
        }
        let _ = writeln!(text, " {} |", batches(counted));
    }
    text.push_str(NOTE);
    if rows.iter().any(|(_, counted)| !counted.calls.is_empty()) {
        text.push_str(CALLS);
    }
    for (Subject { client, cell }, Counted { calls, .. }) in rows {
        let mut calls: Vec<_> = calls.iter().filter(|(_, count)| **count >= FEW).collect();
        calls.sort_by(|one, other| other.1.total_cmp(one.1));
        let calls: Vec<_> =
            calls.iter().map(|(name, count)| format!("{name} {count:.4}")).collect();
        if !calls.is_empty() {
            let _ = writeln!(text, "| {cell} | {client} | {} |", calls.join(", "));
        }
    }
    text
}

/// The counts, one per line.
pub(crate) fn tsv(rows: &[(Subject, Counted)]) -> String {
    let mut text = String::from("cell\tclient\twhat\tcount\n");
    for (Subject { client, cell }, counted) in rows {
        for (what, &count) in &counted.counts {
            let _ = writeln!(text, "{cell}\t{client}\t{what}\t{}", what.show(count));
        }
    }
    text
}

/// The commands per write in each way, marked if a tool changed them.
fn batches(counted: &Counted) -> String {
    let plain = counted.batches.get(&Way::Plain).copied();
    let show = |(_, &batch): (&Way, &f64)| {
        let same = plain.is_none_or(|plain| (batch / plain - 1.0).abs() < OTHER);
        format!("{batch:.1}{}", if same { "" } else { "!" })
    };
    counted.batches.iter().map(show).collect::<Vec<_>>().join(" / ")
}

const COUNTS: &str = "\
| cell | client | allocations | bytes | instructions | system calls | commands a write |
|---|---|--:|--:|--:|--:|--:|
";
const NOTE: &str = "
Per operation. Commands a write: as it is / under callgrind / under strace, as far as each was
run; `!` where a tool changes them, and so its count, by more than a tenth.
";
const CALLS: &str = "
| cell | client | system calls by name |
|---|---|---|
";
/// Fewer system calls per operation than this are not listed.
const FEW: f64 = 0.0005;
const OTHER: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_counts_are_blank_and_changed_batches_are_marked() {
        let subject =
            Subject { client: "ours".parse().unwrap(), cell: "ct/get/64/64".parse().unwrap() };
        let counted = Counted {
            counts: [(What::Allocations, 1.0), (What::Syscalls, 0.078_12)].into(),
            calls: [("read", 0.0312), ("write", 0.0469), ("brk", 0.000_01)]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            batches: [(Way::Plain, 64.0), (Way::Strace, 32.0)].into(),
        };
        let text = tables(&[(subject, counted)]);
        let wanted = "| ct/get/64/64 | ours | 1.00 |  |  | 0.0781 | 64.0 / 32.0! |\n";
        assert!(text.contains(wanted), "{text}");
        let wanted = "| ct/get/64/64 | ours | write 0.0469, read 0.0312 |\n";
        assert!(text.ends_with(wanted), "{text}");
    }
}

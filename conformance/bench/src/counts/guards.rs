//! `guards.tsv`: the expected costs of operations, each with an allowance.
//!
//! Comments, order and allowances stay as they were written by hand; only the expected counts are
//! updated.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};
use clap::ValueEnum as _;

use super::subject::Subject;
use super::ways::What;

/// The whole file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Guards {
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Debug)]
enum Line {
    /// A comment, the header, or an empty line.
    Text(String),
    Guard(Guard),
}

/// The guard of one count.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Guard {
    pub(crate) subject: Subject,
    pub(crate) what: What,
    pub(crate) expected: f64,
    allowance: Allowance,
}

/// How far a count may deviate from the expected one.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Allowance {
    Percent(f64),
    Absolute(f64),
}

/// The result of comparing a count with its guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The count is higher than the allowance permits: a regression.
    Above,
    /// The count is as expected.
    Within,
    /// The count is so much lower that the expected count should be lowered too.
    Below,
}

impl Guards {
    /// All guards, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Guard> {
        self.lines.iter().filter_map(|line| match line {
            Line::Guard(guard) => Some(guard),
            Line::Text(_) => None,
        })
    }

    /// All guards, for changing them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Guard> {
        self.lines.iter_mut().filter_map(|line| match line {
            Line::Guard(guard) => Some(guard),
            Line::Text(_) => None,
        })
    }
}

impl Guard {
    /// Judges a count.
    pub(crate) fn verdict(&self, count: f64) -> Verdict {
        let allowed = match self.allowance {
            Allowance::Percent(percent) => self.expected * percent / 100.0,
            Allowance::Absolute(allowed) => allowed,
        };
        // The expected count was rounded when it was written.
        let allowed = allowed + self.what.rounding();
        if count > self.expected + allowed {
            Verdict::Above
        } else if count < self.expected - allowed {
            Verdict::Below
        } else {
            Verdict::Within
        }
    }

    /// The comparison with a count, in words.
    pub(crate) fn compare(&self, count: f64) -> String {
        let Self { subject, what, expected, allowance } = self;
        let (count, expected) = (what.show(count), what.show(*expected));
        format!("{subject}: {count} {what}, {expected} expected, allowance {allowance}")
    }
}

impl FromStr for Guards {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = |(number, line): (usize, &str)| {
            if line.is_empty() || line.starts_with('#') || line == HEADER {
                return Ok(Line::Text(line.to_owned()));
            }
            let guard = line.parse().with_context(|| format!("line {}", number + 1))?;
            Ok(Line::Guard(guard))
        };
        Ok(Self { lines: text.lines().enumerate().map(read).collect::<Result<_>>()? })
    }
}

impl FromStr for Guard {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [client, cell, what, expected, allowance] = fields[..] else {
            return Err(Error::msg(format!("{line:?} has not the fields {HEADER:?}")));
        };
        let subject = Subject { client: client.parse()?, cell: cell.parse()? };
        let what = What::from_str(what, false).map_err(Error::msg)?;
        ensure!(subject.has(what), "{what} cannot be counted of {subject}");
        let expected = expected.parse().with_context(|| format!("{expected:?}"))?;
        Ok(Self { subject, what, expected, allowance: allowance.parse()? })
    }
}

impl FromStr for Allowance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowance = match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent),
            None => text.parse().map(Self::Absolute),
        };
        allowance.with_context(|| format!("{text:?} is no allowance, such as 3% or 0.5"))
    }
}

impl fmt::Display for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| match line {
            Line::Text(text) => writeln!(f, "{text}"),
            Line::Guard(guard) => writeln!(f, "{guard}"),
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject: Subject { client, cell }, what, expected, allowance } = self;
        write!(f, "{client}\t{cell}\t{what}\t{}\t{allowance}", what.show(*expected))
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Absolute(allowed) => write!(f, "{allowed}"),
        }
    }
}

const HEADER: &str = "client\tcell\twhat\texpected\tallowance";

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# why\nclient\tcell\twhat\texpected\tallowance\n\
        ours\tct/get/64/64\tinstructions\t3200\t3%\n\n\
        # exact\nours\tmt/get/64/1\tallocations\t1.00\t0\n";

    #[test]
    fn a_guard_file_prints_unchanged_except_for_new_expected_values() {
        let mut guards: Guards = FILE.parse().unwrap();
        assert_eq!(guards.to_string(), FILE);
        guards.iter_mut().next().unwrap().expected = 1499.6;
        assert_eq!(guards.to_string(), FILE.replace("3200", "1500"));
    }

    #[test]
    fn a_count_is_judged_by_its_allowance() {
        let guards: Guards = FILE.parse().unwrap();
        let verdicts = |at: usize, counts: [f64; 4]| {
            let guard = guards.iter().nth(at).unwrap();
            counts.map(|count| guard.verdict(count))
        };
        let expected = [Verdict::Below, Verdict::Within, Verdict::Within, Verdict::Above];
        assert_eq!(verdicts(0, [3100.0, 3110.0, 3290.0, 3300.0]), expected);
        assert_eq!(verdicts(1, [0.98, 0.998, 1.002, 1.02]), expected);
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_fault() {
        for (line, fault) in [
            ("ours\tct/get/64/64\tinstructions\t3200", "has not the fields"),
            ("ours\tct/get/64\tinstructions\t1\t3%", "is no cell"),
            ("ours\tmt/get/64/64\tinstructions\t1\t3%", "cannot be counted"),
            ("ours\tct/get/64/64\tinstructions\t1\tlittle", "is no allowance"),
        ] {
            let error = format!("# why\n{line}").parse::<Guards>().unwrap_err();
            let error = format!("{error:#}");
            assert!(error.starts_with("line 2: ") && error.contains(fault), "{error}");
        }
    }
}

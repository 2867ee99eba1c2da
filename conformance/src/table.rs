//! Reads the table in `suite.rs` as text, apart from the macros that expand it, and compares it
//! with the tests that a test program lists.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

/// Checks that the test program at hand has the tests of the table, and no others, for each backend
/// of the suite in this module. `scope` is `all` or `further`, as in [`suite!`](crate::suite).
///
/// # Panics
/// When a test is missing or is one too many, or the program does not list its tests.
pub fn assert_complete(module: &str, scope: &str) {
    // The path begins with the crate's name, and the names of tests do not.
    let module = module.split_once("::").map(|(_, rest)| format!("{rest}::")).unwrap_or_default();
    let listed = listed();
    for backend in Table::read(SUITE).backends {
        let prefix = format!("{module}{}::", backend.module);
        let runs = listed.iter().filter_map(|name| name.strip_prefix(&prefix));
        let runs: BTreeSet<&str> = runs.collect();
        let wanted = match scope {
            "all" => backend.all(),
            "further" => backend.further(),
            other => panic!("{other} is no scope"),
        };
        let missing: Vec<_> = wanted.difference(&runs).collect();
        let strange: Vec<_> = runs.difference(&wanted).collect();
        let way = backend.way;
        assert!(missing.is_empty(), "{prefix} (by {way}) lacks {missing:?}");
        assert!(strange.is_empty(), "{prefix} (by {way}) has more than the table: {strange:?}");
    }
}

/// The names of all tests of this program.
fn listed() -> BTreeSet<String> {
    let program = env::current_exe().expect("the program has a path");
    let output = Command::new(program).args(["--list", "--format", "terse"]).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("names are text");
    lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The table of `suite.rs`.
#[derive(Debug)]
struct Table<'t> {
    backends: Vec<Row<'t>>,
}

/// A backend, the way to it, and its groups: those for every runtime, and those for one.
#[derive(Debug)]
struct Row<'t> {
    module: &'t str,
    way: &'t str,
    first: Vec<Group<'t>>,
    again: Vec<Group<'t>>,
}

/// The name of a group, and its cases, each with what it depends on of a runtime.
type Group<'t> = (&'t str, Vec<(&'t str, Vec<&'t str>)>);

impl<'t> Table<'t> {
    fn read(text: &'t str) -> Self {
        let groups = groups(text);
        let named = |list: &'t str| -> Vec<_> {
            let group = |name| groups.get(name).unwrap_or_else(|| panic!("{name} is no group"));
            list.split_whitespace().map(|name| group(name).clone()).collect()
        };
        let rows = text.lines().filter_map(|line| line.trim().strip_prefix(ROW));
        let rows = rows.map(|row| {
            let (backend, lists) = row.split_once('[').expect("groups follow the backend");
            let [module, _, way] = words(backend)[..] else { panic!("{backend}") };
            let lists = lists.strip_suffix("]);").expect("the row ends with the groups");
            let (first, again) = lists.split_once("] [").expect("there are two lists");
            Row { module, way, first: named(first), again: named(again) }
        });
        Self { backends: rows.collect() }
    }
}

impl<'t> Row<'t> {
    fn all(&self) -> BTreeSet<&'t str> {
        let groups = self.first.iter().chain(&self.again);
        groups.flat_map(|(_, cases)| cases).map(|(case, _)| *case).collect()
    }

    fn further(&self) -> BTreeSet<&'t str> {
        let cases = self.first.iter().flat_map(|(_, cases)| cases);
        cases.filter(|(_, marks)| !marks.is_empty()).map(|(case, _)| *case).collect()
    }
}

/// The groups of `__cases!`.
fn groups(text: &str) -> BTreeMap<&str, Group<'_>> {
    let mut groups = BTreeMap::new();
    let (_, arms) = text.split_once("macro_rules! __cases {").expect("the macro is there");
    let (arms, _) = arms.split_once("\n}\n").expect("the macro ends");
    for arm in arms.split(ARM).skip(1) {
        let (name, blocks) = arm.split_once(' ').expect("the group has a name");
        let (_, blocks) = blocks.split_once(TESTS).expect("its cases follow");
        let mut cases = Vec::new();
        // Each block is `file [marks] { cases }`.
        for block in blocks.split_inclusive('}').take_while(|block| block.contains('[')) {
            let (_, block) = block.split_once('[').expect("it has one");
            let (marks, block) = block.split_once("] {").expect("the cases are in braces");
            let block = block.trim_end_matches('}');
            cases.extend(block.split_whitespace().map(|case| (case, words(marks))));
        }
        assert!(groups.insert(name, (name, cases)).is_none(), "{name} is there twice");
    }
    groups
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

const SUITE: &str = include_str!("suite.rs");
const ROW: &str = "$crate::__backend!($scope ";
const ARM: &str = "($scope:ident ";
const TESTS: &str = "$crate::__tests! { $scope $backend";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_run_on_some_backend() {
        let table = Table::read(SUITE);
        let groups = groups(SUITE);
        assert!(groups.len() > 10 && table.backends.len() > 10);
        for (name, cases) in groups.into_values() {
            assert!(!cases.is_empty(), "{name} has no case");
            let is_run = |row: &Row<'_>| row.first.iter().any(|(other, _)| *other == name);
            assert!(table.backends.iter().any(is_run), "{name} is not run");
        }
    }

    #[test]
    fn a_further_runtime_runs_a_group_on_the_first_backend_of_each_way() {
        let mut seen = BTreeSet::new();
        for row in Table::read(SUITE).backends {
            assert!(WAYS.contains(&row.way), "{}: {} is no way", row.module, row.way);
            for (group, _) in &row.first {
                assert!(seen.insert((row.way, *group)), "{}: {group}", row.module);
            }
            for (group, _) in &row.again {
                let is_known = seen.contains(&(row.way, *group));
                assert!(is_known, "{} is the first to run {group}", row.module);
            }
        }
    }

    #[test]
    fn a_further_runtime_runs_every_case_that_depends_on_the_runtime() {
        let table = Table::read(SUITE);
        let further: BTreeSet<_> = table.backends.iter().flat_map(Row::further).collect();
        let mut count = 0;
        for (_, cases) in groups(SUITE).values() {
            for (case, marks) in cases {
                assert!(marks.iter().all(|mark| MARKS.contains(mark)), "{case}: {marks:?}");
                assert!(marks.is_empty() || further.contains(case), "{case}");
                count += usize::from(!marks.is_empty());
            }
        }
        assert!(count > 100, "{count} cases depend on the runtime");
    }

    const WAYS: [&str; 4] = ["nothing", "memory", "tcp", "unix"];
    const MARKS: [&str; 4] = ["io", "time", "tasks", "lifecycle"];
}

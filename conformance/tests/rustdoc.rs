//! Every public type shows its use: its rustdoc has an example, or names the one that shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each published crate, and its sources.
const CRATES: [(&str, &str); 5] = [
    ("async-caches-core", "core/src"),
    ("async-caches", "adapters/client/src"),
    ("async-caches-tokio", "adapters/tokio/src"),
    ("async-caches-smol", "adapters/smol/src"),
    ("async-caches-async-std", "adapters/async-std/src"),
];

#[test]
fn every_public_type_has_an_example_or_names_the_one_that_shows_it() {
    let items: Vec<Item> = CRATES.iter().flat_map(|(_, folder)| items(folder)).collect();
    let (mut types, mut without) = (0, Vec::new());
    for (name, folder) in CRATES {
        for shown in public_types(&read(&root().join(format!("docs/api/{name}.txt")))) {
            let is_it = |item: &&Item| item.is_type && item.name == shown;
            let own = items.iter().filter(|item| item.is_in(folder)).filter(is_it);
            let own: Vec<_> = own.collect();
            // A crate may export a type of another one, or of none of ours. If a type is in no
            // source, the list is not up to date, which `scripts/public-api` reports. A module of
            // its own may have the seal of a trait under the same name.
            let defined = if own.is_empty() { items.iter().filter(is_it).collect() } else { own };
            types += defined.len();
            if !defined.is_empty() && !defined.iter().any(|item| is_shown(item, &items)) {
                without.extend(defined);
            }
        }
    }
    assert!(types > 150, "{types} types were found");
    let without: BTreeSet<String> =
        without.iter().map(|item| format!("{}: {}", item.file(), item.name)).collect();
    assert!(without.is_empty(), "without an example: {without:#?}");
}

#[test]
fn a_block_of_text_is_no_example() {
    assert!(has_example("Text.\n```\ncode();\n```\n"));
    assert!(has_example("Text.\n```text\na drawing\n```\nMore.\n```no_run\ncode();\n```\n"));
    assert!(!has_example("Text.\n```text\na drawing\n```\n"));
    assert!(!has_example("Text.\n"));
}

/// A type or a function in the sources, and its rustdoc.
struct Item {
    path: PathBuf,
    name: String,
    is_type: bool,
    docs: String,
}

impl Item {
    /// Its file, from the root of the repository.
    fn file(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(root().join(folder))
    }
}

/// Whether its rustdoc has an example, or links to the one of another item that has one.
fn is_shown(item: &Item, items: &[Item]) -> bool {
    let docs = item.docs.replace("examples of", "example of");
    let mut names = docs.split("example of [`").skip(1).filter_map(|rest| {
        let path = rest.split('`').next()?;
        path.rsplit("::").next()
    });
    let is_example = |name| items.iter().any(|it| it.name == name && has_example(&it.docs));
    has_example(&docs) || names.any(is_example)
}

/// Whether one of the fenced blocks is code.
fn has_example(docs: &str) -> bool {
    let fences = docs.lines().filter_map(|line| line.trim_start().strip_prefix("```"));
    fences.step_by(2).any(|language| matches!(language, "" | "rust" | "no_run" | "rust,no_run"))
}

/// The names of the types that a list of a public API has.
fn public_types(api: &str) -> BTreeSet<&str> {
    let names = api.lines().filter_map(|line| {
        let (_, rest) = line.split_once("pub ")?;
        let (kind, path) = rest.split_once(' ')?;
        let path = path.split(['<', '(', ' ']).next()?.trim_end_matches(':');
        let name = path.rsplit("::").next()?;
        let is_type = matches!(kind, "struct" | "enum" | "trait" | "use");
        (is_type && name.starts_with(|c: char| c.is_uppercase())).then_some(name)
    });
    names.collect()
}

/// The types and functions that are declared public in the files of a folder.
fn items(folder: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for path in rust_files(&root().join(folder)) {
        let text = read(&path);
        // The doc comment and the attributes of an item are the lines above it, up to an empty one.
        let mut above: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim_start) {
            if line.is_empty() {
                above.clear();
                continue;
            }
            let words: Vec<&str> = line.split([' ', '(', '<', ':', ';']).collect();
            let declared = match words[..] {
                ["pub", "struct" | "enum" | "trait", name, ..] => Some((name, true)),
                ["pub", "fn", name, ..] | ["pub", "async" | "const", "fn", name, ..] => {
                    Some((name, false))
                }
                _ => None,
            };
            if let Some((name, is_type)) = declared {
                let docs = docs(&above, &path);
                items.push(Item { path: path.clone(), name: name.to_owned(), is_type, docs });
                above.clear();
            } else {
                above.push(line);
            }
        }
    }
    items
}

/// The rustdoc in these lines, with that of the files that they include.
fn docs(lines: &[&str], source: &Path) -> String {
    let mut docs = String::new();
    for line in lines {
        if let Some(text) = line.strip_prefix("///") {
            docs.push_str(text);
        } else if let Some(file) = line.strip_prefix("#[doc = include_str!(\"") {
            let file = file.split('"').next().unwrap_or_default();
            docs.push_str(&read(&source.with_file_name(file)));
        }
        docs.push('\n');
    }
    docs
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

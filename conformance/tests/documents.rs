//! The documents' promises are tested: each test that a page names exists, and each case about
//! faults is named on the page about faults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_a_document_names_exists() {
    let functions = functions(&root());
    assert!(functions.len() > 500, "{} functions were found", functions.len());
    for (page, least) in [
        ("docs/faults.md", 20),
        ("docs/guide/sentinel.md", 10),
        ("docs/guide/cluster.md", 10),
        ("docs/guide/timeouts.md", 3),
        ("SECURITY.md", 20),
    ] {
        let named = names(&page_text(page));
        assert!(named.len() > least, "{page} names {} tests", named.len());
        for name in named {
            assert!(functions.contains(&name), "{page} names {name}, which is no function");
        }
    }
}

#[test]
fn every_case_about_faults_is_in_the_table_of_faults() {
    let named = names(&page_text("docs/faults.md"));
    for file in ["outages", "refusals"] {
        let path = root().join(format!("conformance/src/cases/{file}.rs"));
        let mut cases = BTreeSet::new();
        collect(&read(&path), "pub async fn ", &mut cases);
        assert!(!cases.is_empty(), "{file} has no cases");
        for case in cases {
            assert!(named.contains(&case), "docs/faults.md does not name {case}");
        }
    }
}

#[test]
fn every_sentinel_case_but_the_ordinary_one_is_on_its_page() {
    let named = names(&page_text("docs/guide/sentinel.md"));
    let mut cases = BTreeSet::new();
    collect(&read(&root().join("conformance/src/cases/sentinel.rs")), "pub async fn ", &mut cases);
    cases.remove("the_master_that_a_sentinel_names_is_used");
    assert!(cases.is_subset(&named), "{:?}", cases.difference(&named));
}

#[test]
fn every_cluster_case_but_the_ordinary_ones_is_on_its_page() {
    let named = names(&page_text("docs/guide/cluster.md"));
    let mut cases = BTreeSet::new();
    for file in ["cluster", "resharding"] {
        let path = root().join(format!("conformance/src/cases/{file}.rs"));
        collect(&read(&path), "pub async fn ", &mut cases);
    }
    cases.remove("keys_are_spread_over_all_masters_and_found_from_any_of_them");
    cases.remove("each_node_has_its_own_pool_that_opens_on_demand");
    // The cases about hostile nodes are in SECURITY.md; the page may name them as well.
    let mut hostile = BTreeSet::new();
    collect(
        &read(&root().join("conformance/src/cases/redirects.rs")),
        "pub async fn ",
        &mut hostile,
    );
    assert_eq!(cases, &named - &hostile);
}

#[test]
fn every_file_that_the_architecture_and_the_decisions_name_exists() {
    let root = root();
    let decisions = fs::read_dir(root.join("docs/decisions")).unwrap();
    let mut pages: Vec<PathBuf> = decisions.map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 20, "there are {} decisions", pages.len());
    pages.extend(["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|page| root.join(page)));
    for page in pages {
        for path in paths(&read(&page)) {
            let shown = page.display();
            assert!(root.join(&path).exists(), "{shown} names {path}, which does not exist");
        }
    }
}

#[test]
fn every_decision_is_in_the_list_of_decisions() {
    let list = page_text("docs/decisions/README.md");
    for entry in fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || list.contains(&name), "{name} is not in the list");
    }
}

#[test]
fn the_code_of_every_page_of_the_guide_is_compiled() {
    let documents = read(&root().join("examples/src/lib.rs"));
    let pages = fs::read_dir(root().join("docs/guide")).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().file_name()).collect();
    assert!(pages.len() > 15, "{} pages were found", pages.len());
    for page in pages.iter().map(|page| page.to_str().unwrap()) {
        let compiled = documents.contains(&format!("/docs/guide/{page}\""));
        assert!(compiled || page == "README.md", "{page} is no doctest of examples/src/lib.rs");
    }
}

#[test]
fn every_option_is_on_the_page_about_options() {
    let page = page_text("docs/guide/options.md");
    for &option in async_caches_core::options::Options::NAMES {
        assert!(page.contains(&format!("`{option}`")), "options.md does not name {option}");
    }
}

#[test]
fn every_error_is_in_the_table_of_errors() {
    let page = page_text("docs/guide/errors.md");
    let source = read(&root().join("adapters/client/src/error.rs"));
    let (_, variants) = source.split_once("pub enum Error {").unwrap();
    let (variants, _) = variants.split_once("\n}").unwrap();
    let is_variant = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase()))
    };
    let names = variants.lines().filter(is_variant).map(|line| {
        let name = line.trim_start();
        &name[..name.find([',', '(', ' ']).unwrap_or(name.len())]
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() > 20, "{} errors were found", names.len());
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "errors.md does not name {name}");
    }
}

#[test]
fn every_method_of_a_cache_a_builder_and_a_recorder_is_in_the_guide() {
    let pages = fs::read_dir(root().join("docs/guide")).unwrap();
    let guide: String = pages.map(|page| read(&page.unwrap().path())).collect();
    let words: BTreeSet<&str> = guide.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let api = page_text("docs/api/async-caches.txt");
    for (prefix, least) in [("Cache::", 20), ("Builder::", 30), ("Recorder::", 10)] {
        let prefix = format!("fn async_caches::{prefix}");
        let mut methods = BTreeSet::new();
        collect(&api, &prefix, &mut methods);
        assert!(methods.len() > least, "{} methods {prefix}", methods.len());
        for method in methods.iter().filter(|method| *method != "fmt") {
            assert!(words.contains(method.as_str()), "no page names {prefix}{method}");
        }
    }
}

#[test]
fn every_method_of_a_cache_returns_a_type_that_can_be_written_down() {
    let api = page_text("docs/api/async-caches.txt");
    let methods: Vec<_> =
        api.lines().filter(|line| line.contains("fn async_caches::Cache::")).collect();
    assert!(methods.len() > 20, "{} methods", methods.len());
    for method in methods {
        assert!(method.starts_with("pub fn "), "{method}");
        let returned = method.rsplit_once(" -> ").map_or("", |(_, returned)| returned);
        let returned = returned.split(" where ").next().unwrap_or_default();
        assert!(!returned.contains("impl ") && !returned.contains("::IntoName"), "{method}");
    }
}

#[test]
fn every_event_is_on_the_page_about_observability() {
    let page = page_text("docs/guide/observability.md");
    let source = read(&root().join("adapters/client/src/events.rs"));
    let code = source.lines().filter(|line| !line.contains("//") && !line.contains("reason ="));
    let is_message = |text: &&str| text.matches(' ').count() >= 3;
    let messages = code.flat_map(|line| line.split('"').skip(1).step_by(2)).filter(is_message);
    let messages: Vec<_> = messages.collect();
    assert!(messages.len() > 10, "{messages:?}");
    for message in messages {
        assert!(page.contains(&format!("`{message}`")), "the page does not name {message:?}");
    }
}

#[test]
fn the_readme_has_at_most_900_words() {
    let words = page_text("README.md").split_whitespace().count();
    assert!(words <= 900, "{words}");
}

#[test]
fn every_case_is_in_the_suite() {
    let suite = read(&root().join("conformance/src/suite.rs"));
    let listed: BTreeSet<&str> = suite.split_whitespace().collect();
    for path in rust_files(&root().join("conformance/src/cases")) {
        let mut cases = BTreeSet::new();
        collect(&read(&path), "pub async fn ", &mut cases);
        for case in cases {
            let shown = path.display();
            assert!(listed.contains(case.as_str()), "{shown}: {case} is never run");
        }
    }
}

#[test]
fn one_runtime_runs_the_whole_suite_and_the_others_what_depends_on_them() {
    let suite = |program: &str, arguments: &str| {
        let text = read(&root().join(format!("conformance/tests/{program}.rs")));
        assert!(text.contains(&format!("suite!(&super::{arguments});")), "{program}");
    };
    suite("tokio_current_thread", "CurrentThread");
    suite("tokio_multi_thread", "MultiThread, further");
    suite("smol", "Smol, further");
    suite("async_std", "AsyncStd, further");
}

/// The names of tests in a page: the text between backquotes, if it is a sentence in lower case.
fn names(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_sentence = |text: &&str| {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        text.matches('_').count() >= 3 && text.chars().all(letters)
    };
    quoted.filter(is_sentence).map(str::to_owned).collect()
}

/// The paths in the repository that a page has between backquotes.
fn paths(page: &str) -> BTreeSet<String> {
    let folders = ["core/", "adapters/", "conformance/", "examples/", "docs/", "scripts/"];
    let is_path = |text: &&str| {
        folders.iter().any(|folder| text.starts_with(folder)) && !text.contains([' ', '<', '{'])
    };
    page.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned).collect()
}

/// The names of all functions in the Rust files of the repository.
fn functions(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["core", "adapters", "conformance", "examples"] {
        for path in rust_files(&root.join(folder)) {
            collect(&read(&path), "fn ", &mut found);
        }
    }
    found
}

/// Collects the text between a prefix and the next bracket.
fn collect(text: &str, prefix: &str, found: &mut BTreeSet<String>) {
    for line in text.lines() {
        if let Some(rest) = line.trim_start().split_once(prefix).map(|(_, rest)| rest) {
            let end = rest.find(['(', '<']).unwrap_or(rest.len());
            found.insert(rest[..end].to_owned());
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn page_text(page: &str) -> String {
    read(&root().join(page))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

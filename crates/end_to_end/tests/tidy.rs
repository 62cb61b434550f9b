//! What the documents say is there: paths, flags and environment variables, in both directions.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use end_to_end::{program::built, project};

const PROGRAMS: [&str; 3] = ["logger", "exchange_simulator", "ultra_low_latency_server_chunked_parallel"];

fn documents() -> Vec<(PathBuf, String)> {
    let root = project();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "crates/metrics_server/README.md"];
    let all = docs.chain(top.iter().map(|name| root.join(name)));
    let texts = all.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    texts.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Links relative to the document, and paths in backticks that begin with one of the project's folders.
#[test]
fn every_path_in_the_documents_exists() {
    let root = project();
    let folders = ["crates/", "scripts/", "prometheus/", "grafana/", "docs/"];
    let mut seen = 0;
    for (document, text) in documents() {
        let directory = document.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            seen += 1;
            assert!(directory.join(link).exists(), "{} links to {link}", document.display());
        }
        for word in text.split('`').skip(1).step_by(2) {
            let path = word.split_whitespace().next().unwrap_or_default().trim_start_matches("./");
            if folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['{', '*', '<']) {
                seen += 1;
                assert!(root.join(path).exists(), "{} names {path}", document.display());
            }
        }
    }
    assert!(seen > 30, "{seen} paths were found");
}

fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(built(program)).args(arguments).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The words that begin with `--`.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let flags = words.filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic)));
    flags.map(|flag| flag.trim_end_matches('-').to_owned()).collect()
}

/// The variables that clap shows as `[env: NAME=]`.
fn variables(help: &str) -> BTreeSet<String> {
    let names = help.split("[env:").skip(1).filter_map(|rest| rest.trim_start().split(['=', ']']).next());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn flags_and_variables_in_the_documents_and_the_programs_are_the_same() {
    let configuration = fs::read_to_string(project().join("docs/configuration.md")).unwrap();
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for program in PROGRAMS {
        let subcommand: &[&str] = if program == "ultra_low_latency_server_chunked_parallel" { &[] } else { &["run"] };
        let mut text = help(program, subcommand);
        for flag in flags(&text).into_iter().filter(|flag| !["--help", "--version"].contains(&flag.as_str())) {
            // The simulator is a tool of ours: its help is its document.
            let documented = program == "exchange_simulator" || flags(&configuration).contains(&flag);
            assert!(documented, "{program} {flag} is not in docs/configuration.md");
        }
        for variable in variables(&text) {
            assert!(configuration.contains(&format!("`{variable}`")), "{program}: {variable} is not documented");
        }
        text.push_str(&help(program, &[]));
        if program == "logger" {
            for command in ["test", "symbols", "verify", "replay", "migrate", "completions"] {
                text.push_str(&help(program, &[command]));
            }
        }
        known.extend(flags(&text).into_iter().map(|flag| (flag, program)));
    }
    let scripts = fs::read_dir(project().join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    for script in scripts.filter(|path| path.extension().is_some_and(|extension| extension == "sh")) {
        known.extend(flags(&fs::read_to_string(script).unwrap()).into_iter().map(|flag| (flag, "a script")));
    }
    known.extend(["--bin", "--example", "--workspace"].map(|flag| (flag.to_owned(), "cargo")));
    for (document, text) in documents() {
        for flag in flags(&text) {
            assert!(known.contains_key(&flag), "{} names {flag}, which no program has", document.display());
        }
    }
}

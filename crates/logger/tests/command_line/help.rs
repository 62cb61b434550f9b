//! Help, version and completions.

use super::*;

const COMMANDS: [&str; 8] = ["run", "check-config", "test", "symbols", "verify", "migrate", "replay", "completions"];

#[test]
fn every_command_explains_itself_with_examples() {
    let all = run(&["--help"]);
    all.says(0, &["Usage: logger", "Examples:", "Exit codes: 0"]);
    for command in COMMANDS {
        assert!(all.stdout.contains(&format!("\n  {command} ")), "{command} is not in:\n{}", all.stdout);
        run(&[command, "--help"]).says(0, &[&format!("Usage: logger {command}"), "Examples:\n  "]);
    }
    run(&["--version"]).says(0, &["logger "]);
    run(&["-h"]).says(0, &["Examples:"]);
}

#[test]
fn mistakes_are_named() {
    run(&["verfy", "x"]).says(64, &["verfy", "verify"]);
    run(&["verify"]).says(64, &["<DIRECTORY>"]);
    run(&["completions", "tcsh"]).says(64, &["tcsh", "bash"]);
}

#[test]
fn shells_can_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        script.says(0, &COMMANDS);
        script.says(0, &["logger", "repair"]);
    }
}

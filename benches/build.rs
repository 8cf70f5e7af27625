//! Tells the program which compiler made it and from which commit, for the facts that go with its figures.

use std::process::Command;

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = said(&compiler, &["--version"]);
    // Without what stands in brackets: rustc 1.88.0 (6b00bc388 2025-06-23).
    println!("cargo::rustc-env=WEYR_COMPILER={}", version.split(" (").next().unwrap_or("unknown"));
    println!("cargo::rustc-env=WEYR_COMMIT={}", said("git", &["rev-parse", "--short=10", "HEAD"]));
    if let Some(log) =
        Some(said("git", &["rev-parse", "--git-path", "logs/HEAD"])).filter(|path| !path.is_empty())
    {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// The first line that a program says; nothing if there is none.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

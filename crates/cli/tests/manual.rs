//! `weyr man` and `weyr completions` say what the command line has.

mod command;

use command::{Pools, text};

#[test]
fn the_page_names_every_command_and_the_exit_codes() {
    let pools = Pools::new();
    let page = text(&pools.run(&["man"]));
    for word in [
        "weyr\\-pool",
        "weyr\\-channel",
        "weyr\\-send",
        "weyr\\-recv",
        "weyr\\-run",
        "weyr\\-demo",
        "the system refused",
    ] {
        assert!(page.contains(word), "no {word} in {page}");
    }
    assert!(!page.contains("demo\\-worker"), "hidden commands are hidden");
}

#[test]
fn each_command_has_a_page_of_its_own() {
    let pools = Pools::new();
    let directory = pools.directory().join("man");
    assert!(pools.run(&["man".as_ref(), directory.as_os_str()]).status.success());
    for (page, word) in [
        ("weyr-pool-create.1", "\\-\\-segment\\-size"),
        ("weyr-pool-dump.1", "\\-\\-block"),
        ("weyr-pool-watch.1", "the pool was destroyed or replaced"),
        ("weyr-channel-watch.1", "the channel or its pool was destroyed"),
        ("weyr-channel-verify.1", "\\-\\-quiesced"),
        ("weyr-run.1", "128 and the number of the signal"),
        ("weyr-recv.1", "\\-\\-follow"),
    ] {
        let text = std::fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains(word), "no {word} in {page}: {text}");
    }
    assert_eq!(pools.run(&["man", "/sys/man"]).status.code(), Some(3));
}

#[test]
fn completions_are_made_for_shells_that_there_are() {
    let pools = Pools::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&pools.run(&["completions", shell]));
        assert!(
            script.contains("repair") && script.contains("watch") && script.contains("segment-size"),
            "{shell}: {script}"
        );
    }
    assert_eq!(pools.run(&["completions", "cmd"]).status.code(), Some(2));
}

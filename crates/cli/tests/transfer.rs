//! `weyr send` and `weyr recv`: two processes that have nothing in common but a name.

mod command;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Output, Stdio};

use command::{Pools, text};
use weyr::{Channel, ChannelAttributes, Pool, PoolAttributes};

/// `weyr WORDS` with its ends in this test's hands.
fn start(pools: &Pools, words: &[&str]) -> Child {
    let mut command = pools.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(pools: &Pools, words: &[&str], bytes: &[u8]) -> Output {
    let mut child = start(pools, words);
    // A sender that refuses to start reads nothing.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

/// Bytes without a pattern, of any length.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn two_processes_talk_line_by_line() {
    let pools = Pools::new();
    let mut receiver = start(&pools, &["recv", "talk/lines", "--create", "--size", "1M"]);
    let mut sender = start(&pools, &["send", "talk/lines", "--create", "--size", "1M"]);
    let mut heard = BufReader::new(receiver.stdout.take().unwrap());
    let mut mouth = sender.stdin.take().unwrap();
    // Each line arrives before the next one is said.
    for said in ["hello\n", "a second line\n", "\n", "no end"] {
        mouth.write_all(said.as_bytes()).unwrap();
        let mut line = vec![0; said.len()];
        heard.read_exact(&mut line).unwrap();
        assert_eq!(line, said.as_bytes());
    }
    drop(mouth);
    let mut rest = String::new();
    assert_eq!(heard.read_line(&mut rest).unwrap(), 0, "{rest}");
    assert!(sender.wait().unwrap().success() && receiver.wait().unwrap().success());
}

#[test]
fn a_file_of_20_megabytes_arrives_as_it_was() {
    let pools = Pools::new();
    let [source, target] = ["source", "target"].map(|name| pools.directory().join(name));
    std::fs::write(&source, noise(20_000_003)).unwrap();
    let [from, to] = [&source, &target].map(|path| path.to_str().unwrap());
    assert!(pools.run(&["pool", "create", "files", "--size", "8M"]).status.success());
    let receiver = start(&pools, &["recv", "files/one", "--create", "-o", to, "--json"]);
    let sent = pools.json(&["send", "files/one", from, "--create", "--chunk", "100000"]);
    assert_eq!(
        (sent.1, &sent.0["bytes"], &sent.0["ended"]),
        (0, &20_000_003.into(), &true.into()),
        "{sent:?}"
    );
    let received = receiver.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&received.stdout).unwrap();
    assert_eq!((&report["bytes"], &report["redelivered"]), (&20_000_003.into(), &0.into()), "{report}");
    assert!(std::fs::read(&source).unwrap() == std::fs::read(&target).unwrap(), "the files differ");
    let pool = Pool::attach_in(pools.directory(), "files").unwrap();
    assert_eq!(pool.usage().total.blocks, 1, "only the channel is left");
}

#[test]
fn more_than_the_pool_can_hold_goes_through_it_all_the_same() {
    let pools = Pools::new();
    let bytes = noise(3 << 20);
    let receiver = start(&pools, &["recv", "tiny/c", "--create", "--size", "256K"]);
    let received = std::thread::spawn(move || receiver.wait_with_output().unwrap().stdout);
    let sent = send(&pools, &["send", "tiny/c", "--create", "--size", "256K", "--chunk", "512K"], &bytes);
    assert!(sent.status.success(), "{}", text(&sent));
    assert!(received.join().unwrap() == bytes, "what arrived differs");
}

#[test]
fn a_full_channel_and_a_full_pool_are_said() {
    let pools = Pools::new();
    let full = send(
        &pools,
        &["send", "p/c", "--create", "--capacity", "2", "--timeout", "0.05", "--lines"],
        b"1\n2\n3\n",
    );
    assert_eq!(full.status.code(), Some(1));
    assert!(
        text(&full).contains("channel is full") && text(&full).contains("2 messages were sent"),
        "{}",
        text(&full)
    );
    let no_room = send(&pools, &["send", "s/c", "--create", "--size", "32K", "--capacity", "1000"], b"");
    assert_eq!(no_room.status.code(), Some(3));
    assert!(text(&no_room).contains("bytes"), "{}", text(&no_room));
    let shown = pools.json(&["pool", "show", "p"]).0;
    let channel = &shown["channels"][0];
    assert_eq!((&channel["name"], &channel["waiting"]), (&"c".into(), &2.into()), "{shown}");
}

#[test]
fn lines_are_messages_of_their_own() {
    let pools = Pools::new();
    assert!(
        send(&pools, &["send", "p/c", "--create", "--lines", "--more"], b"one\ntwo\nthree").status.success()
    );
    let pool = Pool::attach_in(pools.directory(), "p").unwrap();
    let channel = Channel::attach_named(&pool, "c").unwrap();
    for line in ["one\n", "two\n", "three"] {
        assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), line.as_bytes());
    }
    assert!(channel.is_empty().unwrap(), "--more leaves the end open");
}

#[test]
fn a_receiver_ends_at_the_end_of_a_stream_or_follows() {
    let pools = Pools::new();
    for bytes in [b"first\n".as_slice(), b"second\n"] {
        assert!(send(&pools, &["send", "p/c", "--create"], bytes).status.success());
    }
    assert_eq!(pools.run(&["recv", "p/c"]).stdout, b"first\n");
    assert!(send(&pools, &["send", "p/c"], b"third\n").status.success());
    let followed = pools.run(&["recv", "p/c", "--follow", "--timeout", "0.05"]);
    assert_eq!(
        (followed.status.code(), followed.stdout.as_slice()),
        (Some(1), b"second\nthird\n".as_slice())
    );

    assert!(send(&pools, &["send", "p/c"], b"").status.success());
    assert!(pools.run(&["recv", "p/c", "--destroy"]).status.success());
    let gone = pools.run(&["recv", "p/c"]);
    assert!(text(&gone).contains("no channel named \"c\""), "{}", text(&gone));
}

#[test]
fn a_receiver_does_not_wait_for_ever_for_a_sender_that_died() {
    let pools = Pools::new();
    let pool = Pool::create(&PoolAttributes::new("p", 1 << 20).directory(pools.directory())).unwrap();
    let channel = Channel::create_named(&pool, "c", &ChannelAttributes::new()).unwrap();
    let mut sender = start(&pools, &["send", "p/c"]);
    sender.stdin.as_mut().unwrap().write_all(b"last words").unwrap();
    while channel.is_empty().unwrap() {
        std::thread::yield_now();
    }
    sender.kill().unwrap();
    sender.wait().unwrap();
    drop((channel, pool));
    let ended = pools.run(&["recv", "p/c", "--timeout", "0.05"]);
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(1), b"last words".as_slice()));
    let said = text(&ended);
    assert!(said.contains("no message for 50ms after 1 message") && said.contains("ended or died"), "{said}");
}

#[test]
fn what_is_missing_or_wrong_is_said_with_what_to_do() {
    let pools = Pools::new();
    assert!(pools.run(&["pool", "create", "there", "--size", "1M"]).status.success());
    let cases = [
        (&["recv", "missing/c"][..], 3, "weyr pool create missing"),
        (&["send", "missing/c"], 3, "--create"),
        (&["recv", "there/c"], 3, "pass --create"),
        (&["recv", "there/c", "--size", "1M"], 2, "--create"),
        (&["send", "there/"], 2, "POOL/NAME"),
        (&["send", "there/a/b"], 2, "POOL/NAME"),
        (&["send", "alone"], 2, "WEYR_POOL"),
        (&["send", "there/.c", "--create"], 2, "no name of a channel"),
        (&["send", "../c", "--create"], 2, "name"),
        (&["send", "there/c", "--create", "--capacity", "0"], 2, "capacity of 0"),
        (&["send", "there/c", "--chunk", "0"], 2, "1 to 256M"),
        (&["send", "there/c", "/no/such/file", "--create"], 3, "opening /no/such/file"),
        (&["recv", "there/c", "--create", "-o", "/no/such/file"], 3, "creating /no/such/file"),
        (&["recv", "there/c", "--timeout", "soon"], 2, "write seconds"),
        (&["send", "p/c", "--create", "--directory", "/sys"], 3, "no permission to create a pool in /sys"),
    ];
    for (words, code, why) in cases {
        let output = pools.command(words).env_remove("WEYR_POOL").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(why), "{words:?}: {}", text(&output));
    }
}

#[test]
fn a_reader_that_has_seen_enough_leaves_the_rest_in_the_channel() {
    let pools = Pools::new();
    assert!(send(&pools, &["send", "p/c", "--create", "--lines"], b"one\ntwo\n").status.success());
    // Closed before the receiver starts, so that its first write fails, whoever runs first.
    let (seen_enough, output) = std::io::pipe().unwrap();
    drop(seen_enough);
    let received = pools.command(&["recv", "p/c", "--timeout", "5"]).stdout(output).status().unwrap();
    assert!(received.success());
    assert_eq!(pools.run(&["recv", "p/c"]).stdout, b"one\ntwo\n");
}

#[test]
fn what_has_priority_is_received_first_and_a_count_ends_it() {
    let pools = Pools::new();
    let created = ["send", "p/c", "--create", "--levels", "2", "--more", "--lines"];
    assert!(send(&pools, &created, b"one\ntwo\n").status.success());
    assert!(send(&pools, &["send", "p/c", "--more", "--priority", "1"], b"now\n").status.success());
    let beyond = send(&pools, &["send", "p/c", "--priority", "2"], b"");
    assert_eq!(beyond.status.code(), Some(2), "{}", text(&beyond));
    for (wait, words) in [("spin", "now\n"), ("idle", "one\n")] {
        let received = pools.run(&["recv", "p/c", "--count", "1", "--wait", wait, "--no-lease"]);
        assert_eq!((received.status.code(), text(&received).as_str()), (Some(0), words));
    }
    assert_eq!(pools.run(&["recv", "p/c", "--wait", "polite"]).status.code(), Some(2));
    let late = pools.run(&["recv", "p/c", "--count", "2", "--deadline", "0.05"]);
    assert_eq!((late.status.code(), &late.stdout[..]), (Some(1), &b"two\n"[..]));
    assert!(text(&late).contains("no message before the deadline after 1 message"), "{}", text(&late));
    assert!(send(&pools, &["send", "p/c"], b"").status.success());
    let ended = pools.run(&["recv", "p/c", "--count", "1", "--timeout", "0.05"]);
    assert_eq!(ended.status.code(), Some(1), "an end of a stream is no message");
}

#[test]
fn a_message_is_looked_at_and_stays() {
    let pools = Pools::new();
    assert!(send(&pools, &["send", "p/c", "--create", "--more"], b"still there").status.success());
    let file = pools.directory().join("peeked");
    for _ in 0..2 {
        let report = pools.json(&["recv", "p/c", "--peek", "-o", file.to_str().unwrap()]).0;
        assert_eq!((&report["messages"], &report["ended"]), (&1.into(), &false.into()), "{report}");
        assert_eq!(std::fs::read(&file).unwrap(), b"still there");
    }
    assert_eq!(pools.json(&["channel", "show", "p/c"]).0["waiting"], 1);
    let empty = pools.run(&["recv", "p/other", "--create", "--peek", "--timeout", "0"]);
    assert_eq!(empty.status.code(), Some(1), "{}", text(&empty));
    assert!(send(&pools, &["send", "p/large", "--create", "--more"], &noise(5000)).status.success());
    let large = pools.run(&["recv", "p/large", "--peek"]);
    assert_eq!(large.status.code(), Some(1));
    assert!(text(&large).contains("memory of the pool"), "{}", text(&large));
}

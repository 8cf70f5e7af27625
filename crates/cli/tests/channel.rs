//! `weyr channel`: what is shown is true, and looking changes nothing.

mod command;

use std::process::Stdio;

use command::{Pools, text};
use serde_json::{Value, json};
use weyr::{Channel, ChannelAttributes, Collective, Operation, Pool, PoolAttributes};

fn create(pools: &Pools, name: &str) -> Pool {
    Pool::create(&PoolAttributes::new(name, 1 << 20).directory(pools.directory())).unwrap()
}

fn urgent(pool: &Pool) -> Channel {
    let attributes = ChannelAttributes::new().capacity(4).block_size(256).priority_levels(2);
    let channel = Channel::create_named(pool, "urgent", &attributes).unwrap();
    channel.send(b"one").unwrap();
    channel.send(b"two").unwrap();
    channel.sender().with_priority(1).unwrap().send(b"now").unwrap();
    channel
}

#[test]
fn channels_are_listed_in_text_and_as_json() {
    let pools = Pools::new();
    let pool = create(&pools, "listed");
    assert!(text(&pools.run(&["channel", "list", "listed"])).contains("No channels in listed."));
    let _urgent = urgent(&pool);
    let nameless = Channel::create(&pool, &ChannelAttributes::new().capacity(1)).unwrap();
    nameless.send(b"x").unwrap();
    let lease = nameless.receiver().try_lease().unwrap();
    let before = std::fs::read(pool.path()).unwrap();
    let shown = text(&pools.run(&["channel", "list", "listed"]));
    assert!(!shown.contains('\x1b'), "{shown}");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |words: &[&str]| rows.iter().find(|row| row[0] == words[0]).map(|row| row[2..6].to_vec());
    assert_eq!(row(&["urgent"]), Some(vec!["3", "0", "4", "2"]), "{shown}");
    assert_eq!(row(&["-"]), Some(vec!["0", "1", "1", "1"]), "{shown}");
    assert!(shown.contains("2 channels in listed"));
    let listed = pools.json(&["channel", "list", "listed"]).0;
    let channels = listed["channels"].as_array().unwrap();
    let found = channels.iter().find(|channel| channel["name"] == "urgent").unwrap();
    assert_eq!((&found["waiting"], &found["levels"], &found["processes"]), (&json!(3), &json!(2), &json!(1)));
    assert!(std::fs::read(pool.path()).unwrap() == before, "looking changed the pool");
    drop(lease);
    let words = ["channel", "list"];
    let from_environment = pools.command(&words).env("WEYR_POOL", "listed").output().unwrap();
    assert!(text(&from_environment).contains("urgent"));
    assert_eq!(pools.command(&words).env_remove("WEYR_POOL").output().unwrap().status.code(), Some(2));
    assert_eq!(pools.run(&["channel", "list", "missing"]).status.code(), Some(3));
}

#[test]
fn a_channel_is_shown_level_by_level_with_who_has_it() {
    let pools = Pools::new();
    let pool = create(&pools, "shown");
    let channel = urgent(&pool);
    let lease = channel.receiver().try_lease().unwrap();
    let look = pools.json(&["channel", "show", "shown/urgent"]).0;
    assert_eq!(
        (&look["waiting"], &look["capacity"], &look["block_bytes"]),
        (&json!(2), &json!(4), &json!(256))
    );
    let levels: Vec<(u64, u64)> = look["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| (level["waiting"].as_u64().unwrap(), level["leased"].as_u64().unwrap()))
        .collect();
    assert_eq!(levels, [(2, 0), (0, 1)], "{look}");
    let own = std::process::id();
    assert_eq!(look["processes"][0]["pid"], own);
    let _looked_at = lease.bytes().unwrap();
    drop(lease);
    let returned = pools.json(&["channel", "show", "shown/urgent"]).0;
    assert_eq!(returned["levels"][1]["returned"], 1, "{returned}");

    let shown = text(&pools.run(&["channel", "show", "shown/urgent"]));
    for words in ["urgent in shown", "larger ones are refused", "LEVEL", &own.to_string(), "alive"] {
        assert!(shown.contains(words), "no {words}: {shown}");
    }
    // One without a name is found by its offset.
    let at = format!("shown/{:#x}", look["offset"].as_u64().unwrap());
    assert_eq!(pools.json(&["channel", "show", &at]).0["name"], "urgent");
    let missing = pools.run(&["channel", "show", "shown/other"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing).contains("weyr channel list shown"), "{}", text(&missing));
}

#[test]
fn a_watched_channel_shows_rates_and_its_end() {
    let pools = Pools::new();
    let pool = create(&pools, "watched");
    let channel = urgent(&pool);
    let once = text(&pools.run(&["channel", "watch", "watched/urgent", "--once"]));
    assert!(once.contains("urgent in watched"), "{once}");
    let words = ["channel", "watch", "watched/urgent", "--json", "--interval", "0.01", "--count", "2"];
    let said = String::from_utf8(pools.run(&words).stdout).unwrap();
    let looks: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((looks.len(), &looks[0]["passed_per_second"]), (2, &Value::Null));
    assert_eq!(looks[1]["passed_per_second"], 0.0);

    let mut command = pools.command(&words[..6]);
    let mut watcher = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watcher.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains("urgent"));
    channel.destroy().unwrap();
    lines.for_each(drop);
    let ended = watcher.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("the channel was destroyed while it was watched"), "{}", text(&ended));
}

#[test]
fn invariants_of_channels_are_checked() {
    let pools = Pools::new();
    let pool = create(&pools, "checked");
    let channel = urgent(&pool);
    let (held, code) = pools.json(&["channel", "verify", "checked"]);
    assert_eq!((code, &held["holds"], &held["channels"]), (0, &json!(true), &json!(1)));
    let _calm = Channel::create_named(&pool, "calm", &ChannelAttributes::new().capacity(1)).unwrap();
    let said = text(&pools.run(&["channel", "verify", "checked/urgent", "--quiesced"]));
    assert!(said.contains("holds: every invariant of checked/urgent"), "{said}");

    // The number of processes in the header of the channel, 32 bytes from its start.
    let is_urgent = |facts: &weyr::managed::ChannelFacts| facts.name.as_deref() == Some("urgent");
    let facts = pool.inspection().channels().into_iter().find(is_urgent).unwrap();
    let at = pool.inspection().block(facts.reference.offset).unwrap().sections[0].offset;
    let file = std::fs::File::options().write(true).open(pool.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[9, 0, 0, 0], at + 32).unwrap();
    let (broken, code) = pools.json(&["channel", "verify", "checked"]);
    assert_eq!((code, &broken["holds"]), (1, &json!(false)), "{broken}");
    assert_eq!(broken["findings"][0]["place"], facts.reference.offset, "{broken}");
    let (of_the_other, code) = pools.json(&["channel", "verify", "checked/calm"]);
    assert_eq!((code, &of_the_other["holds"]), (0, &json!(true)), "{of_the_other}");
    drop(channel);
}

#[test]
fn a_collective_channel_is_shown_with_what_it_is_bound_to() {
    let pools = Pools::new();
    let pool = create(&pools, "groups");
    let sums = ChannelAttributes::new().collective(Collective::reducing::<u16>(3, Operation::Sum, 5));
    let channel = Channel::create_named(&pool, "sums", &sums).unwrap();
    let look = pools.json(&["channel", "show", "groups/sums"]).0;
    let expected =
        json!({"members": 3, "element": "u16", "element_bytes": 2, "elements": 5, "operation": "sum"});
    assert_eq!(look["group"], expected, "{look}");
    let shown = text(&pools.run(&["channel", "show", "groups/sums"]));
    assert!(shown.contains("3 members, at most 5 of u16 (2 B) each; operation: sum"), "{shown}");
    channel.destroy().unwrap();
}

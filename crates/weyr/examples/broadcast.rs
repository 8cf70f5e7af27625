//! Several processes wait for an event; one trigger releases all of them, though one of them was killed.
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use weyr::prelude::*;
use weyr::{AllocationDescriptor, BroadcastAttributes, WaitMode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, pool, event] = &arguments[..] {
        let pool = Pool::attach(pool)?;
        let event = pool.open_broadcast(&event.parse::<AllocationDescriptor>()?)?;
        let payload = event.wait(WaitMode::Adaptive)?;
        println!("process {} was told: {}", std::process::id(), String::from_utf8(payload)?);
        return Ok(());
    }
    let name = format!("broadcast-{}", std::process::id());
    let pool = Pool::create(&PoolAttributes::new(&name, 1 << 20))?;
    let event = pool.create_broadcast(&BroadcastAttributes::new().max_payload(64))?;

    let descriptor = event.descriptor()?.to_string();
    let start = || Command::new(std::env::current_exe()?).args([&name, &descriptor]).spawn();
    let mut waiters: Vec<Child> = (0..4).map(|_| start()).collect::<Result<_, _>>()?;
    while event.num_waiting() < 4 {
        std::thread::yield_now();
    }
    println!("{}", event.state());
    waiters[0].kill()?;
    waiters.remove(0).wait()?;

    let triggered = event.trigger_all(b"the data is there")?;
    println!("{} released, {} dead", triggered.released, triggered.dead);
    for mut waiter in waiters {
        waiter.wait()?;
    }
    event.destroy_until(Instant::now() + Duration::from_secs(10))?;
    Ok(pool.destroy()?)
}

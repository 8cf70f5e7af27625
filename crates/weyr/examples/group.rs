//! Four processes do their part of a computation together: sums of arrays that all of them have, and a list that one gathers.
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::process::{Child, Command};

use weyr::prelude::*;
use weyr::{Collective, Member, Operation};

const MEMBERS: u32 = 4;
const BINS: usize = 10;

/// How many squares of this rank's numbers, up to 315, end in which digit.
fn count(rank: u32) -> [u64; BINS] {
    let mut counts = [0; BINS];
    (u64::from(rank)..316)
        .step_by(MEMBERS as usize)
        .for_each(|number| counts[(number * number % 10) as usize] += 1);
    counts
}

fn work_as(mut member: Member) -> Result<(), Box<dyn std::error::Error>> {
    let own = count(member.rank());
    let mut all = own;
    member.all_reduce(&mut all)?;
    let share = own.iter().sum::<u64>() * 100 / all.iter().sum::<u64>();
    let line = format!("rank {} counted {share} % of {} squares", member.rank(), all.iter().sum::<u64>());
    // The root alone gets the lines, in the order of the ranks.
    if let Some(lines) = member.gather(0, line.as_bytes())? {
        println!("by last digit: {all:?}");
        lines.into_iter().try_for_each(|line| String::from_utf8(line).map(|line| println!("{line}")))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, channel, rank] = &arguments[..] {
        let channel = Channel::attach(&channel.parse::<ChannelDescriptor>()?)?;
        return work_as(channel.join(rank.parse()?)?);
    }
    let pool = Pool::create(&PoolAttributes::new(format!("group-{}", std::process::id()), 1 << 20))?;
    let sums = Collective::reducing::<u64>(MEMBERS, Operation::Sum, BINS as u32);
    let channel = Channel::create(&pool, &ChannelAttributes::new().collective(sums))?;

    let descriptor = channel.descriptor().to_string();
    let start =
        |rank: u32| Command::new(std::env::current_exe()?).args([&descriptor, &rank.to_string()]).spawn();
    let others: Vec<Child> = (1..MEMBERS).map(start).collect::<Result<_, _>>()?;
    work_as(channel.join(0)?)?;
    for mut other in others {
        if !other.wait()?.success() {
            return Err("a member failed".into());
        }
    }
    channel.destroy()?;
    Ok(pool.destroy()?)
}

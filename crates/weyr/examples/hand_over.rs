//! One process hands memory to another, which answers.
#![allow(clippy::print_stdout, reason = "an example talks")]

use weyr::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(descriptor) = std::env::args().nth(1) {
        // The child: the memory that it receives is its own from now on; freed when dropped, or when it dies.
        let channel = Channel::attach(&descriptor.parse()?)?;
        let numbers: Owned<[u64]> = channel.receive()?.into_owned()?;
        let sum: u64 = (0..numbers.len()).map(|index| numbers.get(index)).sum::<Result<_, _>>()?;
        return Ok(channel.send(&sum.to_le_bytes())?);
    }
    let pool = Pool::create(&PoolAttributes::new(format!("hand-over-{}", std::process::id()), 16 << 20))?;
    let channel = Channel::create(&pool, &ChannelAttributes::new())?;
    let numbers: Vec<u64> = (1..=1_000_000).collect();
    pool.owned(&numbers[..])?.send(&channel.sender())?; // 8 MB change hands, and no byte is copied on the way

    let mut child = std::process::Command::new(std::env::current_exe()?);
    let ended = child.arg(channel.descriptor().to_string()).status()?;
    let sum = channel.try_receive()?.into_bytes()?;
    println!("the child {ended}: the sum is {}", u64::from_le_bytes(sum[..].try_into()?));
    Ok(pool.destroy()?)
}

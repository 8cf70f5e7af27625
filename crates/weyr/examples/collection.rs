//! A vector grows in a pool, and what it holds is handed over where it lies.
#![allow(clippy::print_stdout, reason = "an example talks")]

use weyr::allocator_api2::vec::Vec;
use weyr::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::create(&PoolAttributes::new(format!("collection-{}", std::process::id()), 16 << 20))?;
    // SAFETY: only this program opens the pool.
    let pool = pool.cooperative(unsafe { Cooperative::assume() });
    let channel = Channel::create(&pool, &ChannelAttributes::new())?;

    let mut primes: Vec<u32, PoolAllocator> = Vec::new_in(pool.allocator()?);
    for number in 2..10_000 {
        if primes.iter().take_while(|&prime| prime * prime <= number).all(|prime| number % prime != 0) {
            primes.push(number);
        }
    }
    let begins = primes.as_ptr();
    primes.into_owned()?.send(&channel.sender())?; // as any other process could receive it

    let primes: Owned<[u32]> = channel.receive()?.into_owned()?;
    let primes = primes.as_ref()?;
    println!("{} primes, copied: {}", primes.len(), primes.as_ptr() != begins);
    Ok(pool.destroy()?)
}
